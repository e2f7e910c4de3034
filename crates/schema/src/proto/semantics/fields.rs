//! Checks options that do not fit their field, and proto2 enums in proto3.

use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::field_options::JsType;
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto};

use super::Faults;
use crate::proto::Compiled;
use crate::proto::fault::default_json_name;

/// `proto3` is true if the file uses that syntax.
pub(super) fn of_message(
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
        let text = format!("the `json_name` {name:?} has the form of those of extensions");
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
        let text = "an extension has no `json_name` of its own".to_owned();
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
        let text = format!("`{name}` is for {what}, and `{}` is none", field.name());
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
