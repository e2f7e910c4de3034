//! OpenAPI documents as gRPC services: gateways build a descriptor from each document, and route its
//! methods if the descriptor is valid.

use std::collections::{HashMap, HashSet};

use crate::json::Value;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MessageOptions, MethodDescriptorProto, ServiceDescriptorProto,
};
use prost_reflect::{DescriptorPool, MethodDescriptor};

use super::ir::{Argument, Declared, DeclaredKind, Entry, Operation, Ref, Scalar, To, Types};
use super::model::Target;
use super::names::capitalized;
use super::openapi;
use crate::gateway::GatewayRelease;
use crate::name::is_name;
use crate::openapi::keywords;
use crate::version::Version;

/// A gRPC method that gateways generate for an operation.
#[derive(Clone, Debug)]
pub struct GrpcMethod {
    /// `namespace.version.Service.operationId`.
    pub method: MethodDescriptor,
    /// In upper case.
    pub http_method: &'static str,
    /// The path of the operation, with its `{parameters}`.
    pub path: String,
    /// Whether its responses are in the field `value` of a generated message.
    pub is_wrapped: bool,
}

/// The methods of the gRPC service `namespace.version.Service` that gateways generate from a document, in
/// the order of its paths; empty if gateways route none. The whole document must be valid: with one
/// `oneOf` of objects in use, or one operationId that is not a name, there are no routes at all.
#[must_use]
pub fn grpc_methods(namespace: &str, version: &str, root: &Value) -> Vec<GrpcMethod> {
    make(namespace, version, root).unwrap_or_default()
}

fn make(namespace: &str, version: &str, root: &Value) -> Option<Vec<GrpcMethod>> {
    let version = Version::parse(version).ok()?;
    let package = format!("{namespace}.{version}");
    let service = openapi::service(namespace, version, None, root, GatewayRelease::default());
    let Types::OpenApi(types) = service.types else {
        return None;
    };
    let mut maker = Maker {
        root,
        package: package.clone(),
        file: FileDescriptorProto {
            name: Some(format!("{namespace}/{version}.proto")),
            package: Some(package.clone()),
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        },
        names: types.keys().cloned().collect(),
        enums: types
            .iter()
            .filter(|(_, it)| matches!(it.kind, DeclaredKind::Enum(_)))
            .map(|(name, _)| name.clone())
            .collect(),
    };
    let mut names: Vec<_> = types.iter().collect();
    names.sort_by(|a, b| a.0.cmp(b.0));
    for (name, declared) in names {
        match &declared.kind {
            DeclaredKind::Object(fields) => {
                let fields = fields.iter().map(|it| (it.source.as_str(), &it.of));
                let mut fields: Vec<_> = fields.collect();
                fields.sort_by_key(|it| it.0);
                let message = maker.message(name, fields);
                maker.file.message_type.push(message);
            }
            DeclaredKind::Enum(values) => {
                let values = values.iter().map(|it| it.name.as_str());
                maker.file.enum_type.push(enumeration(name, values));
            }
            // A message that refers to one makes the whole descriptor invalid.
            DeclaredKind::Union(_) | DeclaredKind::Input(_) | DeclaredKind::Scalar => {}
        }
    }
    let (mut methods, mut targets) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for entry in &service.entries {
        let Entry::Operation(operation) = entry else {
            continue;
        };
        let Target::Http { method, path } = &operation.target else {
            continue;
        };
        // Two methods with one name make the descriptor invalid.
        if !known.insert(operation.name.as_str()) {
            return None;
        }
        let (made, is_wrapped) = maker.method(operation, &types)?;
        methods.push(made);
        targets.push((*method, path.clone(), is_wrapped));
    }
    maker.file.service.push(ServiceDescriptorProto {
        name: Some("Service".to_owned()),
        method: methods,
        ..ServiceDescriptorProto::default()
    });
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_proto(maker.file).ok()?;
    let service = pool.get_service_by_name(&format!("{package}.Service"))?;
    let made = service.methods().zip(targets);
    let made = made.map(|(method, (http_method, path, is_wrapped))| GrpcMethod {
        method,
        http_method,
        path,
        is_wrapped,
    });
    Some(made.collect())
}

struct Maker<'a> {
    root: &'a Value,
    package: String,
    file: FileDescriptorProto,
    /// The names of all types.
    names: HashSet<String>,
    enums: HashSet<String>,
}

