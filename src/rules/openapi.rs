//! OpenAPI documents: read, checked and taken apart as a gateway does (contract § 2).

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::yaml;

/// The HTTP methods that make an operation of a path item.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A document that can be parsed; it may still be no valid OpenAPI.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    root: Value,
}

/// One operation: a method of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// Upper case, as on the wire.
    pub(crate) method: String,
    /// The path as written, with its `{parameters}`.
    pub(crate) path: String,
    pub(crate) id: Option<String>,
}

/// Reads JSON or YAML and follows every `$ref`; the error is the reason alone.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document, String> {
    let root = match serde_json::from_slice::<Value>(bytes) {
        Ok(root) => root,
        Err(json) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "neither JSON nor YAML text")?;
            yaml::parse(text).map_err(|yaml| format!("no JSON ({json}) and no YAML ({yaml})"))?
        }
    };
    if !root.is_object() {
        return Err("no JSON or YAML object".to_owned());
    }
    check_references(&root, &root)?;
    Ok(Document { root })
}

/// Finds references that a gateway does not follow or that lead nowhere.
fn check_references(root: &Value, value: &Value) -> Result<(), String> {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(target)) = entries.get("$ref") {
                check_reference(root, target)?;
            }
            entries
                .iter()
                // Examples and defaults are data of the user, not of the document.
                .filter(|(key, _)| !matches!(key.as_str(), "example" | "examples" | "default"))
                .try_for_each(|(_, value)| check_references(root, value))
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|value| check_references(root, value)),
        _ => Ok(()),
    }
}

fn check_reference(root: &Value, target: &str) -> Result<(), String> {
    let Some(fragment) = target.strip_prefix('#') else {
        return Err(format!("disallowed external reference {target:?}"));
    };
    if fragment.is_empty() || root.pointer(fragment).is_some() {
        Ok(())
    } else {
        Err(format!("the reference {target:?} leads nowhere"))
    }
}

// === impl Document ===

impl Document {
    /// The document as it was read.
    pub(crate) fn as_json(&self) -> &Value {
        &self.root
    }

    /// `info.title`, empty where there is none.
    pub(crate) fn title(&self) -> &str {
        self.root
            .pointer("/info/title")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// What keeps this from being an OpenAPI document that a gateway mounts; the first fault only.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let non_empty = |pointer: &str| {
            self.root
                .pointer(pointer)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.is_empty())
        };
        if !non_empty("/openapi") {
            return Err("the value of openapi must be a non-empty string".to_owned());
        }
        if !self.root.get("info").is_some_and(Value::is_object) {
            return Err("invalid info: must be an object".to_owned());
        }
        if !self.root.get("paths").is_some_and(Value::is_object) {
            return Err("invalid paths: must be an object".to_owned());
        }
        for (pointer, name) in [("/info/title", "title"), ("/info/version", "version")] {
            if !non_empty(pointer) {
                return Err(format!(
                    "invalid info: the value of {name} must be a non-empty string"
                ));
            }
        }
        let mut ids = HashSet::new();
        for id in self.operations().into_iter().filter_map(|op| op.id) {
            if !ids.insert(id.clone()) {
                return Err(format!(
                    "invalid paths: the operationId {id:?} is there twice"
                ));
            }
        }
        Ok(())
    }

    /// Every name that the schema gets from bodies and parameters: path and query parameters,
    /// string enum values of bodies, and the components that bodies use.
    pub(crate) fn schema_names(&self) -> Vec<String> {
        let mut names = Names {
            root: &self.root,
            components: BTreeSet::new(),
            found: Vec::new(),
        };
        let paths = self.root.get("paths").and_then(Value::as_object);
        for item in paths.into_iter().flatten().map(|(_, item)| item) {
            names.parameters(item);
            for operation in METHODS.iter().filter_map(|method| item.get(method)) {
                names.parameters(operation);
                names.content(operation.get("requestBody"));
                let responses = operation.get("responses").and_then(Value::as_object);
                for (_, response) in responses.into_iter().flatten() {
                    names.content(Some(response));
                }
            }
        }
        names.found
    }

    /// Every operation, by path and method.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.root.get("paths").and_then(Value::as_object);
        paths
            .into_iter()
            .flatten()
            .flat_map(|(path, item)| {
                METHODS.iter().filter_map(move |method| {
                    let operation = item.get(method)?;
                    Some(Operation {
                        method: method.to_ascii_uppercase(),
                        path: path.clone(),
                        id: operation
                            .get("operationId")
                            .and_then(Value::as_str)
                            .filter(|id| !id.is_empty())
                            .map(str::to_owned),
                    })
                })
            })
            .collect()
    }
}

