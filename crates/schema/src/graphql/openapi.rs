//! OpenAPI documents: operations, component schemas and the types generated for inline schemas.

use std::collections::HashMap;

use crate::json::{Map, Value};

use super::descriptions::{annotations_of, description, with_reference};
use super::ir::{
    Argument, Declared, DeclaredField, DeclaredKind, DeclaredValue, Entry, Operation, Ref, Scalar,
    Service, Types,
};
use super::model::{Destination, OperationKind, Target};
use super::names::{field_name, path_part, word_characters};
use crate::gateway::GatewayRelease;
use crate::location::{Location, Pointer, unescaped};
use crate::name::is_name;
use crate::openapi::keywords;
use crate::openapi::keywords::{followed, path_item};
use crate::version::Version;

/// The methods that become operations, in the order in which their types are generated.
const METHODS: [(&str, &str, OperationKind); 5] = [
    ("get", "GET", OperationKind::Query),
    ("post", "POST", OperationKind::Mutation),
    ("put", "PUT", OperationKind::Mutation),
    ("patch", "PATCH", OperationKind::Mutation),
    ("delete", "DELETE", OperationKind::Mutation),
];

const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data";

/// The service of a document.
pub(super) fn service(
    namespace: &str,
    version: Version,
    deprecated: Option<&str>,
    root: &Value,
    release: GatewayRelease,
) -> Service {
    let mut reader = Reader {
        root,
        release,
        types: HashMap::new(),
    };
    reader.components();
    let entries = reader.operations();
    Service {
        namespace: namespace.to_owned(),
        version,
        deprecated: deprecated.map(str::to_owned),
        types: Types::OpenApi(reader.types),
        entries,
    }
}

struct Reader<'a> {
    root: &'a Value,
    release: GatewayRelease,
    types: HashMap<String, Declared>,
}

/// A value of the document, and its JSON pointer.
#[derive(Clone)]
struct At<'a> {
    value: &'a Value,
    pointer: Pointer,
}

impl<'a> At<'a> {
    /// Null counts as missing.
    fn get(&self, key: &str) -> Option<Self> {
        Some(Self {
            value: self.value.get(key).filter(|it| !it.is_null())?,
            pointer: self.pointer.key(key),
        })
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.value.get(key)?.as_str()
    }

    fn is_true(&self, key: &str) -> bool {
        self.value.get(key) == Some(&Value::Bool(true))
    }

    fn items(&self, key: &str) -> Vec<Self> {
        let items = self.value.get(key).and_then(Value::as_array);
        let at = self.pointer.key(key);
        let items = items.into_iter().flatten().enumerate();
        items
            .map(|(number, value)| Self {
                value,
                pointer: at.item(number),
            })
            .collect()
    }

    /// The entries of an object, by name.
    fn entries(&self, key: &str) -> Vec<(&'a str, Self)> {
        let at = self.pointer.key(key);
        let entries = self.value.get(key).and_then(Value::as_object);
        by_name(entries)
            .into_iter()
            .map(|(name, value)| {
                let pointer = at.key(name);
                (name, Self { value, pointer })
            })
            .collect()
    }

    fn location(&self) -> Location {
        Location::OpenApi(self.pointer.clone())
    }
}

/// Sorted, whichever map serde_json uses.
fn by_name(map: Option<&Map>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = map
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.as_str(), v))
        .collect();
    entries.sort_by_key(|entry| entry.0);
    entries
}

impl<'a> Reader<'a> {
    /// The target, if the value is a reference.
    fn follow(&self, at: At<'a>) -> At<'a> {
        match followed(self.root, at.value) {
            Some((value, pointer)) => At {
                value,
                pointer: pointer.into(),
            },
            None => at,
        }
    }

    fn component(&self, name: &str) -> Option<At<'a>> {
        let value = self.root.get("components")?.get("schemas")?.get(name)?;
        let pointer = Pointer::from("/components/schemas").key(name);
        Some(At { value, pointer })
    }

    fn components(&mut self) {
        let schemas = self.root.get("components").and_then(|it| it.get("schemas"));
        for (name, value) in by_name(schemas.and_then(Value::as_object)) {
            let pointer = Pointer::from("/components/schemas").key(name);
            let at = At { value, pointer };
            let location = at.location();
            let mut declared = self.declare(name, &self.follow(at));
            declared.location = location;
            self.types.insert(name.to_owned(), declared);
        }
    }