impl Maker<'_> {
    fn method(
        &mut self,
        operation: &Operation,
        types: &HashMap<String, Declared>,
    ) -> Option<(MethodDescriptorProto, bool)> {
        // With one invalid name, no method of the document has a route.
        if !is_name(&operation.name) {
            return None;
        }
        let arguments = operation.arguments.iter();
        let mut known = HashSet::new();
        let mut fields = Vec::new();
        for Argument { name, of, .. } in arguments {
            if !known.insert(name.as_str()) {
                return None;
            }
            fields.push((name.as_str(), of));
        }
        let request = self.free_name(&format!("{}Request", operation.name));
        let message = self.message(&request, fields);
        self.file.message_type.push(message);
        let (response, is_wrapped) = match &operation.result.to {
            To::Named(name)
                if matches!(
                    types.get(name).map(|it| &it.kind),
                    Some(DeclaredKind::Object(_))
                ) =>
            {
                (name.clone(), false)
            }
            _ => {
                let name = self.free_name(&format!("{}Response", operation.name));
                let value = self.has_value(operation).then_some(&operation.result);
                let fields = value.map(|of| ("value", of)).into_iter().collect();
                let message = self.message(&name, fields);
                let is_wrapped = !message.field.is_empty();
                self.file.message_type.push(message);
                (name, is_wrapped)
            }
        };
        let full = |name: &str| Some(format!(".{}.{name}", self.package));
        let method = MethodDescriptorProto {
            name: Some(operation.name.clone()),
            input_type: full(&request),
            output_type: full(&response),
            ..MethodDescriptorProto::default()
        };
        Some((method, is_wrapped))
    }

    fn free_name(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.names.insert(name.clone()) {
            name += "_Wrap";
        }
        name
    }

    /// Whether the operation declares a response with a JSON schema.
    fn has_value(&self, operation: &Operation) -> bool {
        let Target::Http { method, path } = &operation.target else {
            return false;
        };
        let item = self.root.get("paths").and_then(|it| it.get(path));
        let Some(item) = item else { return false };
        let (item, _) = keywords::path_item(self.root, path, item);
        let responses = item
            .get(&method.to_ascii_lowercase())
            .and_then(|it| it.get("responses"));
        let schema_of = |status: &str| {
            let response = responses?.get(status)?;
            let reference = response.get("$ref").and_then(Value::as_str);
            let followed = reference.and_then(|it| keywords::target(self.root, it));
            let response = followed.map_or(response, |it| it.0);
            response
                .get("content")?
                .get("application/json")?
                .get("schema")
        };
        let mut statuses = ["200", "2XX", "201", "default"].into_iter();
        statuses.any(|status| schema_of(status).is_some())
    }

    fn message(&self, name: &str, fields: Vec<(&str, &Ref)>) -> DescriptorProto {
        let mut message = DescriptorProto {
            name: Some(name.to_owned()),
            ..DescriptorProto::default()
        };
        for ((field, of), number) in fields.into_iter().zip(1..) {
            let full = |name: &str| Some(format!(".{}.{name}", self.package));
            let (kind, type_name) = match &of.to {
                To::Scalar(Scalar::JsonMap) => {
                    let entry = format!("{}Entry", upper_camel(field));
                    let type_name = full(&format!("{name}.{entry}"));
                    message.nested_type.push(map_entry(entry));
                    (Type::Message, type_name)
                }
                To::Scalar(scalar) => (scalar_type(*scalar), None),
                To::Named(of) if self.enums.contains(of) => (Type::Enum, full(of)),
                To::Named(of) => (Type::Message, full(of)),
            };
            let is_repeated = of.is_list || of.to == To::Scalar(Scalar::JsonMap);
            let label = match is_repeated {
                true => Label::Repeated,
                false => Label::Optional,
            };
            message.field.push(FieldDescriptorProto {
                label: Some(label.into()),
                type_name,
                ..plain_field(field, number, kind)
            });
        }
        message
    }
}

fn plain_field(name: &str, number: i32, kind: Type) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        ..FieldDescriptorProto::default()
    }
}

/// The type of the values does not matter: a map ends the gateway whatever it contains.
fn map_entry(name: String) -> DescriptorProto {
    DescriptorProto {
        name: Some(name),
        field: vec![
            plain_field("key", 1, Type::String),
            plain_field("value", 2, Type::String),
        ],
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..MessageOptions::default()
        }),
        ..DescriptorProto::default()
    }
}

