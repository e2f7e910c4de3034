//! The schemas that a gateway makes of what is registered: the whole, as last made, and selections.
//!
//! The GraphQL text is a sketch of a real gateway's: the namespace, its operations and its types.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use http::{Response, StatusCode};
use prost_reflect::{Kind as Scalar, MessageDescriptor, MethodDescriptor};
use serde_json::Value;

use super::{HttpBody, page, text};
use crate::node::life::Life;
use crate::registry::binding::{Binding, Key, Schema};
use tower_gwag_schema::Rule;
use tower_gwag_schema::hash;
use tower_gwag_schema::proto::name_of;

/// Answers `/api/schema/<form>?service=<namespace>`.
pub(super) fn answer(life: &Life, form: &str, query: &str) -> Response<HttpBody> {
    let selection = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("service="))
        .unwrap_or_default();
    if form == "graphql" {
        return if selection.is_empty() {
            // What is being served: as it was before, while something blocks the gateway.
            schema(life.routes().served())
        } else {
            selected(life, selection)
        };
    }
    match form {
        "proto" => proto(&bindings(life, selection)),
        "openapi" => openapi(life, selection),
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /api/schema/graphql, /api/schema/proto and /api/schema/openapi",
        ),
    }
}

/// The registered descriptor set, source info included; of the last version.
fn proto<B: AsRef<Binding>>(bindings: &[B]) -> Response<HttpBody> {
    let last = bindings
        .iter()
        .rev()
        .find_map(|it| match &it.as_ref().schema {
            Schema::Proto(compiled) => Some(compiled),
            _ => None,
        });
    match last {
        Some(compiled) => {
            let (set, _) = hash::descriptor_set(compiled);
            page(StatusCode::OK, "application/octet-stream", set)
        }
        None => text(StatusCode::NOT_FOUND, "no proto is registered there"),
    }
}

/// The registered documents as JSON, by namespace and version; all where nothing is selected.
fn openapi(life: &Life, selection: &str) -> Response<HttpBody> {
    let bindings = bindings(life, selection);
    let mut all = serde_json::Map::new();
    for it in &bindings {
        if let Schema::OpenApi(document) = &it.schema {
            let (namespace, version) = &it.key;
            let versions = all
                .entry(namespace.clone())
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            versions[version.as_str()] = document.as_json().clone();
        }
    }
    page(
        StatusCode::OK,
        "application/json",
        Value::Object(all).to_string(),
    )
}

/// Those that are selected; all where nothing is.
fn bindings(life: &Life, selection: &str) -> Vec<Arc<Binding>> {
    let parts = selected_parts(selection);
    let is_wanted = |(namespace, version): &Key| {
        let mut parts = parts.iter();
        parts.any(|(of, only)| of == namespace && only.is_none_or(|it| it == version))
    };
    life.registry()
        .bindings(|key| selection.is_empty() || is_wanted(key))
}

/// `a,b:v2`
fn selected_parts(selection: &str) -> Vec<(&str, Option<&str>)> {
    let parts = selection
        .split(',')
        .map(|part| match part.trim().split_once(':') {
            Some((namespace, version)) => (namespace, Some(version)),
            None => (part.trim(), None),
        });
    parts.collect()
}

/// The GraphQL schema of some services: `a,b:v2`. It is made now, whatever blocks the whole.
fn selected(life: &Life, selection: &str) -> Response<HttpBody> {
    let selection = selected_parts(selection);
    let is_wanted = |namespace: &str, version: &str| {
        let mut parts = selection.iter();
        parts.any(|(of, only)| *of == namespace && only.is_none_or(|only| only == version))
    };
    let bindings = life
        .registry()
        .bindings(|(namespace, version)| is_wanted(namespace, version));
    // Free JSON of a proto is a fault only beside that of an OpenAPI document.
    let has_json = is_wanted("admin", "v1")
        || bindings
            .iter()
            .any(|it| matches!(it.schema, Schema::OpenApi(_)));
    let guilty = bindings.iter().find_map(|it| {
        let reason = it.unrenderable.as_ref()?;
        (has_json || reason.rule != Rule::ProtoFreeJson).then(|| reason.to_string())
    });
    match guilty {
        Some(reason) => text(StatusCode::INTERNAL_SERVER_ERROR, reason),
        None => schema(&bindings),
    }
}

fn schema(bindings: &[Arc<Binding>]) -> Response<HttpBody> {
    let mut sketch = Sketch::default();
    for binding in bindings {
        sketch.binding(binding);
    }
    let kind = "application/graphql; charset=utf-8";
    page(StatusCode::OK, kind, sketch.finish())
}

