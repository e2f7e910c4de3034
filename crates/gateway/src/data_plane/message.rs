//! Converts messages of services to values, and values to messages, as a gateway does for streams
//! and for everything except gRPC.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage};

use super::json::{self, Value};
use tower_gwag_schema::proto::name_of;

/// A field that ends a gateway's process, or the connection of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deadly(pub(super) String);

/// Why a message cannot be made from a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The gateway's text.
    Text(String),
    Deadly(Deadly),
}

/// The name of a field outside of gRPC: the letter after an underscore is in upper case, the first
/// letter in lower case, and `json_name` is ignored.
pub(super) fn lower_camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (n, part) in name.split('_').enumerate() {
        let mut letters = part.chars();
        if let Some(first) = letters.next() {
            match n {
                0 => out.push(first.to_ascii_lowercase()),
                _ => out.push(first.to_ascii_uppercase()),
            }
            out.push_str(letters.as_str());
        }
    }
    out
}

// === streams by gRPC ===

/// What a gateway fails at when it decodes a message: first what ends it
/// (crash-grpc-stream-answer-f_fixed64, crash-grpc-stream-map-request), then what it cannot encode
/// again (grpc-stream-answer-f_uint32).
pub(super) fn rebuild(message: &DynamicMessage, is_request: bool) -> Result<(), Misfit> {
    if let Some(name) = deadly(message, is_request) {
        return Err(Misfit::Deadly(Deadly(name)));
    }
    match unsigned(message) {
        None => Ok(()),
        Some(place) => Err(Misfit::Text(format!("{place}expected number, got uint64"))),
    }
}

fn parts(value: &prost_reflect::Value) -> Vec<&prost_reflect::Value> {
    match value {
        prost_reflect::Value::List(all) => all.iter().collect(),
        prost_reflect::Value::Map(map) => map.values().collect(),
        one => vec![one],
    }
}

/// The first field, at any depth, that is an unsigned 64-bit number, or a map in a request.
fn deadly(message: &DynamicMessage, maps_too: bool) -> Option<String> {
    for (field, value) in message.fields() {
        let is_long = matches!(field.kind(), Kind::Uint64 | Kind::Fixed64);
        if is_long || (maps_too && field.is_map()) {
            return Some(field.full_name().to_owned());
        }
        for part in parts(value) {
            if let prost_reflect::Value::Message(inner) = part
                && let Some(name) = deadly(inner, maps_too)
            {
                return Some(name);
            }
        }
    }
    None
}

/// The path to the first field that is an unsigned 32-bit number.
fn unsigned(message: &DynamicMessage) -> Option<String> {
    for (field, value) in message.fields() {
        if matches!(field.kind(), Kind::Uint32 | Kind::Fixed32) {
            return Some(format!("field {}: ", field.name()));
        }
        for part in parts(value) {
            if let prost_reflect::Value::Message(inner) = part
                && let Some(place) = unsigned(inner)
            {
                return Some(format!("field {}: {place}", field.name()));
            }
        }
    }
    None
}

/// Drops fields that the schema does not know, at every level (grpc-stream-unknown-fields).
pub(super) fn forget_unknown(message: &mut DynamicMessage) {
    message.take_unknown_fields().for_each(drop);
    // Extensions declared elsewhere are unknown, too (new-grpc-old-extension-stream).
    let extensions: Vec<_> = message.extensions().map(|(it, _)| it).collect();
    for extension in extensions {
        message.clear_extension(&extension);
    }
    for (_, value) in message.fields_mut() {
        match value {
            prost_reflect::Value::Message(inner) => forget_unknown(inner),
            prost_reflect::Value::List(all) => {
                for it in all {
                    if let prost_reflect::Value::Message(inner) = it {
                        forget_unknown(inner);
                    }
                }
            }
            prost_reflect::Value::Map(map) => {
                for it in map.values_mut() {
                    if let prost_reflect::Value::Message(inner) = it {
                        forget_unknown(inner);
                    }
                }
            }
            _ => {}
        }
    }
}