fn enumeration<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> EnumDescriptorProto {
    let values = values
        .zip(0..)
        .map(|(value, number)| EnumValueDescriptorProto {
            name: Some(format!("{name}_{value}")),
            number: Some(number),
            ..EnumValueDescriptorProto::default()
        });
    EnumDescriptorProto {
        name: Some(name.to_owned()),
        value: values.collect(),
        ..EnumDescriptorProto::default()
    }
}

fn scalar_type(scalar: Scalar) -> Type {
    match scalar {
        Scalar::Int => Type::Int32,
        Scalar::Long => Type::Int64,
        Scalar::Float => Type::Double,
        Scalar::Single => Type::Float,
        Scalar::Boolean => Type::Bool,
        Scalar::String
        | Scalar::Id
        | Scalar::Upload
        | Scalar::Json
        | Scalar::JsonMap
        | Scalar::ProtoJson => Type::String,
    }
}

/// `snake_name` as `SnakeName`.
fn upper_camel(name: &str) -> String {
    name.split('_').map(capitalized).collect()
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    fn document(response: &Value) -> Value {
        json!({
            "openapi": "3.0.3", "info": { "title": "t", "version": "1" },
            "paths": { "/a/{id}": { "get": {
                "operationId": "getA",
                "parameters": [
                    { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
                    { "name": "n", "in": "query", "schema": { "type": "integer" } },
                ],
                "responses": { "200": { "description": "", "content": {
                    "application/json": { "schema": response } } } },
            } } },
            "components": { "schemas": {
                "A": { "type": "object", "properties": { "a": { "type": "string" } } },
                "B": { "type": "object", "properties": { "b": { "type": "string" } } },
                "Item": { "type": "object", "properties": {
                    "zeta": { "type": "string" },
                    "count": { "type": "integer" },
                    "big": { "type": "integer", "format": "int64" },
                    "kind": { "type": "string", "enum": ["a", "b"] },
                    "half": { "type": "number", "format": "float" },
                    "snake_tags": { "type": "array", "items": { "type": "string" } },
                    "labels": { "type": "object", "additionalProperties": { "type": "string" } },
                } },
                "Either": { "oneOf": [
                    { "$ref": "#/components/schemas/A" }, { "$ref": "#/components/schemas/B" }] },
            } },
        })
    }

    fn fields(of: &prost_reflect::MessageDescriptor) -> Vec<String> {
        of.fields()
            .map(|it| format!("{} {} {:?}", it.number(), it.name(), it.kind()))
            .collect()
    }

    #[test]
    fn methods_have_what_is_declared_by_name_and_in_order() {
        let item = json!({ "$ref": "#/components/schemas/Item" });
        let methods = grpc_methods("oas", "v1", &document(&item));
        assert!(!methods[0].is_wrapped);
        let method = methods[0].method.clone();
        assert_eq!(method.full_name(), "oas.v1.Service.getA");
        assert_eq!(fields(&method.input()), ["1 id string", "2 n int32"]);
        let names: Vec<_> = method
            .output()
            .fields()
            .map(|it| it.name().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "big",
                "count",
                "half",
                "kind",
                "labels",
                "snake_tags",
                "zeta"
            ]
        );
        assert!(method.output().get_field(5).is_some_and(|it| it.is_map()));
        // A plain value is wrapped.
        let methods = grpc_methods("oas", "v1", &document(&json!({ "type": "string" })));
        assert!(methods[0].is_wrapped);
        let method = methods[0].method.clone();
        assert_eq!(method.output().name(), "getAResponse");
        assert_eq!(fields(&method.output()), ["1 value string"]);
    }

    /// An unused union is harmless.
    #[test]
    fn one_union_that_is_used_leaves_no_route() {
        let either = json!({ "$ref": "#/components/schemas/Either" });
        assert!(grpc_methods("oas", "v1", &document(&either)).is_empty());
        let mut named = document(&json!({ "type": "string" }));
        assert!(!grpc_methods("oas", "v1", &named).is_empty());
        named["paths"]["/a/{id}"]["get"]["operationId"] = json!("get-a");
        assert!(grpc_methods("oas", "v1", &named).is_empty());
    }
}
