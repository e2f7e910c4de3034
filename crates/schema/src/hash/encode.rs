//! Encodes messages as Go's protobuf does. This matters for custom options: prost writes fields in the
//! order of their numbers, and does not know extensions.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::prost_types::FieldDescriptorProto;
use prost_reflect::prost_types::field_descriptor_proto::Label;
use prost_reflect::{DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MapKey, Value};

/// Appends a message; `None` if it has unknown fields.
///
/// Order: extensions, fields outside of oneofs, then the oneofs in order, each by number.
pub(crate) fn encode(message: &DynamicMessage, out: &mut Vec<u8>) -> Option<()> {
    if message.unknown_fields().next().is_some() {
        return None;
    }
    let mut extensions: Vec<(ExtensionDescriptor, &Value)> = message.extensions().collect();
    extensions.sort_by_key(|(it, _)| it.number());
    for (it, value) in extensions {
        let shape = Shape {
            number: it.number(),
            is_packed: is_packed(it.is_packed(), it.field_descriptor_proto()),
            is_group: it.is_group(),
        };
        field(&shape, &it.kind(), value, out)?;
    }
    let mut fields: Vec<(FieldDescriptor, &Value)> = message.fields().collect();
    fields.sort_by_key(|(it, _)| {
        let oneof = it.containing_oneof().filter(|it| !it.is_synthetic());
        (oneof.map(|it| it.path().last().copied()), it.number())
    });
    for (it, value) in fields {
        let shape = Shape {
            number: it.number(),
            is_packed: is_packed(it.is_packed(), it.field_descriptor_proto()),
            is_group: it.is_group(),
        };
        field(&shape, &it.kind(), value, out)?;
    }
    Some(())
}

/// In a file compiled from text, prost-reflect evaluates this before it has read the file's options, so
/// `[packed = false]` has no effect there.
fn is_packed(told: bool, field: &FieldDescriptorProto) -> bool {
    let options = field.options.as_ref();
    let is_repeated = field.label() == Label::Repeated;
    options
        .and_then(|it| it.packed)
        .map_or(told, |it| it && is_repeated)
}

struct Shape {
    number: u32,
    is_packed: bool,
    is_group: bool,
}

fn field(shape: &Shape, kind: &Kind, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::List(items) if items.is_empty() => {}
        Value::List(items) if shape.is_packed => {
            let mut packed = Vec::new();
            for item in items {
                scalar(kind, item, &mut packed)?;
            }
            delimited(shape.number, &packed, out);
        }
        Value::List(items) => {
            for item in items {
                one(shape, kind, item, out)?;
            }
        }
        Value::Map(entries) => {
            let entry = kind.as_message()?.clone();
            let (key, value) = (
                entry.map_entry_key_field().kind(),
                entry.map_entry_value_field(),
            );
            let shape_of = |number| Shape {
                number,
                is_packed: false,
                is_group: false,
            };
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (name, it) in entries {
                let mut bytes = Vec::new();
                one(&shape_of(1), &key, &of_key(name), &mut bytes)?;
                one(&shape_of(2), &value.kind(), it, &mut bytes)?;
                delimited(shape.number, &bytes, out);
            }
        }
        value => one(shape, kind, value, out)?,
    }
    Some(())
}

fn of_key(key: &MapKey) -> Value {
    key.clone().into()
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A value with its key.
fn one(shape: &Shape, kind: &Kind, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Message(message) if shape.is_group => {
            encode_key(shape.number, WireType::StartGroup, out);
            encode(message, out)?;
            encode_key(shape.number, WireType::EndGroup, out);
        }
        Value::Message(message) => {
            let mut bytes = Vec::new();
            encode(message, &mut bytes)?;
            delimited(shape.number, &bytes, out);
        }
        Value::String(text) => delimited(shape.number, text.as_bytes(), out),
        Value::Bytes(bytes) => delimited(shape.number, bytes, out),
        value => {
            encode_key(shape.number, wire_type(kind), out);
            scalar(kind, value, out)?;
        }
    }
    Some(())
}

fn wire_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        _ => WireType::Varint,
    }
}

/// A number without its key.
fn scalar(kind: &Kind, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (kind, value) {
        (Kind::Fixed32, Value::U32(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (Kind::Fixed64, Value::U64(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (Kind::Sfixed32, Value::I32(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (Kind::Sfixed64, Value::I64(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (Kind::Sint32, Value::I32(it)) => {
            encode_varint(u64::from(((it << 1) ^ (it >> 31)).cast_unsigned()), out);
        }
        (Kind::Sint64, Value::I64(it)) => {
            encode_varint(((it << 1) ^ (it >> 63)).cast_unsigned(), out);
        }
        (_, Value::F32(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (_, Value::F64(it)) => out.extend_from_slice(&it.to_le_bytes()),
        (_, Value::Bool(it)) => encode_varint(u64::from(*it), out),
        (_, Value::U32(it)) => encode_varint(u64::from(*it), out),
        (_, Value::U64(it)) => encode_varint(*it, out),
        (_, Value::I32(it) | Value::EnumNumber(it)) => {
            encode_varint(i64::from(*it).cast_unsigned(), out);
        }
        (_, Value::I64(it)) => encode_varint(it.cast_unsigned(), out),
        _ => return None,
    }
    Some(())
}