// === answers ===

/// Converts a message: unset fields are left out, 64-bit numbers are texts, enums numbers, bytes
/// texts.
///
/// # Errors
///
/// The message has an unsigned 64-bit number (http-proto-answer-uint64).
pub(super) fn to_value(message: &DynamicMessage) -> Result<Value, Deadly> {
    let mut map = BTreeMap::new();
    for (field, value) in message.fields() {
        let value = match value {
            prost_reflect::Value::List(all) => Value::Array(
                all.iter()
                    .map(|it| part_to_value(&field, it))
                    .collect::<Result<_, _>>()?,
            ),
            prost_reflect::Value::Map(_) => return Err(Deadly(field.full_name().to_owned())),
            one => part_to_value(&field, one)?,
        };
        map.insert(lower_camel(name_of(&field)), value);
    }
    Ok(Value::Object(map))
}

fn part_to_value(field: &FieldDescriptor, value: &prost_reflect::Value) -> Result<Value, Deadly> {
    Ok(match value {
        prost_reflect::Value::Bool(it) => Value::Bool(*it),
        prost_reflect::Value::I32(it) => Value::Int((*it).into()),
        prost_reflect::Value::I64(it) => Value::String(it.to_string()),
        prost_reflect::Value::U32(it) => Value::Unsigned((*it).into()),
        prost_reflect::Value::U64(_) => return Err(Deadly(field.full_name().to_owned())),
        prost_reflect::Value::F32(it) => Value::Float((*it).into()),
        prost_reflect::Value::F64(it) => Value::Float(*it),
        prost_reflect::Value::String(it) => Value::String(it.clone()),
        prost_reflect::Value::Bytes(it) => Value::String(json::raw_text(it)),
        prost_reflect::Value::EnumNumber(it) => Value::Int((*it).into()),
        prost_reflect::Value::Message(inner) => to_value(inner)?,
        prost_reflect::Value::List(_) | prost_reflect::Value::Map(_) => Value::Null,
    })
}

// === requests ===

/// Makes a message from values by lowerCamel names; unknown names are ignored.
pub(super) fn from_values(
    descriptor: &MessageDescriptor,
    values: &BTreeMap<String, Value>,
) -> Result<DynamicMessage, Misfit> {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        let Some(value) = values.get(&lower_camel(name_of(&field))) else {
            continue;
        };
        let value = field_value(&field, value).map_err(|misfit| match misfit {
            Misfit::Text(text) => Misfit::Text(format!("field {}: {text}", field.name())),
            deadly => deadly,
        })?;
        message.set_field(&field, value);
    }
    Ok(message)
}

fn field_value(field: &FieldDescriptor, value: &Value) -> Result<prost_reflect::Value, Misfit> {
    if field.is_map() {
        return match value {
            // http-mapreq: any object ends the connection.
            Value::Object(_) => Err(Misfit::Deadly(Deadly(field.full_name().to_owned()))),
            other => Err(expected("object", other)),
        };
    }
    if field.is_list() {
        let Value::Array(all) = value else {
            return Err(expected("list", value));
        };
        let all = all
            .iter()
            .map(|it| one_value(field, it))
            .collect::<Result<_, _>>()?;
        return Ok(prost_reflect::Value::List(all));
    }
    one_value(field, value)
}

fn expected(what: &str, value: &Value) -> Misfit {
    Misfit::Text(format!("expected {what}, got {}", value.type_name()))
}