/// A schema text that is being written.
#[derive(Default)]
struct Sketch {
    /// The fields of Query, and of each namespace's type.
    query: BTreeSet<String>,
    groups: BTreeMap<String, String>,
    subscription: String,
    types: String,
    written: BTreeSet<String>,
}

impl Sketch {
    // Writing to a String cannot fail.

    fn finish(self) -> String {
        let mut text = String::new();
        let mut block = |name: &str, fields: &str| {
            let _ = writeln!(text, "type {name} {{\n{fields}}}\n");
        };
        for (name, fields) in &self.groups {
            block(name, fields);
        }
        let query: String = match self.query.is_empty() {
            true => "  _status: String\n".to_owned(),
            false => self.query.into_iter().collect(),
        };
        block("Query", &query);
        if !self.subscription.is_empty() {
            block("Subscription", &self.subscription);
        }
        text + &self.types
    }

    /// A version of a namespace: its operations in a group of their own.
    fn group(&mut self, (namespace, version): &Key, operations: &str) {
        let capital = |name: &str| {
            let mut name = name.to_owned();
            if let Some(first) = name.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            name
        };
        let all = capital(namespace);
        let group = format!("{all}{}QueryNamespace", capital(version));
        let all = format!("{all}QueryNamespace");
        self.query.insert(format!("  {namespace}: {all}!\n"));
        let _ = writeln!(self.groups.entry(all).or_default(), "  {version}: {group}!");
        self.groups.insert(group, operations.to_owned());
    }

    fn binding(&mut self, binding: &Binding) {
        let namespace = &binding.key.0;
        if namespace.starts_with('_') {
            return;
        }
        let mut operations = String::new();
        match &binding.schema {
            Schema::Proto(compiled) => {
                let services = compiled.entry().into_iter();
                let services = services.flat_map(|file| file.services().collect::<Vec<_>>());
                for method in services.flat_map(|it| it.methods().collect::<Vec<_>>()) {
                    if method.is_server_streaming() {
                        let mut subscription = std::mem::take(&mut self.subscription);
                        self.method(
                            namespace,
                            &method,
                            &format!("{namespace}_"),
                            &mut subscription,
                        );
                        self.subscription = subscription;
                    } else {
                        self.method(namespace, &method, "", &mut operations);
                    }
                }
            }
            Schema::OpenApi(document) => {
                for id in document.operations().into_iter().filter_map(|it| it.id) {
                    let _ = writeln!(operations, "  {id}: JSON");
                }
            }
            Schema::GraphQl { data, .. } => {
                let data = data.as_deref().unwrap_or_default();
                self.foreign(namespace, data, &mut operations);
            }
            Schema::Internal => {}
        }
        // A version without operations has no place in the schema.
        if !operations.is_empty() {
            self.group(&binding.key, &operations);
        }
    }

    /// The types of a GraphQL service, by name only.
    fn foreign(&mut self, namespace: &str, data: &str, operations: &mut String) {
        let data: Value = serde_json::from_str(data).unwrap_or_default();
        let types = data.pointer("/__schema/types").and_then(Value::as_array);
        for name in types
            .into_iter()
            .flatten()
            .filter_map(|it| it["name"].as_str())
        {
            if !name.starts_with("__") {
                let _ = writeln!(operations, "  {name}: {namespace}_{name}");
                let _ = writeln!(self.types, "\nscalar {namespace}_{name}");
            }
        }
    }

    fn method(
        &mut self,
        namespace: &str,
        method: &MethodDescriptor,
        prefix: &str,
        operations: &mut String,
    ) {
        let mut name = method.name().to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let output = self.message(namespace, &method.output());
        let _ = writeln!(operations, "  {prefix}{name}: {output}");
    }

    /// The name of a message's type, which is written where it was not yet.
    fn message(&mut self, namespace: &str, message: &MessageDescriptor) -> String {
        let full_name = message.full_name();
        let local = full_name
            .strip_prefix(message.package_name())
            .unwrap_or(full_name)
            .trim_start_matches('.');
        let name = format!("{namespace}_{}", local.replace('.', "_"));
        if self.written.insert(name.clone()) {
            let mut fields = String::new();
            for field in message.fields() {
                let kind = match field.kind() {
                    Scalar::Message(inner) => self.message(namespace, &inner),
                    Scalar::Enum(_) | Scalar::String | Scalar::Bytes => "String".to_owned(),
                    Scalar::Bool => "Boolean".to_owned(),
                    Scalar::Float | Scalar::Double => "Float".to_owned(),
                    _ => "Int".to_owned(),
                };
                let _ = match field.is_list() {
                    true => writeln!(fields, "  {}: [{kind}]", name_of(&field)),
                    false => writeln!(fields, "  {}: {kind}", name_of(&field)),
                };
            }
            let _ = write!(self.types, "\ntype {name} {{\n{fields}}}\n");
        }
        name
    }
}
