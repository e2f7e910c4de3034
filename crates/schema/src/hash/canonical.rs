//! Computes the canonical hash of a schema (contract § 4).

use hmac_sha256::Hash;
use prost::Message;
use prost::encoding::WireType;
use prost_reflect::prost_types::field_descriptor_proto::Type;
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, SourceCodeInfo,
};
use prost_reflect::{DynamicMessage, FileDescriptor, Value};

use crate::proto::Compiled;
use crate::proto::lex::Source;
use crate::proto::preprocess;
use crate::proto::source_info;

use super::SchemaHash;
use super::encode::encode;

/// The hash of raw bytes: an OpenAPI document, or the `data` member of an introspection reply.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    hex(&Hash::hash(bytes))
}

/// The hash of a compiled proto: over its [`descriptor_set`].
#[must_use]
pub fn of_proto(compiled: &Compiled) -> SchemaHash {
    let (set, doubt) = descriptor_set(compiled);
    let hex = hex(&Hash::hash(&set));
    match doubt {
        None => SchemaHash::exact(hex),
        Some(doubt) => SchemaHash::unsure(Some(hex), doubt),
    }
}

/// The encoded FileDescriptorSet of a compiled proto: files by name, source info included; and the
/// reason why a gateway's may differ, if it may.
#[must_use]
pub fn descriptor_set(compiled: &Compiled) -> (Vec<u8>, Option<&'static str>) {
    let mut files: Vec<FileDescriptor> = compiled.files().collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    let mut unsure = files.iter().find_map(|file| doubt(file, compiled));
    let mut set = Vec::new();
    for file in &files {
        let source = compiled.source_of(file.name());
        let encoded = canonical_file(compiled, file, source).unwrap_or_else(|| {
            unsure = Some("source info or options that this compiler does not fully support");
            file.encode_to_vec()
        });
        // Field 1 of FileDescriptorSet.
        prost::encoding::encode_key(1, WireType::LengthDelimited, &mut set);
        prost::encoding::encode_varint(encoded.len() as u64, &mut set);
        set.extend_from_slice(&encoded);
    }
    (set, unsure)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const DESCRIPTOR: &str = "google/protobuf/descriptor.proto";

/// The reason why a gateway's compiler may describe this file differently, if any.
fn doubt(file: &FileDescriptor, compiled: &Compiled) -> Option<&'static str> {
    compiled.source_of(file.name())?;
    if compiled.is_edition(file.name()) {
        return Some("an edition");
    }
    if file.name() == DESCRIPTOR {
        return Some("its own descriptor.proto, with which gateways write options in any order");
    }
    let descriptor = file.file_descriptor_proto();
    let of_extensions = descriptor.extension.iter().find_map(doubt_field);
    of_extensions.or_else(|| descriptor.message_type.iter().find_map(doubt_message))
}

fn doubt_message(message: &DescriptorProto) -> Option<&'static str> {
    if !message.extension_range.is_empty() {
        return Some("ranges of extensions");
    }
    let mut fields = message.field.iter().chain(&message.extension);
    let of_fields = fields.find_map(doubt_field);
    of_fields.or_else(|| message.nested_type.iter().find_map(doubt_message))
}

fn doubt_field(field: &FieldDescriptorProto) -> Option<&'static str> {
    match field.r#type() {
        Type::Group => Some("a group"),
        Type::Double | Type::Float | Type::Bytes if field.default_value.is_some() => {
            Some("a default that can be written in more than one way")
        }
        _ => None,
    }
}

