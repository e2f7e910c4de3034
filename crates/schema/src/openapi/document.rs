//! OpenAPI documents: parsed, checked and split into operations as a gateway does (contract § 2).

use std::collections::HashSet;
use std::fmt;

use crate::json::{self, Value};

use crate::finding::Rule;
use crate::location::{Location, step};
use crate::openapi::keywords;
use crate::openapi::validate::{self, Faults};
use crate::openapi::yaml::{self, Times};

/// The HTTP methods that are operations of a path item.
pub(crate) const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A parsed document; it need not be valid OpenAPI.
#[derive(Clone, Debug)]
pub struct Document {
    root: Value,
    /// What got lost while reading.
    lost: Vec<Fault>,
    /// Whether there are unquoted dates and times.
    has_times: bool,
}

/// One operation: a method of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Upper case, as on the wire.
    pub method: String,
    /// The path as written, with its `{parameters}`.
    pub path: String,
    pub id: Option<String>,
    /// The JSON pointer of the operation.
    pub pointer: String,
}

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub rule: Rule,
    /// The gateway's error, as far as it matters.
    pub text: String,
    pub location: Location,
    /// The remedy, if the rule alone does not imply it.
    pub(crate) help: Option<String>,
}

impl Fault {
    pub(crate) fn new(rule: Rule, text: impl Into<String>, location: Location) -> Self {
        Self {
            rule,
            text: text.into(),
            location,
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses JSON or YAML and checks every `$ref`.
///
/// # Errors
///
/// The first fault.
pub fn parse(bytes: &[u8]) -> Result<Document, Fault> {
    let document = read(bytes)?;
    let lost = document.lost.iter().cloned();
    match lost.chain(document.faults().unreadable).next() {
        None => Ok(document),
        Some(fault) => Err(fault),
    }
}

/// Parses JSON or YAML as gateways do.
///
/// # Errors
///
/// Why the text cannot be read.
pub fn read(bytes: &[u8]) -> Result<Document, Fault> {
    read_with(bytes, Times::AsGateways)
}

/// Parses JSON or YAML, with unquoted dates and times as they are written: gateways do not read them as
/// strings.
///
/// # Errors
///
/// Why the text cannot be read.
pub fn read_as_written(bytes: &[u8]) -> Result<Document, Fault> {
    read_with(bytes, Times::AsWritten)
}

fn read_with(bytes: &[u8], times: Times) -> Result<Document, Fault> {
    let document = match json::parse(bytes) {
        Ok(root) => Document::of(root),
        Err(json) if json.is_too_large => {
            let text = "the document has too many values";
            return Err(Fault::new(Rule::OpenApiUnverified, text, Location::Nowhere));
        }
        Err(json) => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                let text = "neither JSON nor YAML";
                Fault::new(Rule::OpenApiSyntax, text, Location::Nowhere)
            })?;
            let read =
                yaml::parse(text, times).map_err(|yaml| no_document(text, &json.error, &yaml))?;
            Document {
                root: read.root,
                lost: read.repeated.iter().map(repeated).collect(),
                has_times: read.has_times,
            }
        }
    };
    if !document.root.is_object() {
        let text = "not a JSON or YAML object";
        return Err(Fault::new(Rule::OpenApiSyntax, text, Location::Nowhere));
    }
    Ok(document)
}

/// The fault for a duplicate key, which gateways refuse.
fn repeated(found: &yaml::Repeated) -> Fault {
    let yaml::Repeated { key, at } = found;
    let text = format!("the key {key:?} appears twice in one mapping, which YAML readers refuse");
    let help = "keep one of them; `Service::repair` leaves such documents as they are";
    Fault::new(Rule::OpenApiUnverified, text, Location::Text(at.0, at.1)).help(help)
}

fn no_document(text: &str, json: &serde_json::Error, yaml: &yaml::Fault) -> Fault {
    let meant_as_json = text.trim_start().starts_with(['{', '[']);
    let is_deep = json.to_string().contains("recursion limit");
    let location = match yaml.at {
        _ if meant_as_json => Location::Text(json.line(), json.column()),
        Some((line, column)) => Location::Text(line, column),
        None => Location::Nowhere,
    };
    // A limit of this parser is not a fault of the document.
    let rule = match is_deep || yaml.is_limit {
        true => Rule::OpenApiUnverified,
        false => Rule::OpenApiSyntax,
    };
    let text = format!("neither JSON ({json}) nor YAML ({})", yaml.text);
    Fault::new(rule, text, location)
}

// === impl Document ===

impl Document {
    /// Wraps a parsed document.
    pub(crate) fn of(root: Value) -> Self {
        Self {
            root,
            lost: Vec::new(),
            has_times: false,
        }
    }

    /// Whether there are unquoted dates and times.
    pub(crate) fn has_times(&self) -> bool {
        self.has_times
    }

    /// The values, to change them.
    pub(crate) fn root_mut(&mut self) -> &mut Value {
        &mut self.root
    }

    /// What the text says but the parsed document lacks.
    #[must_use]
    pub fn lost(&self) -> &[Fault] {
        &self.lost
    }

    /// The parsed document.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.root
    }

    /// `info.title`, empty if missing.
    pub fn title(&self) -> &str {
        self.root
            .pointer("/info/title")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Faults that keep gateways from reading or serving it.
    #[must_use]
    pub fn faults(&self) -> Faults {
        let mut found = validate::faults(&self.root);
        let mut ids = HashSet::new();
        for operation in self.operations() {
            let Some(id) = operation.id else { continue };
            if ids.contains(&id) {
                let text = format!("invalid paths: the operationId {id:?} appears twice");
                let location = Location::in_document(step(&operation.pointer, "operationId"));
                let fault = Fault::new(Rule::OpenApiOperationIdDuplicate, text, location);
                found.invalid.push(fault);
            } else {
                ids.insert(id);
            }
        }
        found
    }

    /// Every operation, by path and method.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        operations(&self.root)
    }
}

/// Every operation of a document, by path and method.
pub(crate) fn operations(root: &Value) -> Vec<Operation> {
    let paths = root.get("paths").and_then(Value::as_object);
    paths
        .into_iter()
        .flatten()
        .flat_map(|(path, item)| {
            let (item, at) = keywords::path_item(root, path, item);
            METHODS.iter().filter_map(move |method| {
                let operation = item.get(method).filter(|it| !it.is_null())?;
                Some(Operation {
                    pointer: step(&at, method),
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

#[cfg(test)]
mod tests {
    use super::*;

    const PETS: &str = r#"{"openapi":"3.0.3","info":{"title":"Pets","version":"1"},
        "paths":{"/pets/{id}":{
            "parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}],
            "get":{"operationId":"getPet","responses":{"200":{"description":"ok"}}},
            "delete":{"responses":{"204":{"description":"gone"}}},"put":null}}}"#;

    #[test]
    fn operations_are_found() {
        let document = parse(PETS.as_bytes()).unwrap();
        assert_eq!(document.faults(), Faults::default());
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
    fn faults_are_distinguished() {
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
            let found = parse(text.as_bytes()).unwrap().faults().invalid;
            assert!(
                found.iter().any(|it| it.text.contains(fault)),
                "{text}: {found:?}"
            );
        }
    }
}
