//! Encoded messages: whether a gateway can decode them, and where it puts unknown fields.

use bytes::Bytes;
use prost_reflect::{Cardinality, Kind, MessageDescriptor, Syntax};

/// How deep messages may be nested. A real gateway allows ten times as much.
const MAX_DEPTH: usize = 1000;

const BROKEN: &str = "cannot parse invalid wire-format data";

/// Checks a message as the gateway's decoder does; the error says what cannot be read.
pub(super) fn check(descriptor: &MessageDescriptor, bytes: &[u8]) -> Result<(), String> {
    let mut missing = None;
    let mut reader = Reader(bytes);
    message(descriptor, &mut reader, None, 0, &mut missing)?;
    match missing {
        None => Ok(()),
        Some(name) => Err(format!("required field {name} not set")),
    }
}

/// The same message with unknown fields after the known ones, as a gateway encodes it.
pub(super) fn unknown_last(descriptor: &MessageDescriptor, bytes: Bytes) -> Bytes {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut reader = Reader(&bytes);
    while !reader.0.is_empty() {
        let start = reader.0;
        let Some((number, wire)) = reader.tag() else {
            return bytes;
        };
        if reader.skip(number, wire, 0).is_none() {
            return bytes;
        }
        let field = &start[..start.len() - reader.0.len()];
        let is_known =
            descriptor.get_field(number).is_some() || descriptor.get_extension(number).is_some();
        if is_known { &mut known } else { &mut unknown }.extend_from_slice(field);
    }
    if unknown.is_empty() {
        return bytes;
    }
    known.extend_from_slice(&unknown);
    known.into()
}

fn message(
    descriptor: &MessageDescriptor,
    reader: &mut Reader<'_>,
    group: Option<u32>,
    depth: usize,
    missing: &mut Option<String>,
) -> Result<(), String> {
    let broken = || BROKEN.to_owned();
    if depth > MAX_DEPTH {
        return Err(broken());
    }
    let is_proto2 = descriptor.parent_file().syntax() == Syntax::Proto2;
    let mut seen = Vec::new();
    loop {
        if reader.0.is_empty() {
            if group.is_some() {
                return Err(broken());
            }
            break;
        }
        let (number, wire) = reader.tag().ok_or_else(broken)?;
        if wire == 4 {
            if group == Some(number) {
                break;
            }
            return Err(broken());
        }
        let Some(field) = descriptor.get_field(number) else {
            reader.skip(number, wire, depth).ok_or_else(broken)?;
            continue;
        };
        if is_proto2 {
            seen.push(number);
        }
        match (wire, field.kind()) {
            (2, Kind::Message(inner)) if !field.is_group() => {
                let mut part = Reader(reader.bytes().ok_or_else(broken)?);
                message(&inner, &mut part, None, depth + 1, missing)?;
            }
            (3, Kind::Message(inner)) if field.is_group() => {
                message(&inner, reader, Some(number), depth + 1, missing)?;
            }
            (2, Kind::String) => {
                let text = reader.bytes().ok_or_else(broken)?;
                if !is_proto2 && std::str::from_utf8(text).is_err() {
                    return Err(format!(
                        "field {} contains invalid UTF-8",
                        field.full_name()
                    ));
                }
            }
            _ => reader.skip(number, wire, depth).ok_or_else(broken)?,
        }
    }
    if is_proto2 && missing.is_none() {
        let required = descriptor.fields().find(|field| {
            field.cardinality() == Cardinality::Required && !seen.contains(&field.number())
        });
        *missing = required.map(|field| field.full_name().to_owned());
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (n, byte) in self.0.iter().enumerate().take(10) {
            if n == 9 && *byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                self.0 = &self.0[n + 1..];
                return Some(value);
            }
        }
        None
    }

    fn tag(&mut self) -> Option<(u32, u8)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let is_number = (1..1 << 29).contains(&number);
        is_number.then_some((number, (tag & 7) as u8))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    fn skip(&mut self, number: u32, wire: u8, depth: usize) -> Option<()> {
        match wire {
            0 => self.varint().map(drop),
            1 => self.take(8).map(drop),
            2 => self.bytes().map(drop),
            3 if depth <= MAX_DEPTH => loop {
                let (inner, wire) = self.tag()?;
                if wire == 4 {
                    return (inner == number).then_some(());
                }
                self.skip(inner, wire, depth + 1)?;
            },
            5 => self.take(4).map(drop),
            _ => None,
        }
    }
}
