//! Fields and extensions.

use prost_reflect::prost_types::FieldDescriptorProto;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};

use super::literals::quoted;
use super::message::{Body, is_map_entry};
use super::{Printer, at, element};

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

/// The default JSON name of a field.
pub(super) fn default_json_name(name: &str) -> String {
    let mut begins_word = false;
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '_' => begins_word = true,
            c if std::mem::take(&mut begins_word) => out.push(c.to_ascii_uppercase()),
            c => out.push(c),
        }
    }
    out
}
