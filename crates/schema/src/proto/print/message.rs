//! Messages: the declarations in their body, fields and extensions.

use std::collections::HashMap;
use std::ops::Range;

use prost_reflect::DynamicMessage;
use prost_reflect::prost_types::descriptor_proto::ExtensionRange;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, MessageOptions, OneofDescriptorProto,
};

use super::options::{quoted, range};
use super::writer::Note;
use super::{Printer, at, element};
use crate::proto::fault::default_json_name;

/// The exclusive end that `max` stands for.
const END_OF_FIELDS: i32 = 1 << 29;

/// Messages, fields and extensions, each list in order. Groups and maps are both a message and a field:
/// the message is printed with the field.
pub(super) struct Body<'a> {
    pub(super) path: &'a [i32],
    /// The full name of the enclosing declaration, with a leading dot.
    pub(super) scope: &'a str,
    /// With their field number and name in the descriptor.
    pub(super) messages: (&'a [DescriptorProto], i32, &'a str),
    pub(super) fields: &'a [FieldDescriptorProto],
    pub(super) extensions: (&'a [FieldDescriptorProto], i32),
    pub(super) oneofs: &'a [OneofDescriptorProto],
    pub(super) dynamic: Option<&'a DynamicMessage>,
    /// The messages by name.
    pub(super) by_name: HashMap<&'a str, usize>,
}

impl<'a> Body<'a> {
    /// The message of the map or group at this field.
    pub(super) fn made_by(
        &self,
        field: &FieldDescriptorProto,
    ) -> Option<(usize, &'a DescriptorProto)> {
        let name = field
            .type_name()
            .strip_prefix(self.scope)?
            .strip_prefix('.')?;
        let index = *self.by_name.get(name)?;
        let message = self.messages.0.get(index)?;
        (field.r#type() == Type::Group || is_map_entry(message)).then_some((index, message))
    }

    pub(super) fn message_of(&self, index: usize) -> Option<&'a DynamicMessage> {
        element(self.dynamic, self.messages.2, index)
    }
}

/// What is already printed of a body.
struct Done {
    fields: usize,
    extensions: usize,
    /// The extensions of each `extend` block, and its comments.
    blocks: Vec<(Note, Range<usize>)>,
}

impl Printer {
    pub(super) fn body(&mut self, body: &Body<'_>) {
        let made_by = |fields: &[FieldDescriptorProto]| -> HashMap<usize, usize> {
            let made = fields.iter().zip(0..);
            made.filter_map(|(field, at)| Some((body.made_by(field)?.0, at)))
                .collect()
        };
        let (fields, extensions) = (made_by(body.fields), made_by(body.extensions.0));
        let path: Vec<i32> = body
            .path
            .iter()
            .copied()
            .chain([body.extensions.1])
            .collect();
        let mut done = Done {
            fields: 0,
            extensions: 0,
            blocks: self.comments.statements(&path, body.extensions.0.len()),
        };
        for (index, message) in body.messages.0.iter().enumerate() {
            if let Some(field) = fields.get(&index) {
                self.fields_to(body, &mut done, field + 1);
            } else if let Some(extension) = extensions.get(&index) {
                self.extensions_to(body, &mut done, extension + 1);
            } else {
                self.writer.blank();
                let path = at(body.path, body.messages.1, index);
                let name = message.name();
                let note = self.comments.note(&path);
                self.writer.open(&note, &format!("message {name}"));
                let scope = format!("{}.{name}", body.scope);
                self.message(message, body.message_of(index), &path, &scope);
                self.writer.close();
                self.writer.blank();
            }
        }
        self.fields_to(body, &mut done, body.fields.len());
        self.extensions_to(body, &mut done, body.extensions.0.len());
    }