    /// A component: an object, whatever its `type`, unless it is a union or an enum of strings.
    fn declare(&mut self, name: &str, schema: &At<'a>) -> Declared {
        let variants = variants(schema);
        let kind = if !variants.is_empty() {
            let mut members = Vec::new();
            for (number, variant) in variants.iter().enumerate() {
                let variant_name = format!("{name}Variant{}", number + 1);
                members.extend(self.variant(variant, &variant_name));
            }
            DeclaredKind::Union(members)
        } else if let Some(values) = enum_values(schema) {
            DeclaredKind::Enum(values)
        } else {
            DeclaredKind::Object(self.fields(name, schema))
        };
        declared(kind, schema)
    }

    /// A reference or an inline object: the possible members of a union.
    fn variant(&mut self, variant: &At<'a>, name: &str) -> Option<String> {
        if let Some(reference) = variant.text("$ref") {
            return self.referred(reference);
        }
        if types(variant) != ["object"] && !has_properties(variant) {
            return None;
        }
        if !self.has_object(name) {
            let declared = self.declare(name, variant);
            self.types.insert(name.to_owned(), declared);
        }
        Some(name.to_owned())
    }

    /// The component named by the last segment of a reference.
    fn referred(&self, reference: &str) -> Option<String> {
        let (_, name) = reference.rsplit_once('/')?;
        let name = unescaped(name).into_owned();
        self.component(&name).map(|_| name)
    }

    fn fields(&mut self, name: &str, schema: &At<'a>) -> Vec<DeclaredField> {
        let required: Vec<&str> = required(schema);
        let mut fields = Vec::new();
        for (property, at) in schema.entries("properties") {
            let inner = format!("{name}{}", path_part(property));
            let mut of = self.reference(&at, &inner);
            of.non_null = required.contains(&property)
                && (self.release == GatewayRelease::V1_1 || !Self::is_nullable(&at));
            let Some(name) = field_name(property) else {
                continue;
            };
            let (description, annotations) = if at.value.get("$ref").is_some() {
                (None, Vec::new())
            } else {
                (
                    described(&at),
                    annotations_of(at.value.get("x-gwag-annotations")),
                )
            };
            fields.push(DeclaredField {
                name,
                source: property.to_owned(),
                of,
                description,
                deprecated: None,
                annotations,
                location: at.location(),
            });
        }
        fields
    }

    /// The target of a reference does not count.
    fn is_nullable(at: &At<'a>) -> bool {
        let is_reference = at.value.get("$ref").is_some();
        !is_reference && (at.is_true("nullable") || raw_types(at).contains(&"null"))
    }

    /// The type of a schema; an inline schema is declared under `name`.
    fn reference(&mut self, at: &At<'a>, name: &str) -> Ref {
        if let Some(reference) = at.text("$ref") {
            return match self.referred(reference) {
                Some(name) => Ref::named(name),
                None => Ref::scalar(Scalar::Json),
            };
        }
        let variants = variants(at);
        if !variants.is_empty() {
            return self.union(&variants, name);
        }
        let format = at.text("format").unwrap_or_default();
        Ref::scalar(match types(at)[..] {
            ["string"] if matches!(format, "byte" | "binary") => Scalar::Upload,
            ["string"] => match enum_values(at) {
                Some(values) => return self.enumeration(values, at, name),
                None => Scalar::String,
            },
            ["integer"] if matches!(format, "int64" | "uint64") => Scalar::Long,
            ["integer"] => Scalar::Int,
            ["number"] if format == "float" => Scalar::Single,
            ["number"] => Scalar::Float,
            ["boolean"] => Scalar::Boolean,
            ["array"] => return self.list(at, name),
            ["object"] if has_properties_of_any_name(at) => Scalar::JsonMap,
            ["object"] if has_properties(at) => return self.inline(at, name),
            ["object"] => Scalar::String,
            _ => Scalar::Json,
        })
    }

    fn list(&mut self, at: &At<'a>, name: &str) -> Ref {
        let Some(items) = at.get("items") else {
            return Ref {
                is_list: true,
                ..Ref::scalar(Scalar::String)
            };
        };
        let of = self.reference(&items, &format!("{name}Item"));
        let items_non_null = self.release != GatewayRelease::V1_1 && !Self::is_nullable(&items);
        Ref {
            is_list: true,
            items_non_null,
            non_null: false,
            ..of
        }
    }

