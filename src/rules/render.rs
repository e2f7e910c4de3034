//! What a gateway cannot make its public schema of (contract § 2, What cannot be rendered).
//!
//! A standalone gateway refuses these; a clustered one takes them and then serves no schema change
//! of anybody until they are gone.

use std::collections::{HashMap, HashSet};
use std::fmt;

use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor};

use super::name::is_name;
use super::openapi::Document;
use super::proto::Compiled;

/// One thing that cannot be rendered. The text is what a standalone gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unrenderable {
    /// Not `[_A-Za-z][_0-9A-Za-z]*`: a namespace, an operationId, a parameter, an enum value, …
    NotAName(String),
    /// Two things of one name in the schema, or one that is called like the version.
    Collision(String),
    /// A type that becomes free JSON, while the gateway's own services have such a type too.
    FreeJson(String),
    /// Two types that get one name.
    SameTypeName(String),
}

impl fmt::Display for Unrenderable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAName(name) => write!(
                f,
                "graphql.NewSchema: Names must match [_A-Za-z][_0-9A-Za-z]*, which {name:?} does not"
            ),
            Self::Collision(name) => write!(
                f,
                "runtime render: the version sub-group and {name:?}: one collides with op of the other"
            ),
            Self::FreeJson(field) => write!(
                f,
                "graphql.NewSchema: a schema must contain unique named types, and {field} makes a \
                 second one named \"JSON\""
            ),
            Self::SameTypeName(name) => write!(
                f,
                "graphql.NewSchema: a schema must contain unique named types, and there are two named {name:?}"
            ),
        }
    }
}

/// What of a namespace and version alone cannot be rendered.
pub(crate) fn namespace(namespace: &str) -> Option<Unrenderable> {
    (!is_name(namespace)).then(|| Unrenderable::NotAName(namespace.to_owned()))
}

/// Everything in a proto that cannot be rendered under this version.
pub(crate) fn proto(version: &str, compiled: &Compiled) -> Vec<Unrenderable> {
    let Some(entry) = compiled.entry() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let services: Vec<_> = entry.services().collect();
    if let [_, second, ..] = services.as_slice() {
        found.push(Unrenderable::Collision(second.name().to_owned()));
    }
    let methods: Vec<MethodDescriptor> = services
        .iter()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let served = methods
        .iter()
        .filter(|method| !method.is_client_streaming());
    found.extend(collisions(version, served.map(MethodDescriptor::name)));
    found.extend(types(&methods));
    found
}

/// Everything in an OpenAPI document that cannot be rendered under this version.
pub(crate) fn openapi(version: &str, document: &Document) -> Vec<Unrenderable> {
    let mut found = Vec::new();
    let operations = document.operations();
    for operation in &operations {
        let name = match &operation.id {
            Some(id) => id.clone(),
            None => format!("{}{}", operation.method, operation.path),
        };
        if !is_name(&name) {
            found.push(Unrenderable::NotAName(name));
        }
    }
    let names = document.schema_names().into_iter();
    found.extend(
        names
            .filter(|name| !is_name(name))
            .map(Unrenderable::NotAName),
    );
    let ids = operations
        .iter()
        .filter_map(|operation| operation.id.as_deref());
    found.extend(collisions(version, ids));
    found
}

/// Operations that are called like the version or its alias, and two that become one.
fn collisions<'a>(version: &str, operations: impl Iterator<Item = &'a str>) -> Vec<Unrenderable> {
    let mut seen = HashSet::new();
    operations
        .filter(|name| {
            let camel = lower_camel(name);
            camel == version || camel == "stable" || !seen.insert(camel)
        })
        .map(|name| Unrenderable::Collision(name.to_owned()))
        .collect()
}

fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Walks the types that the methods reach.
fn types(methods: &[MethodDescriptor]) -> Vec<Unrenderable> {
    let mut walk = Walk::default();
    for method in methods {
        walk.message(&method.input(), true);
        walk.message(&method.output(), false);
    }
    walk.found
}

#[derive(Default)]
struct Walk {
    /// Messages walked as the top of a request, and those walked as anything else.
    tops: HashSet<String>,
    seen: HashSet<String>,
    /// The full name of the type that has a flat name.
    flat: HashMap<String, String>,
    found: Vec<Unrenderable>,
}

impl Walk {
    fn message(&mut self, message: &MessageDescriptor, top_of_request: bool) {
        let full_name = message.full_name();
        let walked = if top_of_request {
            &mut self.tops
        } else {
            &mut self.seen
        };
        if !walked.insert(full_name.to_owned()) {
            return;
        }
        if matches!(
            full_name,
            "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue"
        ) {
            self.found
                .push(Unrenderable::FreeJson(full_name.to_owned()));
            return;
        }
        self.name(full_name, message.package_name());
        for field in message.fields() {
            // A map at the top of a request becomes arguments, not a type.
            if field.is_map() && !top_of_request {
                self.found
                    .push(Unrenderable::FreeJson(field.full_name().to_owned()));
            }
            match field.kind() {
                Kind::Message(inner) if field.is_map() => {
                    if let Some(value) = inner.get_field_by_name("value")
                        && let Kind::Message(value) = value.kind()
                    {
                        self.message(&value, false);
                    }
                }
                Kind::Message(inner) => self.message(&inner, false),
                Kind::Enum(inner) => self.name(inner.full_name(), inner.package_name()),
                _ => {}
            }
        }
    }

    /// Two types may not become one when the dots of their names become underscores.
    fn name(&mut self, full_name: &str, package: &str) {
        let local = full_name
            .strip_prefix(package)
            .unwrap_or(full_name)
            .trim_start_matches('.');
        let flat = local.replace('.', "_");
        let holder = self
            .flat
            .entry(format!("{package}/{flat}"))
            .or_insert_with(|| full_name.to_owned());
        if holder != full_name {
            self.found.push(Unrenderable::SameTypeName(flat));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::proto::compile;
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        id: String,
        kind: String,
        source: String,
        served: bool,
        blocks_others: bool,
    }

    #[test]
    fn exactly_what_is_not_served_is_found() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/data/render-cases.json")).unwrap();
        let mut wrong = Vec::new();
        for case in &cases {
            let source = case.source.as_bytes();
            let (valid, found) = if case.kind == "proto" {
                (
                    true,
                    proto("v1", &compile("s", source, &HashMap::new()).unwrap()),
                )
            } else {
                let document = super::super::openapi::parse(source).unwrap();
                (document.validate().is_ok(), openapi("v1", &document))
            };
            if (valid && found.is_empty()) != case.served
                || (valid && !found.is_empty()) != case.blocks_others
            {
                wrong.push((&case.id, found));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(cases.len() >= 50);
    }
}
