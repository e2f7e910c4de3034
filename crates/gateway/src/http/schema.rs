//! The schemas that a gateway makes of what is registered, per namespace.
//!
//! The GraphQL text is a sketch of a real gateway's: the namespace, its operations and its types.

use std::collections::BTreeSet;
use std::fmt::Write;

use http::{Response, StatusCode};
use prost_reflect::{Kind as Scalar, MessageDescriptor, MethodDescriptor};
use serde_json::Value;

use super::{HttpBody, page, text};
use crate::node::life::Life;
use crate::registry::binding::{Binding, Schema};
use tower_gwag_schema::hash;

/// Answers `/api/schema/<form>?service=<namespace>`.
pub(super) fn answer(life: &Life, form: &str, query: &str) -> Response<HttpBody> {
    let service = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("service="));
    let Some(service) = service.filter(|service| !service.is_empty()) else {
        return text(StatusCode::BAD_REQUEST, "say which: ?service=<namespace>");
    };
    let bindings = life.registry().bindings_of(service);
    match form {
        "graphql" => graphql(&bindings),
        "proto" => proto(&bindings),
        "openapi" => openapi(&bindings),
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

/// The registered document, as JSON; of the last version.
fn openapi<B: AsRef<Binding>>(bindings: &[B]) -> Response<HttpBody> {
    let last = bindings
        .iter()
        .rev()
        .find_map(|it| match &it.as_ref().schema {
            Schema::OpenApi(document) => Some(document),
            _ => None,
        });
    match last {
        Some(document) => {
            let document: &Value = document.as_json();
            page(StatusCode::OK, "application/json", document.to_string())
        }
        None => text(
            StatusCode::NOT_FOUND,
            "no OpenAPI document is registered there",
        ),
    }
}

/// The GraphQL schema of one namespace. It answers for itself, whatever blocks the whole.
fn graphql<B: AsRef<Binding>>(bindings: &[B]) -> Response<HttpBody> {
    let guilty = bindings.iter().find_map(|it| {
        let reason = it.as_ref().unrenderable.as_ref()?;
        Some(reason.to_string())
    });
    if let Some(reason) = guilty {
        return text(StatusCode::INTERNAL_SERVER_ERROR, reason);
    }
    let mut sketch = Sketch::default();
    for binding in bindings {
        sketch.binding(binding.as_ref());
    }
    page(StatusCode::OK, "text/plain; charset=utf-8", sketch.finish())
}

/// A schema text that is being written.
#[derive(Default)]
struct Sketch {
    query: String,
    types: String,
    written: BTreeSet<String>,
}

impl Sketch {
    // Writing to a String cannot fail.

    fn finish(self) -> String {
        if self.query.is_empty() {
            return "type Query\n".to_owned();
        }
        format!("type Query {{\n{}}}\n{}", self.query, self.types)
    }

    fn binding(&mut self, binding: &Binding) {
        let (namespace, version) = &binding.key;
        let group = format!("{namespace}_{version}");
        let mut operations = String::new();
        match &binding.schema {
            Schema::Proto(compiled) => {
                let services = compiled.entry().into_iter();
                let services = services.flat_map(|file| file.services().collect::<Vec<_>>());
                for method in services.flat_map(|it| it.methods().collect::<Vec<_>>()) {
                    if !method.is_client_streaming() {
                        self.method(namespace, &method, &mut operations);
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
            let _ = writeln!(self.query, "  {group}: {group}_Operations!");
            let _ = write!(self.types, "\ntype {group}_Operations {{\n{operations}}}\n");
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

    fn method(&mut self, namespace: &str, method: &MethodDescriptor, operations: &mut String) {
        let mut name = method.name().to_owned();
        if let Some(first) = name.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        let output = self.message(namespace, &method.output());
        let _ = writeln!(operations, "  {name}: {output}");
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
                    true => writeln!(fields, "  {}: [{kind}]", field.name()),
                    false => writeln!(fields, "  {}: {kind}", field.name()),
                };
            }
            let _ = write!(self.types, "\ntype {name} {{\n{fields}}}\n");
        }
        name
    }
}
