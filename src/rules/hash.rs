//! The canonical hash of a schema (contract § 4).

use prost::Message;
use prost_reflect::FileDescriptor;
use prost_reflect::prost_types::field_descriptor_proto::Type;
use prost_reflect::prost_types::source_code_info::Location;
use prost_reflect::prost_types::{DescriptorProto, SourceCodeInfo};
use sha2::{Digest, Sha256};

use super::proto::Compiled;

/// A canonical hash, and whether it is surely what a gateway computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SchemaHash {
    /// 64 lower-case hex digits.
    pub(crate) hex: String,
    /// Why a gateway may compute another one; `None` when the hash is exact.
    pub(crate) unsure: Option<&'static str>,
}

/// The hash of raw bytes: an OpenAPI document, or the `data` member of an introspection reply.
pub(crate) fn of_bytes(bytes: &[u8]) -> SchemaHash {
    SchemaHash {
        hex: hex(&Sha256::digest(bytes)),
        unsure: None,
    }
}

/// The hash of a compiled proto: over the descriptor set, files by name, source info included.
pub(crate) fn of_proto(compiled: &Compiled) -> SchemaHash {
    let mut files: Vec<FileDescriptor> = compiled.files().collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    let mut hasher = Sha256::new();
    for file in &files {
        let encoded = canonical_file(file, compiled.source_of(file.name()));
        let mut head = Vec::with_capacity(6);
        // Field 1 of FileDescriptorSet, length-delimited.
        prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut head);
        prost::encoding::encode_varint(encoded.len() as u64, &mut head);
        hasher.update(&head);
        hasher.update(&encoded);
    }
    SchemaHash {
        hex: hex(&hasher.finalize()),
        unsure: files.iter().find_map(|file| doubt(file, compiled)),
    }
}

/// What of a file a gateway's compiler describes in a way that this one cannot be sure of.
fn doubt(file: &FileDescriptor, compiled: &Compiled) -> Option<&'static str> {
    if file.name() == "google/protobuf/descriptor.proto" {
        return Some("the gateway has its own descriptor.proto, and so its own custom options");
    }
    let source = compiled.source_of(file.name())?;
    if source.starts_with('\u{feff}') {
        return Some("a byte-order mark");
    }
    let descriptor = file.file_descriptor_proto();
    if !descriptor.extension.is_empty() {
        return Some("extensions");
    }
    descriptor.message_type.iter().find_map(doubt_message)
}

fn doubt_message(message: &DescriptorProto) -> Option<&'static str> {
    let fields = message.field.iter().chain(&message.extension);
    for field in fields {
        if field.default_value.is_some() {
            return Some("a proto2 default");
        }
        if field.r#type() == Type::Group {
            return Some("a group");
        }
    }
    if !message.extension.is_empty() || !message.extension_range.is_empty() {
        return Some("extensions");
    }
    message.nested_type.iter().find_map(doubt_message)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A file's bytes, with source info in protoc's order; built-in files carry none.
fn canonical_file(file: &FileDescriptor, source: Option<&str>) -> Vec<u8> {
    let raw = file.encode_to_vec();
    let info = source.and_then(|source| {
        let info = file.file_descriptor_proto().source_code_info.clone()?;
        Some(canonical_source_info(info, source))
    });
    replace_source_info(&raw, info)
}

/// Swaps field 9 of an encoded FileDescriptorProto, and leaves every other byte as it is: decoding
/// it would lose options that are extensions.
fn replace_source_info(raw: &[u8], info: Option<SourceCodeInfo>) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut info = info.map(|info| {
        let body = info.encode_to_vec();
        let mut field = Vec::with_capacity(body.len() + 6);
        prost::encoding::encode_key(
            SOURCE_CODE_INFO,
            prost::encoding::WireType::LengthDelimited,
            &mut field,
        );
        prost::encoding::encode_varint(body.len() as u64, &mut field);
        field.extend_from_slice(&body);
        field
    });
    let mut rest = raw;
    while !rest.is_empty() {
        let Some((number, length)) = next_field(rest) else {
            break;
        };
        let (field, tail) = rest.split_at(length);
        rest = tail;
        if number >= SOURCE_CODE_INFO
            && let Some(info) = info.take()
        {
            out.extend_from_slice(&info);
        }
        if number != SOURCE_CODE_INFO {
            out.extend_from_slice(field);
        }
    }
    out.extend(info.into_iter().flatten());
    out.extend_from_slice(rest);
    out
}

const SOURCE_CODE_INFO: u32 = 9;

/// The number and the length, key included, of the first field; `None` for what is no message.
fn next_field(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut rest = bytes;
    let (number, wire_type) = prost::encoding::decode_key(&mut rest).ok()?;
    prost::encoding::skip_field(
        wire_type,
        number,
        &mut rest,
        prost::encoding::DecodeContext::default(),
    )
    .ok()?;
    Some((number, bytes.len() - rest.len()))
}

fn canonical_source_info(mut info: SourceCodeInfo, source: &str) -> SourceCodeInfo {
    let columns = Columns::new(source);
    for location in &mut info.location {
        columns.expand(&mut location.span);
    }
    info.location.sort_by_key(place);
    info
}

/// The order of the source text: by start line, start column, then the shorter path first.
fn place(location: &Location) -> (i32, i32, usize) {
    let at = |index: usize| location.span.get(index).copied().unwrap_or_default();
    (at(0), at(1), location.path.len())
}

/// Byte columns to protoc's columns, where a tab goes on to the next multiple of eight.
struct Columns<'a> {
    lines: Option<Vec<&'a str>>,
}

impl<'a> Columns<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            lines: source.contains('\t').then(|| source.split('\n').collect()),
        }
    }

    fn expand(&self, span: &mut [i32]) {
        let Some(lines) = &self.lines else { return };
        match span {
            [line, start, end] => {
                *start = column(lines, *line, *start);
                *end = column(lines, *line, *end);
            }
            [line, start, last_line, end] => {
                *start = column(lines, *line, *start);
                *end = column(lines, *last_line, *end);
            }
            _ => {}
        }
    }
}

fn column(lines: &[&str], line: i32, byte: i32) -> i32 {
    let line = usize::try_from(line).ok().and_then(|n| lines.get(n));
    let byte = usize::try_from(byte).unwrap_or_default();
    let bytes = line.map(|line| line.as_bytes()).unwrap_or_default();
    bytes.iter().take(byte).fold(0, |column, b| {
        if *b == b'\t' {
            column / 8 * 8 + 8
        } else {
            column + 1
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::proto::compile;
    use super::*;

    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        namespace: String,
        proto_source: String,
        proto_imports: HashMap<String, String>,
        hash_hex: String,
    }

    fn vectors() -> Vec<Vector> {
        serde_json::from_str(include_str!("../../tests/data/hash-vectors.json")).unwrap()
    }

    #[test]
    fn every_vector_is_exact_or_unsure() {
        let mut wrong = Vec::new();
        for vector in vectors() {
            let imports = vector
                .proto_imports
                .iter()
                .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
                .collect();
            let hash = match compile(&vector.namespace, vector.proto_source.as_bytes(), &imports) {
                Ok(compiled) => of_proto(&compiled),
                // Editions cannot be compiled here: no hash is no wrong hash.
                Err(_) if vector.name.starts_with("editions") => continue,
                Err(fault) => {
                    wrong.push((vector.name, fault.text));
                    continue;
                }
            };
            if hash.hex != vector.hash_hex && hash.unsure.is_none() {
                wrong.push((vector.name, hash.hex));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