    /// Prints what is between the braces of a message.
    pub(super) fn message(
        &mut self,
        message: &DescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
        scope: &str,
    ) {
        let below = |field: i32| path.iter().copied().chain([field]).collect::<Vec<_>>();
        self.option_statements(dynamic, &below(7));
        self.body(&Body {
            path,
            scope,
            messages: (&message.nested_type, 3, "nested_type"),
            fields: &message.field,
            extensions: (&message.extension, 6),
            oneofs: &message.oneof_decl,
            dynamic,
            by_name: by_name(&message.nested_type),
        });
        for (index, enumeration) in message.enum_type.iter().enumerate() {
            self.writer.blank();
            let own = element(dynamic, "enum_type", index);
            self.enumeration(enumeration, own, &at(path, 4, index));
            self.writer.blank();
        }
        self.extension_ranges(message, dynamic, &below(5));
        let ranges = message.reserved_range.iter();
        let ranges =
            ranges.map(|it| range(it.start(), it.end().saturating_sub(1), END_OF_FIELDS - 1));
        self.reserved(&below(9), &ranges.collect::<Vec<_>>());
        let names = message.reserved_name.iter();
        let names = names.map(|it| quoted(it.as_bytes()));
        self.reserved(&below(10), &names.collect::<Vec<_>>());
    }

    pub(super) fn reserved(&mut self, path: &[i32], items: &[String]) {
        for (note, items_of) in self.comments.statements(path, items.len()) {
            let text = format!("reserved {}", items[items_of].join(", "));
            self.writer.statement(&note, &text);
        }
    }

    fn extension_ranges(
        &mut self,
        message: &DescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
    ) {
        let ranges = &message.extension_range;
        for index in 0..ranges.len() {
            // The compiler used here does not accept them.
            let own = element(dynamic, "extension_range", index);
            if own.is_some_and(|it| it.has_field_by_name("options")) {
                self.lost.push("options of extension ranges".to_owned());
            }
        }
        let text = |it: &ExtensionRange| {
            // For message sets the end is the largest number possible.
            let is_of_set = it.end() == i32::MAX;
            let max = if is_of_set { i32::MAX } else { END_OF_FIELDS };
            range(it.start(), it.end().saturating_sub(1), max - 1)
        };
        for (note, indices) in self.comments.statements(path, ranges.len()) {
            let texts: Vec<_> = ranges[indices].iter().map(text).collect();
            let text = format!("extensions {}", texts.join(", "));
            self.writer.statement(&note, &text);
        }
    }

    /// Prints fields up to `end`, and a oneof as a whole.
    fn fields_to(&mut self, body: &Body<'_>, done: &mut Done, end: usize) {
        while done.fields < end {
            let field = &body.fields[done.fields];
            let Some(oneof) = oneof_of(field) else {
                self.field(body, done.fields, 2, "field");
                done.fields += 1;
                continue;
            };
            let index = usize::try_from(oneof).unwrap_or(usize::MAX);
            let path = at(body.path, 8, index);
            let name = body.oneofs.get(index).map_or("", |it| it.name());
            let note = self.comments.note(&path);
            self.writer.open(&note, &format!("oneof {name}"));
            let own = element(body.dynamic, "oneof_decl", index);
            self.option_statements(own, &[&path[..], &[2]].concat());
            while body.fields.get(done.fields).and_then(oneof_of) == Some(oneof) {
                self.field(body, done.fields, 2, "field");
                done.fields += 1;
            }
            self.writer.close();
        }
    }

    fn extensions_to(&mut self, body: &Body<'_>, done: &mut Done, end: usize) {
        let (extensions, number) = body.extensions;
        let blocks = std::mem::take(&mut done.blocks);
        let block_of = |index: usize| blocks.partition_point(|(_, range)| range.end <= index);
        while done.extensions < end {
            let first = done.extensions;
            let extendee = extensions[first].extendee();
            let block = block_of(first);
            let begins = blocks.get(block).filter(|(_, range)| range.start == first);
            let note = begins.map(|(note, _)| note.clone()).unwrap_or_default();
            self.writer.blank();
            self.writer.open(&note, &format!("extend {extendee}"));
            while extensions
                .get(done.extensions)
                .map(FieldDescriptorProto::extendee)
                == Some(extendee)
                && block_of(done.extensions) == block
            {
                self.field(body, done.extensions, number, "extension");
                done.extensions += 1;
            }
            self.writer.close();
            self.writer.blank();
        }
        done.blocks = blocks;
    }
}

