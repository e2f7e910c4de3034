//! The names that a gateway's schema gets from an OpenAPI document.

use std::collections::HashSet;

use serde_json::Value;

use crate::finding::Rule;
use crate::name::is_name;
use crate::openapi::references;
use crate::openapi::{Document, METHODS, step};

/// A name, the rule that it has to keep, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) rule: Rule,
    pub(crate) name: String,
    /// A JSON pointer.
    pub(crate) pointer: String,
}

/// Every name that is none, of those that the schema gets from bodies and parameters: path and query
/// parameters, string enum values of bodies, and the components that bodies use.
pub(crate) fn names(document: &Document) -> Vec<Named> {
    let root = document.as_json();
    let mut names = Names {
        root,
        followed: HashSet::new(),
        open: Vec::new(),
        found: Vec::new(),
        told: 0,
    };
    let paths = root.get("paths").and_then(Value::as_object);
    for (path, item) in paths.into_iter().flatten() {
        let (item, at) = references::path_item(root, path, item);
        names.parameters(item, &at);
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let at = step(&at, method);
            names.parameters(operation, &at);
            names.content(operation.get("requestBody"), &step(&at, "requestBody"));
            let responses = operation.get("responses").and_then(Value::as_object);
            let at = step(&at, "responses");
            for (status, response) in responses.into_iter().flatten() {
                names.content(Some(response), &step(&at, status));
            }
        }
    }
    // A list instead of calls: documents refer to themselves as deep as they like.
    while let Some((schema, at)) = names.open.pop() {
        names.schema(schema, &at);
    }
    names.found
}

struct Names<'a> {
    root: &'a Value,
    /// References that were followed, so that recursion ends.
    followed: HashSet<&'a str>,
    /// Schemas to look at, and where they stand.
    open: Vec<(&'a Value, String)>,
    found: Vec<Named>,
    /// The bytes of their pointers.
    told: usize,
}

/// So many bytes of pointers are made: each may be as long as the document.
const MOST_TOLD: usize = 16 << 20;

impl<'a> Names<'a> {
    /// What a value stands for, where it is a reference, and where that stands.
    fn target(&self, value: &'a Value, at: &str) -> (&'a Value, String) {
        let found = self.referred(value);
        found.unwrap_or_else(|| (value, at.to_owned()))
    }

    fn referred(&self, value: &Value) -> Option<(&'a Value, String)> {
        let reference = value.get("$ref").and_then(Value::as_str);
        reference.and_then(|it| references::target(self.root, it))
    }

    /// The pointer is only made for what is told: a path may be as long as the document.
    fn add(&mut self, rule: Rule, name: &str, pointer: impl FnOnce() -> String) {
        if !is_name(name) && self.told < MOST_TOLD {
            let pointer = pointer();
            self.told += pointer.len();
            self.found.push(Named {
                rule,
                name: name.to_owned(),
                pointer,
            });
        }
    }

    /// Headers and cookies are left out: they are no arguments.
    fn parameters(&mut self, holder: &'a Value, at: &str) {
        let parameters = holder.get("parameters").and_then(Value::as_array);
        for (number, parameter) in parameters.into_iter().flatten().enumerate() {
            let (parameter, of_target) = match self.referred(parameter) {
                Some((parameter, at)) => (parameter, Some(at)),
                None => (parameter, None),
            };
            let place = parameter.get("in").and_then(Value::as_str);
            if matches!(place, Some("path" | "query"))
                && let Some(name) = parameter.get("name").and_then(Value::as_str)
            {
                self.add(Rule::OpenApiParameterName, name, || {
                    let own = || format!("{at}/parameters/{number}");
                    step(&of_target.unwrap_or_else(own), "name")
                });
            }
        }
    }

    fn content(&mut self, body: Option<&'a Value>, at: &str) {
        let Some(body) = body else { return };
        let (body, at) = self.target(body, at);
        let content = body.get("content").and_then(Value::as_object);
        for (media_type, media) in content.into_iter().flatten() {
            if let Some(schema) = media.get("schema") {
                let at = step(&step(&at, "content"), media_type);
                self.open.push((schema, step(&at, "schema")));
            }
        }
    }

    fn schema(&mut self, schema: &'a Value, at: &str) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if !self.followed.insert(reference) {
                return;
            }
            let (target, target_at) = self.target(schema, at);
            let name = target_at.rsplit('/').next().unwrap_or_default();
            let name = name.replace("~1", "/").replace("~0", "~");
            self.add(Rule::OpenApiComponentName, &name, || target_at.clone());
            // A reference that leads nowhere is nothing to look at.
            if !std::ptr::eq(target, schema) {
                self.open.push((target, target_at));
            }
            return;
        }
        let values = schema.get("enum").and_then(Value::as_array);
        for (number, value) in values.into_iter().flatten().enumerate() {
            if let Some(text) = value.as_str() {
                self.add(Rule::OpenApiEnumValue, text, || {
                    format!("{at}/enum/{number}")
                });
            }
        }
        for key in ["items", "additionalProperties", "not"] {
            if let Some(inner) = schema.get(key) {
                self.open.push((inner, step(at, key)));
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            let inner = schema.get(key).and_then(Value::as_array);
            for (number, schema) in inner.into_iter().flatten().enumerate() {
                self.open.push((schema, format!("{at}/{key}/{number}")));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            self.open
                .push((schema, step(&step(at, "properties"), name)));
        }
    }
}
