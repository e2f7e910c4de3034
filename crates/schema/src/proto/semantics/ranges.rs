//! Checks reserved numbers and names, and extension ranges.

use std::collections::HashSet;
use std::fmt;

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto};

use super::{Faults, place};

/// Both ends are inclusive.
#[derive(Clone, Copy)]
struct Range {
    start: i32,
    end: i32,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.start == self.end {
            true => write!(f, "{}", self.start),
            false => write!(f, "{} to {}", self.start, self.end),
        }
    }
}

pub(super) fn of_message(
    message: &DescriptorProto,
    path: &[i32],
    is_proto3: bool,
    faults: &mut Faults,
) {
    // In the descriptor, ends are exclusive.
    let range = |start: Option<i32>, end: Option<i32>| Range {
        start: start.unwrap_or_default(),
        end: end.unwrap_or_default().saturating_sub(1),
    };
    let reserved = message.reserved_range.iter().enumerate();
    let reserved = reserved.map(|(index, it)| ([9, place(index)], range(it.start, it.end)));
    let extensions = message.extension_range.iter().enumerate();
    let extensions = extensions.map(|(index, it)| ([5, place(index)], range(it.start, it.end)));
    check(reserved.chain(extensions).collect(), path, faults);
    let reserved = names(&message.reserved_name, 10, path, faults);
    for (index, field) in message.field.iter().enumerate() {
        if reserved.contains(field.name()) {
            faults.add(path, &[2, place(index), 1], is_reserved(field.name()));
        }
    }
    let is_set = message
        .options
        .as_ref()
        .is_some_and(prost_reflect::prost_types::MessageOptions::message_set_wire_format);
    if is_set && (is_proto3 || !message.field.is_empty() || message.extension_range.is_empty()) {
        let text = format!(
            "a message set is of proto2 and has extensions only, which `{}` is not",
            message.name()
        );
        faults.add(path, &[], text);
    }
    if is_proto3 && !message.extension_range.is_empty() {
        let text = "extension ranges are not for proto3".to_owned();
        faults.add(path, &[5, 0], text);
    }
}

pub(super) fn of_enum(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let reserved = it.reserved_range.iter().enumerate();
    let reserved = reserved.map(|(index, it)| {
        let (start, end) = (it.start(), it.end());
        ([4, place(index)], Range { start, end })
    });
    check(reserved.collect(), path, faults);
    let reserved = names(&it.reserved_name, 5, path, faults);
    for (index, value) in it.value.iter().enumerate() {
        if reserved.contains(value.name()) {
            faults.add(path, &[2, place(index), 1], is_reserved(value.name()));
        }
    }
}

fn is_reserved(name: &str) -> String {
    format!("the name `{name}` is reserved")
}

fn check(mut ranges: Vec<([i32; 2], Range)>, path: &[i32], faults: &mut Faults) {
    for (at, range) in ranges.iter().filter(|(_, it)| it.start > it.end) {
        let text = format!("the range {range} runs backwards");
        faults.add(path, at, text);
    }
    ranges.sort_by_key(|(_, range)| range.start);
    for pair in ranges.windows(2) {
        let [(_, first), (at, second)] = pair else {
            continue;
        };
        if second.start <= first.end && second.start <= second.end {
            let text = format!("the ranges {first} and {second} overlap");
            faults.add(path, at, text);
        }
    }
}

/// The reserved names, each once.
fn names<'a>(
    names: &'a [String],
    number: i32,
    path: &[i32],
    faults: &mut Faults,
) -> HashSet<&'a str> {
    let mut met = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !met.insert(name.as_str()) {
            let text = format!("the name `{name}` is reserved twice");
            faults.add(path, &[number, place(index)], text);
        }
    }
    met
}