/// The bytes of a file as a gateway encodes it; `None` if its source info cannot be reproduced.
fn canonical_file(
    compiled: &Compiled,
    file: &FileDescriptor,
    source: Option<&str>,
) -> Option<Vec<u8>> {
    if let (None, Some(bytes)) = (source, preprocess::built_in_bytes(file.name())) {
        return Some(bytes.to_vec());
    }
    let mut descriptor = compiled.descriptor_of(file);
    // Built-in files have none.
    let info = descriptor.source_code_info.take();
    if let (Some(text), Some(info)) = (source, info) {
        let source = Source::read(text);
        note_empty_options(&mut descriptor, &info, &source);
        descriptor.source_code_info = Some(source_info::canonical(info, &source)?);
    }
    let whole = file.encode_to_vec();
    if whole.len() == file.file_descriptor_proto().encoded_len() {
        return Some(descriptor.encode_to_vec());
    }
    if compiled.is_renamed(file.name()) {
        return None;
    }
    with_custom_options(compiled, &descriptor, &whole)
}

/// The bytes of a file; `whole` is the compiler's encoding, with custom options.
fn with_custom_options(
    compiled: &Compiled,
    descriptor: &FileDescriptorProto,
    whole: &[u8],
) -> Option<Vec<u8>> {
    let kind = |name: &str| compiled.message(&format!("google.protobuf.{name}"));
    let mut file = DynamicMessage::decode(kind("FileDescriptorProto")?, whole).ok()?;
    let names = descriptor.dependency.iter().cloned().map(Value::String);
    let publics = descriptor.public_dependency.iter().copied();
    for (name, value) in [
        ("dependency", names.collect()),
        ("public_dependency", publics.map(Value::I32).collect()),
    ] {
        file.try_set_field_by_name(name, Value::List(value)).ok()?;
    }
    file.clear_field_by_name("source_code_info");
    if let Some(info) = &descriptor.source_code_info {
        let info = info.encode_to_vec();
        let info = DynamicMessage::decode(kind("SourceCodeInfo")?, &*info).ok()?;
        let info = Value::Message(info);
        file.try_set_field_by_name("source_code_info", info).ok()?;
    }
    let services = file.get_field_by_name_mut("service")?.as_list_mut()?;
    for (service, typed) in services.iter_mut().zip(&descriptor.service) {
        let methods = service.as_message_mut()?.get_field_by_name_mut("method");
        let methods = methods?.as_list_mut()?;
        for (method, typed) in methods.iter_mut().zip(&typed.method) {
            let method = method.as_message_mut()?;
            if typed.options.is_some() && !method.has_field_by_name("options") {
                let options = Value::Message(DynamicMessage::new(kind("MethodOptions")?));
                method.try_set_field_by_name("options", options).ok()?;
            }
        }
    }
    let mut bytes = Vec::new();
    encode(&file, &mut bytes)?;
    Some(bytes)
}

/// A method with braces has options, even if they are empty.
fn note_empty_options(
    descriptor: &mut FileDescriptorProto,
    info: &SourceCodeInfo,
    source: &Source<'_>,
) {
    for location in &info.location {
        // service, its index, method, its index
        let [6, service, 2, method] = location.path[..] else {
            continue;
        };
        let service = usize::try_from(service).ok();
        let method = usize::try_from(method).ok();
        if let Some(method) = service
            .and_then(|index| descriptor.service.get_mut(index))
            .and_then(|service| service.method.get_mut(method?))
            && source_info::ends_with_brace(&location.span, source)
        {
            method.options.get_or_insert_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::compile;
    use crate::recorded::{hash_vectors, hash_vectors_with_options};

    #[test]
    fn every_vector_is_exact_or_unsure() {
        let (mut exact, mut wrong) = (0, Vec::new());
        for vector in hash_vectors()
            .into_iter()
            .chain(hash_vectors_with_options())
        {
            let imports = vector.imports();
            let hash = match compile(&vector.namespace, vector.proto_source.as_bytes(), &imports) {
                Ok(compiled) => of_proto(&compiled),
                // Editions cannot be compiled here: no hash is not a wrong hash.
                Err(_) if vector.name.starts_with("editions") => continue,
                Err(fault) => {
                    wrong.push((vector.name, fault.text));
                    continue;
                }
            };
            if hash.is_exact() && hash.hex() == Some(&vector.hash_hex) {
                exact += 1;
            } else if hash.is_exact() {
                wrong.push((vector.name, hash.to_string()));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(exact > 72, "{exact}");
    }
}
