//! What happens to calls of the methods of a proto service.

use std::collections::HashMap;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Syntax};

use super::feature::Feature;
use super::{Operation, Subject, graphql_addresses, reach};
use crate::graphql::{OperationKind, Schema, Target};
use crate::location::Location;
use crate::proto::{Compiled, path_of};

/// A trait of a field that does not survive a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Property {
    /// `uint64` and `fixed64`.
    Unsigned64,
    /// `uint32` and `fixed32`.
    Unsigned32,
    /// A map, or a type that contains one.
    Map,
    Bytes,
    /// Any number.
    Number,
    Enum,
    /// A proto2 default.
    Default,
    /// Presence, except of messages.
    Optional,
    /// Types with a JSON form of their own.
    WellKnown,
}

const PROPERTIES: [Property; 9] = [
    Property::Unsigned64,
    Property::Unsigned32,
    Property::Map,
    Property::Bytes,
    Property::Number,
    Property::Enum,
    Property::Default,
    Property::Optional,
    Property::WellKnown,
];

pub(crate) fn operations(compiled: &Compiled, schema: &Schema) -> Vec<Operation> {
    let reached = Reached::new(compiled);
    let addresses = graphql_addresses(schema);
    let Some(entry) = compiled.entry() else {
        return Vec::new();
    };
    let mut operations = Vec::new();
    for method in entry
        .services()
        .flat_map(|it| it.methods().collect::<Vec<_>>())
    {
        let path = path_of(&method);
        let location = method.path().iter().copied().chain([1]).collect();
        let mut operation = Operation {
            name: path.clone(),
            location: Location::Proto(entry.name().into(), location),
            grpc: None,
            http: None,
            graphql: None,
            seen: Vec::new(),
        };
        if method.is_client_streaming() {
            operation.see_itself(Feature::ClientStream);
            operations.push(operation);
            continue;
        }
        let is_stream = method.is_server_streaming();
        let kind = match is_stream {
            true => OperationKind::Subscription,
            false => OperationKind::Query,
        };
        let target = Target::Grpc {
            path: path.clone(),
            request: method.input().full_name().to_owned(),
            response: method.output().full_name().to_owned(),
            is_client_streaming: false,
            is_server_streaming: is_stream,
        };
        operation.graphql = addresses.get(&(kind, target)).map(|it| it.0.clone());
        operation.http = Some(match is_stream {
            true => format!("GET /api/ingress{path}?field=…, as server-sent events"),
            false => format!("POST /api/ingress{path}"),
        });
        operation.grpc = Some(path);
        match is_stream {
            true => of_stream(&mut operation, &method, &reached),
            false => of_unary(&mut operation, &method, &reached),
        }
        of_arguments(&mut operation, &method);
        operations.push(operation);
    }
    operations
}

fn of_stream(operation: &mut Operation, method: &MethodDescriptor, reached: &Reached) {
    let (input, output) = (method.input(), method.output());
    let (asked, answered) = (|it| reached.of(&input, it), |it| reached.of(&output, it));
    operation.see(Feature::Unsigned64InStream, answered(Property::Unsigned64));
    operation.see(Feature::Unsigned64ToStream, asked(Property::Unsigned64));
    operation.see(Feature::MapToStream, asked(Property::Map));
    operation.see(Feature::Unsigned32InStream, answered(Property::Unsigned32));
    operation.see(Feature::Unsigned32ToStream, asked(Property::Unsigned32));
    operation.see_itself(Feature::StreamStatus);
    operation.see(Feature::BytesInStream, answered(Property::Bytes));
    operation.see(Feature::BytesInRequest, asked(Property::Bytes));
    operation.see(Feature::Proto2Default, answered(Property::Default));
    let with = |is: fn(&FieldDescriptor) -> bool| {
        let fields = input.fields().filter(is);
        fields.map(|it| subject(&it)).collect::<Vec<_>>()
    };
    operation.see(
        Feature::BoolInQuery,
        with(|it| matches!(it.kind(), Kind::Bool) && !it.is_list()),
    );
    operation.see(Feature::RepeatedInQuery, with(FieldDescriptor::is_list));
}

fn of_unary(operation: &mut Operation, method: &MethodDescriptor, reached: &Reached) {
    let (input, output) = (method.input(), method.output());
    let (asked, answered) = (|it| reached.of(&input, it), |it| reached.of(&output, it));
    operation.see(Feature::Unsigned64InAnswer, answered(Property::Unsigned64));
    operation.see(Feature::Unsigned64InRequest, asked(Property::Unsigned64));
    operation.see(Feature::MapInRequest, asked(Property::Map));
    operation.see(Feature::BytesInAnswer, answered(Property::Bytes));
    operation.see(Feature::BytesInRequest, asked(Property::Bytes));
    operation.see(Feature::NumberInRequest, asked(Property::Number));
    operation.see(Feature::WellKnownInRequest, asked(Property::WellKnown));
    operation.see(Feature::EnumInAnswer, answered(Property::Enum));
    operation.see(Feature::Proto2Default, answered(Property::Default));
    operation.see(Feature::OptionalInAnswer, answered(Property::Optional));
}

