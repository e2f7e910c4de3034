//! Reserved numbers and names, extension ranges, options of fields, and enums.

use std::collections::{HashMap, HashSet};
use std::fmt;

use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::field_options::JsType;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto,
};

use super::{Faults, step};
use crate::proto::Compiled;
use crate::proto::fault::default_json_name;

// === reserved numbers and names, extension ranges ===

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

pub(super) fn reserved_of_message(
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
    let reserved = reserved.map(|(index, it)| ([9, step(index)], range(it.start, it.end)));
    let extensions = message.extension_range.iter().enumerate();
    let extensions = extensions.map(|(index, it)| ([5, step(index)], range(it.start, it.end)));
    check_ranges(reserved.chain(extensions).collect(), path, faults);
    let reserved = reserved_names(&message.reserved_name, 10, path, faults);
    for (index, field) in message.field.iter().enumerate() {
        if reserved.contains(field.name()) {
            faults.add(path, &[2, step(index), 1], is_reserved(field.name()));
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

pub(super) fn reserved_of_enum(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let reserved = it.reserved_range.iter().enumerate();
    let reserved = reserved.map(|(index, it)| {
        let (start, end) = (it.start(), it.end());
        ([4, step(index)], Range { start, end })
    });
    check_ranges(reserved.collect(), path, faults);
    let reserved = reserved_names(&it.reserved_name, 5, path, faults);
    for (index, value) in it.value.iter().enumerate() {
        if reserved.contains(value.name()) {
            faults.add(path, &[2, step(index), 1], is_reserved(value.name()));
        }
    }
}

fn is_reserved(name: &str) -> String {
    format!("the name `{name}` is reserved")
}

fn check_ranges(mut ranges: Vec<([i32; 2], Range)>, path: &[i32], faults: &mut Faults) {
    for (at, range) in ranges.iter().filter(|(_, it)| it.start > it.end) {
        let text = format!("the range {range} ends before it starts");
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
fn reserved_names<'a>(
    names: &'a [String],
    number: i32,
    path: &[i32],
    faults: &mut Faults,
) -> HashSet<&'a str> {
    let mut met = HashSet::new();
    for (index, name) in names.iter().enumerate() {
        if !met.insert(name.as_str()) {
            let text = format!("the name `{name}` is reserved twice");
            faults.add(path, &[number, step(index)], text);
        }
    }
    met
}

// === fields and extensions ===

/// `proto3` is true if the file uses that syntax.
pub(super) fn field(
    field: &FieldDescriptorProto,
    parent: &DescriptorProto,
    path: &[i32],
    proto3: Option<&Compiled>,
    faults: &mut Faults,
) {
    options(field, path, faults);
    // A default JSON name never has brackets.
    let name = field.json_name();
    if name.starts_with('[') && name.ends_with(']') {
        let text = format!("the `json_name` {name:?} has the form of an extension's");
        faults.add(path, &[10], text);
    }
    let has_presence = field.oneof_index.is_some() || field.label() == Label::Repeated;
    let is_key = parent
        .options
        .as_ref()
        .is_some_and(prost_reflect::prost_types::MessageOptions::map_entry)
        && field.number() == 1;
    if let Some(compiled) = proto3
        && field.r#type() == Type::Enum
        && !has_presence
        && !is_key
        && compiled.is_closed_enum(field.type_name())
    {
        let name = field.type_name().trim_start_matches('.');
        let text = format!(
            "`{name}` is an enum of proto2, which has no value for a field that is not set: make \
             `{}` optional",
            field.name()
        );
        faults.add(path, &[], text);
    }
}

pub(super) fn extension(field: &FieldDescriptorProto, path: &[i32], faults: &mut Faults) {
    options(field, path, faults);
    if field
        .json_name
        .as_deref()
        .is_some_and(|name| !is_made_of(name, field.name()))
    {
        let text = "an extension cannot have a `json_name`".to_owned();
        faults.add(path, &[10], text);
    }
}

/// Whether it is the default JSON name of the field.
fn is_made_of(json_name: &str, name: &str) -> bool {
    default_json_name(name) == json_name
}

fn options(field: &FieldDescriptorProto, path: &[i32], faults: &mut Faults) {
    let Some(options) = &field.options else {
        return;
    };
    let kind = field.r#type();
    let mut fault = |number: i32, name: &str, what: &str| {
        let text = format!("`{name}` is for {what} only, not for `{}`", field.name());
        faults.add(path, &[8, number], text);
    };
    let is_packable = field.label() == Label::Repeated
        && !matches!(
            kind,
            Type::String | Type::Bytes | Type::Message | Type::Group
        );
    if options.packed() && !is_packable {
        fault(2, "packed", "repeated numbers, bools and enums");
    }
    let is_message = matches!(kind, Type::Message | Type::Group);
    if options.lazy() && !is_message {
        fault(5, "lazy", "messages");
    }
    let is_long = matches!(
        kind,
        Type::Int64 | Type::Uint64 | Type::Sint64 | Type::Fixed64 | Type::Sfixed64
    );
    if options.jstype() != JsType::JsNormal && !is_long {
        fault(6, "jstype", "integers of 64 bits");
    }
}

// === enums ===

/// Aliases that are allowed and not there.
pub(super) fn enum_aliases(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let numbers: HashSet<i32> = it
        .value
        .iter()
        .map(prost_reflect::prost_types::EnumValueDescriptorProto::number)
        .collect();
    let allows = it.options.as_ref().is_some_and(EnumOptions::allow_alias);
    if allows && numbers.len() == it.value.len() {
        let text = "`allow_alias` is set, and no value has an alias".to_owned();
        faults.add(path, &[3, 2], text);
    }
}

/// Names of values that are equal without the enum's name.
pub(super) fn enum_value_names(it: &EnumDescriptorProto, path: &[i32], faults: &mut Faults) {
    let mut met: HashMap<String, (&str, i32)> = HashMap::new();
    for (index, value) in it.value.iter().enumerate() {
        let short = camel(without_prefix(value.name(), it.name()));
        let (name, number) = *met.entry(short).or_insert((value.name(), value.number()));
        // Aliases may share a name.
        if number != value.number() {
            let text = format!(
                "`{name}` and `{}` have the same name without the enum's name as a prefix and \
                 regardless of case",
                value.name()
            );
            faults.add(path, &[2, step(index)], text);
        }
    }
}

/// `FOO_BAR_A` of the enum `FooBar` becomes `A`; a name that would become empty stays as it is.
fn without_prefix<'a>(value: &'a str, enumeration: &str) -> &'a str {
    let mut rest = value;
    for wanted in enumeration.chars().filter(|c| *c != '_') {
        let mut chars = rest.trim_start_matches('_').chars();
        match chars.next() {
            Some(c) if c.eq_ignore_ascii_case(&wanted) => rest = chars.as_str(),
            _ => return value,
        }
    }
    match rest.trim_start_matches('_') {
        "" => value,
        rest => rest,
    }
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(usize::from(!word.is_empty()));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('_').map(word).collect()
}