/// The oneof of a field, except the synthetic one of a proto3 `optional`.
fn oneof_of(field: &FieldDescriptorProto) -> Option<i32> {
    field.oneof_index.filter(|_| !field.proto3_optional())
}

pub(super) fn by_name(messages: &[DescriptorProto]) -> HashMap<&str, usize> {
    let names = messages.iter().map(DescriptorProto::name);
    names.zip(0..).collect()
}

pub(super) fn is_map_entry(message: &DescriptorProto) -> bool {
    message
        .options
        .as_ref()
        .is_some_and(MessageOptions::map_entry)
}

// === fields and extensions ===

impl Printer {
    /// Prints a field of a body, or an extension, depending on the number and name of the descriptor's list.
    pub(super) fn field(&mut self, body: &Body<'_>, index: usize, number: i32, list: &str) {
        let is_extension = list == "extension";
        let fields = if is_extension {
            body.extensions.0
        } else {
            body.fields
        };
        let field = &fields[index];
        let path = at(body.path, number, index);
        let note = self.comments.note(&path);
        let mut special = Vec::new();
        if let Some(default) = &field.default_value {
            special.push(format!("default = {}", default_of(field, default)));
        }
        let json_name = field.json_name.as_ref().filter(|_| !is_extension);
        if let Some(name) = json_name.filter(|name| **name != default_json_name(field.name())) {
            special.push(format!("json_name = {}", quoted(name.as_bytes())));
        }
        let options = self.options_in_brackets(element(body.dynamic, list, index), special);
        let made = body.made_by(field);
        let (name, value) = (field.name(), field.number());
        if let Some((_, entry)) = made.filter(|(_, it)| is_map_entry(it)) {
            let types: Vec<_> = entry.field.iter().map(type_of).collect();
            let types = types.join(", ");
            let text = format!("map<{types}> {name} = {value}{options}");
            self.writer.statement(&note, &text);
            return;
        }
        let label = self.label(field);
        let Some((index, group)) = made else {
            let kind = type_of(field);
            let text = format!("{label}{kind} {name} = {value}{options}");
            self.writer.statement(&note, &text);
            return;
        };
        let name = group.name();
        let text = format!("{label}group {name} = {value}{options}");
        let path = at(body.path, body.messages.1, index);
        // Compilers attribute a leading comment to either of the two; one after the opening brace is the
        // message's, one after the closing brace the field's.
        let mut own = self.comments.note(&path);
        if own.leading.is_none() && own.detached.is_empty() {
            (own.leading, own.detached) = (note.leading, note.detached);
        }
        self.writer.open(&own, &text);
        let scope = format!("{}.{name}", body.scope);
        self.message(group, body.message_of(index), &path, &scope);
        self.writer.close_with(note.trailing.as_deref());
    }

    fn label(&self, field: &FieldDescriptorProto) -> &'static str {
        let is_in_oneof = field.oneof_index.is_some() && !field.proto3_optional();
        match field.label() {
            _ if is_in_oneof => "",
            Label::Repeated => "repeated ",
            Label::Required => "required ",
            Label::Optional if self.is_proto3 && !field.proto3_optional() => "",
            Label::Optional => "optional ",
        }
    }
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let scalar = match field.r#type() {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Message | Type::Enum | Type::Group => field.type_name(),
    };
    scalar.to_owned()
}

fn default_of(field: &FieldDescriptorProto, default: &str) -> String {
    match field.r#type() {
        Type::String => quoted(default.as_bytes()),
        // Without a fraction, many digits would be an integer, and one too large.
        Type::Double | Type::Float => match default.parse::<f64>() {
            Ok(number) if number.is_finite() => format!("{number:?}"),
            _ => default.to_owned(),
        },
        // Already escaped in the descriptor.
        Type::Bytes => format!("\"{default}\""),
        _ => default.to_owned(),
    }
}