    fn union(&mut self, variants: &[At<'a>], name: &str) -> Ref {
        let mut members = Vec::new();
        for (number, variant) in variants.iter().enumerate() {
            let variant_name = format!("{name}Variant{}", number + 1);
            match self.variant(variant, &variant_name) {
                Some(member) => members.push(member),
                None => return Ref::scalar(Scalar::Json),
            }
        }
        let joined = members.join("Or");
        if !self.types.contains_key(&joined) && self.component(&joined).is_none() {
            let declared = Declared {
                kind: DeclaredKind::Union(members),
                description: None,
                annotations: Vec::new(),
                location: variants.first().map(At::location).unwrap_or_default(),
            };
            self.types.insert(joined.clone(), declared);
        }
        Ref::named(joined)
    }

    /// An inline enum, unless that name already exists.
    fn enumeration(&mut self, values: Vec<DeclaredValue>, at: &At<'a>, name: &str) -> Ref {
        let is_there = self
            .types
            .get(name)
            .is_some_and(|it| matches!(it.kind, DeclaredKind::Enum(_)));
        if !is_there {
            let declared = inline(DeclaredKind::Enum(values), at);
            self.types.insert(name.to_owned(), declared);
        }
        Ref::named(name)
    }

    /// An inline object, unless that name already exists.
    fn inline(&mut self, at: &At<'a>, name: &str) -> Ref {
        if !self.has_object(name) {
            let fields = self.fields(name, at);
            let declared = inline(DeclaredKind::Object(fields), at);
            self.types.insert(name.to_owned(), declared);
        }
        Ref::named(name)
    }

    fn has_object(&self, name: &str) -> bool {
        let there = self.types.get(name);
        there.is_some_and(|it| matches!(it.kind, DeclaredKind::Object(_)))
    }

    fn operations(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let paths = self.root.get("paths").and_then(Value::as_object);
        for (path, item) in by_name(paths) {
            let (item, pointer) = path_item(self.root, path, item);
            let item = At {
                value: item,
                pointer: pointer.into(),
            };
            for (key, method, kind) in METHODS {
                let operation = item.get(key);
                if let Some(at) = operation {
                    let operation = self.operation(&at, path, method, kind);
                    entries.push(Entry::Operation(operation));
                }
            }
        }
        entries
    }

    fn operation(
        &mut self,
        at: &At<'a>,
        path: &str,
        method: &'static str,
        kind: OperationKind,
    ) -> Operation {
        let id = at.text("operationId").filter(|id| !id.is_empty());
        let name = match id {
            Some(id) => id.to_owned(),
            None => format!("{method}{path}"),
        };
        let base = word_characters(&name);
        let mut arguments = Vec::new();
        for parameter in at.items("parameters") {
            let parameter = self.follow(parameter);
            arguments.extend(self.parameter(&parameter, &base));
        }
        if let Some(body) = at.get("requestBody") {
            let body = self.follow(body);
            arguments.extend(self.body(&body, &base));
        }
        let result = self.response(at, &base);
        let location = match id {
            Some(_) => Location::OpenApi(at.pointer.key("operationId")),
            None => at.location(),
        };
        Operation {
            kind,
            name,
            arguments,
            result,
            description: described(at),
            deprecated: None,
            annotations: annotations_of(at.value.get("x-gwag-annotations")),
            target: Target::Http {
                method,
                path: path.to_owned(),
            },
            location,
        }
    }

    fn parameter(&mut self, at: &At<'a>, base: &str) -> Option<Argument> {
        let name = at.text("name")?;
        let destination = match at.text("in")? {
            "path" => Destination::Path,
            "query" => Destination::Query,
            "header" => Destination::Header,
            "cookie" => Destination::Cookie,
            _ => return None,
        };
        let is_left_out = matches!(destination, Destination::Header | Destination::Cookie)
            && self.release != GatewayRelease::V1_1
            && !is_name(name);
        if is_left_out {
            return None;
        }
        let of = match at.get("schema") {
            Some(schema) => self.reference(&schema, &format!("{base}{}", path_part(name))),
            None => Ref::scalar(Scalar::String),
        };
        Some(Argument {
            name: name.to_owned(),
            of: Ref {
                non_null: at.is_true("required"),
                ..of.bare()
            },
            description: at.text("description").and_then(description),
            destination,
            location: Location::OpenApi(at.pointer.key("name")),
        })
    }

    fn body(&mut self, body: &At<'a>, base: &str) -> Vec<Argument> {
        let content = body.get("content");
        let media = |name: &str| content.as_ref().and_then(|it| it.get(name));
        if let Some(form) = media(MULTIPART).and_then(|it| it.get("schema")) {
            return self.form(&self.follow(form), base);
        }
        let Some(schema) = media(JSON).and_then(|it| it.get("schema")) else {
            return Vec::new();
        };
        let of = self.reference(&schema, &format!("{base}Body"));
        vec![Argument {
            name: "body".to_owned(),
            of: Ref {
                non_null: body.is_true("required"),
                ..of.bare()
            },
            description: body.text("description").and_then(description),
            destination: Destination::Body,
            location: schema.location(),
        }]
    }

    fn form(&mut self, schema: &At<'a>, base: &str) -> Vec<Argument> {
        let required = required(schema);
        let mut arguments = Vec::new();
        for (name, at) in schema.entries("properties") {
            let of = self.reference(&at, &format!("{base}FormData{}", path_part(name)));
            let non_null = required.contains(&name);
            arguments.push(Argument {
                name: name.to_owned(),
                of: Ref {
                    non_null,
                    items_non_null: of.is_list && non_null,
                    ..of
                },
                description: match at.value.get("$ref") {
                    Some(_) => None,
                    None => at.text("description").and_then(description),
                },
                destination: Destination::Form,
                location: at.location(),
            });
        }
        arguments
    }

    fn response(&mut self, operation: &At<'a>, base: &str) -> Ref {
        let responses = operation.get("responses");
        let status = |name: &str| responses.as_ref().and_then(|it| it.get(name));
        let candidates = [
            status("200").or_else(|| status("2XX")),
            status("201").or_else(|| status("2XX")),
            status("default"),
        ];
        for response in candidates.into_iter().flatten() {
            let response = self.follow(response);
            let schema = response
                .get("content")
                .and_then(|it| it.get(JSON))
                .and_then(|it| it.get("schema"));
            if let Some(schema) = schema {
                return self.reference(&schema, &format!("{base}Response")).bare();
            }
        }
        Ref::scalar(Scalar::String)
    }
}

fn declared(kind: DeclaredKind, at: &At<'_>) -> Declared {
    Declared {
        kind,
        description: described(at),
        annotations: annotations_of(at.value.get("x-gwag-annotations")),
        location: at.location(),
    }
}

/// An inline type: everything in it except its text describes the field that has it.
fn inline(kind: DeclaredKind, at: &At<'_>) -> Declared {
    Declared {
        kind,
        description: at.text("description").and_then(description),
        annotations: Vec::new(),
        location: at.location(),
    }
}

fn described(at: &At<'_>) -> Option<String> {
    let text = at.text("description").unwrap_or_default();
    let reference = at.text("x-ref").filter(|it| !it.is_empty());
    with_reference(text, reference)
}

fn variants<'a>(at: &At<'a>) -> Vec<At<'a>> {
    let one = at.items("oneOf");
    if one.is_empty() {
        at.items("anyOf")
    } else {
        one
    }
}