fn one_value(field: &FieldDescriptor, value: &Value) -> Result<prost_reflect::Value, Misfit> {
    Ok(match field.kind() {
        Kind::Bool => match value {
            Value::Bool(it) => prost_reflect::Value::Bool(*it),
            other => return Err(expected("bool", other)),
        },
        Kind::String => match value {
            Value::String(it) => prost_reflect::Value::String(it.clone()),
            other => return Err(expected("string", other)),
        },
        // The text itself, not decoded from base64 (http-proto-bytes).
        Kind::Bytes => match value {
            Value::String(it) => prost_reflect::Value::Bytes(Bytes::from(it.clone().into_bytes())),
            other => return Err(expected("string or []byte for bytes", other)),
        },
        Kind::Message(inner) => match value {
            Value::Object(map) => prost_reflect::Value::Message(from_values(&inner, map)?),
            other => return Err(expected("object", other)),
        },
        Kind::Enum(inner) => match value {
            // Enum values of OpenAPI documents are prefixed with the name of the enum.
            Value::String(name) => match inner
                .get_value_by_name(name)
                .or_else(|| inner.get_value_by_name(&format!("{}_{name}", inner.name())))
            {
                Some(it) => prost_reflect::Value::EnumNumber(it.number()),
                None => {
                    return Err(Misfit::Text(format!(
                        "unknown enum value {name:?} for {}",
                        inner.full_name()
                    )));
                }
            },
            Value::Int(number) => prost_reflect::Value::EnumNumber(*number as i32),
            other => return Err(expected("enum int|string", other)),
        },
        Kind::Float => prost_reflect::Value::F32(float(value)? as f32),
        Kind::Double => prost_reflect::Value::F64(float(value)?),
        // Numbers are truncated to the size of the field.
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            prost_reflect::Value::I32(integer(value)? as i32)
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => prost_reflect::Value::I64(integer(value)?),
        Kind::Uint32 | Kind::Fixed32 => prost_reflect::Value::U32(integer(value)? as u32),
        Kind::Uint64 | Kind::Fixed64 => prost_reflect::Value::U64(integer(value)? as u64),
    })
}

/// Numbers of a JSON text do not count, texts do (http-proto-number, http-proto-number-as-string).
fn integer(value: &Value) -> Result<i64, Misfit> {
    match value {
        Value::Int(it) => Ok(*it),
        Value::Float(it) => Ok(*it as i64),
        Value::String(text) => {
            use std::num::IntErrorKind;
            let plain = text.strip_prefix('+').unwrap_or(text);
            plain.parse::<i64>().map_err(|error| {
                let why = match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                    _ => "invalid syntax",
                };
                Misfit::Text(format!("strconv.ParseInt: parsing {text:?}: {why}"))
            })
        }
        other => Err(expected("number", other)),
    }
}

fn float(value: &Value) -> Result<f64, Misfit> {
    match value {
        Value::Int(it) => Ok(*it as f64),
        Value::Float(it) => Ok(*it),
        Value::String(text) => {
            let fault =
                |why: &str| Misfit::Text(format!("strconv.ParseFloat: parsing {text:?}: {why}"));
            let number: f64 = text.parse().map_err(|_| fault("invalid syntax"))?;
            if number.is_nan() {
                // The gateway's own value, bit by bit (new-grpc-oas-answer-24).
                return Ok(f64::from_bits(0x7ff8_0000_0000_0001));
            }
            let is_named = text
                .trim_start_matches(['+', '-'])
                .starts_with(|c: char| c.is_alphabetic());
            if number.is_infinite() && !is_named {
                return Err(fault("value out of range"));
            }
            Ok(number)
        }
        other => Err(expected("number", other)),
    }
}

// === bytes ===

/// Encodes a message.
///
/// # Errors
///
/// A required field is missing (http-proto-two-required-missing).
pub(super) fn encode(message: &DynamicMessage) -> Result<Bytes, String> {
    let bytes = prost::Message::encode_to_vec(message);
    super::wire::check(&message.descriptor(), &bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_underscores() {
        for (name, camel) in [
            ("f_int32", "fInt32"),
            ("with_2_digits", "with2Digits"),
            ("HTTPCode", "hTTPCode"),
            ("trailing_", "trailing"),
            ("y2_z", "y2Z"),
            ("_leading", "Leading"),
        ] {
            assert_eq!(lower_camel(name), camel);
        }
    }
}