/// The fields of a request, as GraphQL arguments; the fields of messages in it are carried.
fn of_arguments(operation: &mut Operation, method: &MethodDescriptor) {
    let (mut underscored, mut repeated) = (Vec::new(), Vec::new());
    for field in method.input().fields().filter(|it| !it.is_map()) {
        if field.is_list() {
            repeated.push(subject(&field));
        } else if field.name().contains('_') {
            underscored.push(subject(&field));
        }
    }
    operation.see(Feature::UnderscoredArgument, underscored);
    operation.see(Feature::RepeatedArgument, repeated);
}

/// `Message.field`, without the package.
fn subject(field: &FieldDescriptor) -> Subject {
    let message = field.parent_message();
    let package = message.package_name();
    let name = match package.is_empty() {
        true => field.full_name(),
        false => field
            .full_name()
            .get(package.len() + 1..)
            .unwrap_or_default(),
    };
    let path = field.path().iter().copied().chain([1]).collect();
    Subject {
        name: name.to_owned(),
        location: Location::Proto(message.parent_file().name().into(), path),
    }
}

/// The features in and below each message.
struct Reached {
    by_property: HashMap<Property, HashMap<String, Vec<Subject>>>,
}

impl Reached {
    fn new(compiled: &Compiled) -> Self {
        let mut users: HashMap<String, Vec<String>> = HashMap::new();
        let mut having: HashMap<Property, Vec<(String, Subject)>> = HashMap::new();
        let mut messages: Vec<MessageDescriptor> = compiled.messages().collect();
        messages.sort_by(|a, b| a.full_name().cmp(b.full_name()));
        for message in messages {
            for field in message.fields() {
                for property in properties(&field) {
                    let known = having.entry(property).or_default();
                    known.push((message.full_name().to_owned(), subject(&field)));
                }
                if let Kind::Message(of) = field.kind()
                    && !is_whole(of.full_name())
                {
                    let users = users.entry(of.full_name().to_owned()).or_default();
                    users.push(message.full_name().to_owned());
                }
            }
        }
        let by_property = PROPERTIES.into_iter().map(|property| {
            let having = having.remove(&property).unwrap_or_default();
            (property, reach(having, &users))
        });
        Self {
            by_property: by_property.collect(),
        }
    }

    fn of(&self, message: &MessageDescriptor, property: Property) -> Vec<Subject> {
        let found = self.by_property.get(&property);
        let found = found.and_then(|it| it.get(message.full_name()));
        found.cloned().unwrap_or_default()
    }
}

/// Types that count by the fields that use them, not by their contents.
fn is_whole(name: &str) -> bool {
    let Some(name) = name.strip_prefix("google.protobuf.") else {
        return false;
    };
    let free = [
        "Struct",
        "Value",
        "ListValue",
        "Any",
        "Timestamp",
        "Duration",
    ];
    free.contains(&name) || name.ends_with("Value")
}

fn properties(field: &FieldDescriptor) -> Vec<Property> {
    let mut found = Vec::new();
    if field.is_map() {
        found.push(Property::Map);
    }
    let syntax = field.parent_message().parent_file().syntax();
    let descriptor = field.field_descriptor_proto();
    if syntax == Syntax::Proto2 && descriptor.default_value.is_some() {
        found.push(Property::Default);
    }
    if field.supports_presence() && !matches!(field.kind(), Kind::Message(_)) {
        found.push(Property::Optional);
    }
    match field.kind() {
        Kind::Uint64 | Kind::Fixed64 => found.extend([Property::Unsigned64, Property::Number]),
        Kind::Uint32 | Kind::Fixed32 => found.extend([Property::Unsigned32, Property::Number]),
        Kind::Int32
        | Kind::Sint32
        | Kind::Sfixed32
        | Kind::Int64
        | Kind::Sint64
        | Kind::Sfixed64
        | Kind::Float
        | Kind::Double => found.push(Property::Number),
        Kind::Bytes => found.push(Property::Bytes),
        Kind::Enum(_) => found.push(Property::Enum),
        Kind::Message(of) => match of.full_name() {
            "google.protobuf.UInt64Value" => {
                found.extend([Property::Unsigned64, Property::WellKnown]);
            }
            "google.protobuf.UInt32Value" => {
                found.extend([Property::Unsigned32, Property::WellKnown]);
            }
            "google.protobuf.BytesValue" => {
                found.extend([Property::Bytes, Property::WellKnown]);
            }
            "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue" => {
                found.push(Property::Map);
            }
            name if is_whole(name) => found.push(Property::WellKnown),
            _ => {}
        },
        Kind::Bool | Kind::String => {}
    }
    found
}