fn raw_types<'a>(at: &At<'a>) -> Vec<&'a str> {
    keywords::types(at.value).collect()
}

/// The types except `null`.
fn types<'a>(at: &At<'a>) -> Vec<&'a str> {
    let mut types = raw_types(at);
    types.retain(|name| *name != "null");
    types
}

fn required<'a>(at: &At<'a>) -> Vec<&'a str> {
    keywords::required(at.value).collect()
}

fn has_properties(at: &At<'_>) -> bool {
    let properties = at.value.get("properties").and_then(Value::as_object);
    properties.is_some_and(|it| !it.is_empty())
}

/// `additionalProperties` with a schema.
fn has_properties_of_any_name(at: &At<'_>) -> bool {
    at.value
        .get("additionalProperties")
        .is_some_and(Value::is_object)
}

/// The values of an enum of strings.
fn enum_values(at: &At<'_>) -> Option<Vec<DeclaredValue>> {
    if types(at) != ["string"] {
        return None;
    }
    let values = at.items("enum");
    if values.is_empty() {
        return None;
    }
    let values = values.iter().filter_map(|value| {
        Some(DeclaredValue {
            name: value.value.as_str()?.to_owned(),
            description: None,
            deprecated: None,
            location: value.location(),
        })
    });
    Some(values.collect())
}