/// Collects the names of a schema.
struct Names<'a> {
    root: &'a Value,
    /// References that were followed, so that recursion ends.
    components: BTreeSet<String>,
    found: Vec<String>,
}

impl<'a> Names<'a> {
    /// What a value stands for, where it is a reference.
    fn target(&self, value: &'a Value) -> &'a Value {
        let target = value.get("$ref").and_then(Value::as_str);
        target
            .and_then(|target| self.root.pointer(target.strip_prefix('#')?))
            .unwrap_or(value)
    }

    /// Headers and cookies are left out: they are no arguments.
    fn parameters(&mut self, holder: &'a Value) {
        let parameters = holder.get("parameters").and_then(Value::as_array);
        for parameter in parameters.into_iter().flatten() {
            let parameter = self.target(parameter);
            let place = parameter.get("in").and_then(Value::as_str);
            if matches!(place, Some("path" | "query"))
                && let Some(name) = parameter.get("name").and_then(Value::as_str)
            {
                self.found.push(name.to_owned());
            }
        }
    }

    fn content(&mut self, body: Option<&'a Value>) {
        let Some(body) = body else { return };
        let content = self.target(body).get("content").and_then(Value::as_object);
        for (_, media) in content.into_iter().flatten() {
            if let Some(schema) = media.get("schema") {
                self.schema(schema);
            }
        }
    }

    fn schema(&mut self, schema: &'a Value) {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            if !self.components.insert(reference.to_owned()) {
                return;
            }
            let name = reference.rsplit('/').next().unwrap_or_default();
            self.found.push(name.to_owned());
            let target = self.target(schema);
            // A reference to itself is nothing to walk.
            if !std::ptr::eq(target, schema) {
                self.schema(target);
            }
            return;
        }
        let values = schema.get("enum").and_then(Value::as_array);
        let texts = values.into_iter().flatten().filter_map(Value::as_str);
        self.found.extend(texts.map(str::to_owned));
        for key in ["items", "additionalProperties", "not"] {
            if let Some(inner) = schema.get(key) {
                self.schema(inner);
            }
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            let inner = schema.get(key).and_then(Value::as_array);
            for schema in inner.into_iter().flatten() {
                self.schema(schema);
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (_, schema) in properties.into_iter().flatten() {
            self.schema(schema);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PETS: &str = r#"{"openapi":"3.0.3","info":{"title":"Pets","version":"1"},
        "paths":{"/pets/{id}":{"get":{"operationId":"getPet"},"delete":{}}}}"#;

    #[test]
    fn operations_are_found() {
        let document = parse(PETS.as_bytes()).unwrap();
        assert_eq!(document.validate(), Ok(()));
        assert_eq!(document.title(), "Pets");
        let found: Vec<_> = document
            .operations()
            .into_iter()
            .map(|op| (op.method, op.path, op.id))
            .collect();
        let path = "/pets/{id}".to_owned();
        assert_eq!(
            found,
            [
                ("GET".to_owned(), path.clone(), Some("getPet".to_owned())),
                ("DELETE".to_owned(), path, None),
            ]
        );
    }

    #[test]
    fn faults_are_told_apart() {
        for text in ["{not json", "hello", "[1]", ""] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        for reference in ["other.json#/X", "#/components/schemas/Nope"] {
            let text = format!(r##"{{"paths":{{"/p":{{"$ref":"{reference}"}}}}}}"##);
            assert!(parse(text.as_bytes()).is_err(), "{reference}");
        }
        for (text, fault) in [
            ("{}", "openapi"),
            (r#"{"openapi":"3.0.3","paths":{}}"#, "info"),
            (
                r#"{"openapi":"3.0.3","info":{"title":"t","version":"1"}}"#,
                "paths",
            ),
            (
                r#"{"openapi":"3.0.3","info":{"title":"","version":"1"},"paths":{}}"#,
                "title",
            ),
        ] {
            let found = parse(text.as_bytes()).unwrap().validate().unwrap_err();
            assert!(found.contains(fault), "{text}: {found}");
        }
    }
}
