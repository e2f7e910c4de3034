//! What a gateway cannot make its public schema of (contract § 2, What cannot be rendered).
//!
//! A standalone gateway refuses these; a clustered one takes them and then serves no schema change
//! of anybody until they are gone.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::{FileDescriptor, MethodDescriptor};

use crate::finding::Rule;
use crate::name::is_name;
use crate::openapi::names;
use crate::openapi::{Document, step};
use crate::proto::Compiled;
use crate::render_types;

/// One thing that cannot be rendered. The text is what a standalone gateway says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrenderable {
    pub rule: Rule,
    /// What is not named as it should be, or what the rule is about.
    pub name: String,
    pub site: Site,
}

/// Where in a schema something stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Site {
    Nowhere,
    /// A file, and a path into its FileDescriptorProto.
    Proto(String, Vec<i32>),
    /// A JSON pointer into an OpenAPI document.
    OpenApi(String),
    /// A line of an OpenAPI document, and a column in characters; both from 1.
    Mark(usize, usize),
}

impl Unrenderable {
    pub(crate) fn new(rule: Rule, name: impl Into<String>, site: Site) -> Self {
        let name = name.into();
        Self { rule, name, site }
    }
}

impl fmt::Display for Unrenderable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.rule {
            Rule::ProtoTwoServices | Rule::ProtoMethodName | Rule::OpenApiOperationIdCollision => {
                write!(
                    f,
                    "runtime render: the version sub-group and {name:?}: one collides with op of the \
                     other"
                )
            }
            Rule::ProtoFreeJson => write!(
                f,
                "graphql.NewSchema: a schema must contain unique named types, and {name} makes a \
                 second one named \"JSON\""
            ),
            Rule::ProtoTypeName => write!(
                f,
                "graphql.NewSchema: a schema must contain unique named types, and there are two \
                 named {name:?}"
            ),
            _ => write!(
                f,
                "graphql.NewSchema: Names must match [_A-Za-z][_0-9A-Za-z]*, which {name:?} does not"
            ),
        }
    }
}

/// What of a namespace and version alone cannot be rendered.
#[must_use]
pub fn namespace(namespace: &str) -> Option<Unrenderable> {
    (!is_name(namespace)).then(|| Unrenderable::new(Rule::NamespaceName, namespace, Site::Nowhere))
}

/// Everything in a proto that cannot be rendered under this version.
#[must_use]
pub fn proto(version: &str, compiled: &Compiled) -> Vec<Unrenderable> {
    let Some(entry) = compiled.entry() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let services: Vec<_> = entry.services().collect();
    for service in services.iter().skip(1) {
        let site = site(&entry, service.path(), Some(1));
        found.push(Unrenderable::new(
            Rule::ProtoTwoServices,
            service.name(),
            site,
        ));
    }
    let methods: Vec<MethodDescriptor> = services
        .iter()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .collect();
    let served: Vec<_> = methods
        .iter()
        .filter(|method| !method.is_client_streaming())
        .collect();
    for at in collisions(version, served.iter().map(|method| method.name())) {
        if let Some(method) = served.get(at) {
            let site = site(&entry, method.path(), Some(1));
            found.push(Unrenderable::new(
                Rule::ProtoMethodName,
                method.name(),
                site,
            ));
        }
    }
    found.extend(render_types::types(&methods));
    found
}

/// Everything in an OpenAPI document that cannot be rendered under this version.
#[must_use]
pub fn openapi(version: &str, document: &Document) -> Vec<Unrenderable> {
    let mut found = Vec::new();
    let operations = document.operations();
    for operation in &operations {
        let pointer = operation.pointer.clone();
        match &operation.id {
            Some(id) if is_name(id) => {}
            Some(id) => {
                let site = Site::OpenApi(step(&pointer, "operationId"));
                found.push(Unrenderable::new(Rule::OpenApiOperationIdName, id, site));
            }
            None => {
                let name = format!("{}{}", operation.method, operation.path);
                let site = Site::OpenApi(pointer);
                found.push(Unrenderable::new(
                    Rule::OpenApiOperationIdMissing,
                    name,
                    site,
                ));
            }
        }
    }
    for named in names::names(document) {
        let site = Site::OpenApi(named.pointer);
        found.push(Unrenderable::new(named.rule, named.name, site));
    }
    let identified: Vec<_> = operations
        .iter()
        .filter_map(|operation| Some((operation.id.as_deref()?, &operation.pointer)))
        .collect();
    for at in collisions(version, identified.iter().map(|(id, _)| *id)) {
        if let Some((id, pointer)) = identified.get(at) {
            let site = Site::OpenApi(step(pointer, "operationId"));
            found.push(Unrenderable::new(
                Rule::OpenApiOperationIdCollision,
                *id,
                site,
            ));
        }
    }
    found
}

/// Operations that are called like the version or its alias, and those that become like an earlier
/// one: which of them.
fn collisions<'a>(version: &str, operations: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut seen = HashSet::new();
    operations
        .enumerate()
        .filter(|(_, name)| {
            let camel = lower_camel(name);
            camel == version || camel == "stable" || !seen.insert(camel)
        })
        .map(|(at, _)| at)
        .collect()
}

pub(crate) fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// The place of a declaration, or of a part of it.
pub(crate) fn site(file: &FileDescriptor, path: &[i32], part: Option<i32>) -> Site {
    let path = path.iter().copied().chain(part).collect();
    Site::Proto(file.name().to_owned(), path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::proto::compile;

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
            serde_json::from_str(include_str!("../tests/data/render-cases.json")).unwrap();
        let mut wrong = Vec::new();
        for case in &cases {
            let source = case.source.as_bytes();
            let (valid, found) = if case.kind == "proto" {
                (
                    true,
                    proto("v1", &compile("s", source, &HashMap::new()).unwrap()),
                )
            } else {
                let document = crate::openapi::parse(source).unwrap();
                (
                    document.faults().invalid.is_empty(),
                    openapi("v1", &document),
                )
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
