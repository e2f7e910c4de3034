//! Methods that end a gateway's process when they are called (gateway-issues.md, A call on a stream).

use std::collections::{BTreeMap, BTreeSet};

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// The verdict on a server-streaming method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It ends the gateway; the cause.
    Fatal(String),
    /// The type is imported, and the gateway does not show it.
    Unknown(String),
}

/// What matters about a message.
#[derive(Clone, Copy)]
struct Wanted {
    /// A map ends the gateway in requests only.
    maps: bool,
}

/// Server-streaming methods, `/package.Service/Method`, that are not harmless.
pub(crate) fn verdicts(set: &FileDescriptorSet) -> Vec<(String, Verdict)> {
    let mut messages = BTreeMap::new();
    for file in &set.file {
        let package = file.package();
        let prefix = if package.is_empty() {
            String::new()
        } else {
            format!(".{package}")
        };
        for message in &file.message_type {
            collect(&prefix, message, &mut messages);
        }
    }
    let mut found = Vec::new();
    for file in &set.file {
        for service in &file.service {
            for method in service
                .method
                .iter()
                .filter(|it| it.server_streaming() && !it.client_streaming())
            {
                let package = file.package();
                let dot = if package.is_empty() { "" } else { "." };
                let path = format!("/{package}{dot}{}/{}", service.name(), method.name());
                let request = look(&messages, method.input_type(), Wanted { maps: true });
                let answer = look(&messages, method.output_type(), Wanted { maps: false });
                let verdict = match (request, answer) {
                    (Some(Verdict::Fatal(by)), _) => {
                        Some(Verdict::Fatal(format!("its request has {by}")))
                    }
                    (_, Some(Verdict::Fatal(by))) => {
                        Some(Verdict::Fatal(format!("its answer has {by}")))
                    }
                    (Some(unknown), _) | (None, Some(unknown)) => Some(unknown),
                    (None, None) => None,
                };
                found.extend(verdict.map(|it| (path, it)));
            }
        }
    }
    found
}

fn collect<'a>(
    prefix: &str,
    message: &'a DescriptorProto,
    into: &mut BTreeMap<String, &'a DescriptorProto>,
) {
    let mut open = vec![(prefix.to_owned(), message)];
    while let Some((prefix, message)) = open.pop() {
        let name = format!("{prefix}.{}", message.name());
        open.extend(message.nested_type.iter().map(|it| (name.clone(), it)));
        into.insert(name, message);
    }
}

fn look(
    messages: &BTreeMap<String, &DescriptorProto>,
    root: &str,
    wanted: Wanted,
) -> Option<Verdict> {
    let mut seen = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    let mut unknown = None;
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let shown = name.trim_start_matches('.');
        let Some(message) = messages.get(&name) else {
            match shown {
                "google.protobuf.UInt64Value" => return Some(Verdict::Fatal(format!("a {shown}"))),
                "google.protobuf.Struct"
                | "google.protobuf.Value"
                | "google.protobuf.ListValue"
                    if wanted.maps =>
                {
                    return Some(Verdict::Fatal(format!("a map (in {shown})")));
                }
                _ if shown.starts_with("google.protobuf.") => {}
                _ => unknown = unknown.or_else(|| Some(Verdict::Unknown(shown.to_owned()))),
            }
            continue;
        };
        let is_map = message
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry);
        if is_map && wanted.maps {
            return Some(Verdict::Fatal(format!("a map (in {shown})")));
        }
        for field in &message.field {
            match field.r#type() {
                Type::Uint64 | Type::Fixed64 => {
                    let kind = field
                        .r#type()
                        .as_str_name()
                        .trim_start_matches("TYPE_")
                        .to_ascii_lowercase();
                    return Some(Verdict::Fatal(format!(
                        "the {kind} {shown}.{}",
                        field.name()
                    )));
                }
                Type::Message | Type::Group => open.push(field.type_name().to_owned()),
                _ => {}
            }
        }
    }
    unknown
}
