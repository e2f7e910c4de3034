//! Verifies that a printed text says everything that its descriptor says.

use prost_reflect::FileDescriptor;
use prost_reflect::prost_types::field_descriptor_proto::Type;
use prost_reflect::prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::print_with;
use super::writer::Comments;

/// The first declaration in which two files differ, ignoring file names, comments and places.
pub(crate) fn difference(a: &FileDescriptor, b: &FileDescriptor) -> Option<String> {
    let (typed_a, typed_b) = (plain(a), plain(b));
    let (text_a, text_b) = (plain_text(a), plain_text(b));
    if typed_a == typed_b && text_a == text_b {
        return None;
    }
    // A part without a text form, such as the name of a map's message, is reported as a whole.
    let lines = text_a.lines().zip(text_b.lines());
    let line = lines.into_iter().find(|(a, b)| a != b);
    Some(match line {
        Some((a, _)) => format!("`{}`", a.trim()),
        None => first_of(&typed_a, &typed_b),
    })
}

fn plain_text(file: &FileDescriptor) -> String {
    let text = print_with(file, None, Comments::default()).text;
    // The imports may be those used for compiling.
    let lines = text.lines().filter(|line| !line.starts_with("import "));
    let text = lines.fold(String::new(), |text, line| text + line + "\n");
    // A method without options may have braces or not.
    text.replace(" {}\n", ";\n")
}

fn first_of(a: &FileDescriptorProto, b: &FileDescriptorProto) -> String {
    let messages = a.message_type.iter().zip(&b.message_type);
    let message = messages.into_iter().find(|(a, b)| a != b);
    match message {
        Some((message, _)) => format!("message `{}`", message.name()),
        None => "the file".to_owned(),
    }
}

/// A descriptor without the parts that compilers write differently.
fn plain(file: &FileDescriptor) -> FileDescriptorProto {
    let mut file = file.file_descriptor_proto().clone();
    file.name = None;
    file.source_code_info = None;
    file.dependency.clear();
    file.public_dependency.clear();
    file.weak_dependency.clear();
    file.syntax = file.syntax.filter(|it| it != "proto2");
    drop_empty(&mut file.options);
    file.extension.iter_mut().for_each(plain_extension);
    for service in &mut file.service {
        drop_empty(&mut service.options);
        for method in &mut service.method {
            drop_empty(&mut method.options);
            method.client_streaming = method.client_streaming.filter(|it| *it);
            method.server_streaming = method.server_streaming.filter(|it| *it);
        }
    }
    let mut enums: Vec<_> = file.enum_type.iter_mut().collect();
    let mut messages: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
    while let Some(message) = messages.pop() {
        drop_empty(&mut message.options);
        message.field.iter_mut().for_each(plain_field);
        message.extension.iter_mut().for_each(plain_extension);
        for oneof in &mut message.oneof_decl {
            drop_empty(&mut oneof.options);
        }
        for range in &mut message.extension_range {
            drop_empty(&mut range.options);
        }
        enums.extend(&mut message.enum_type);
        messages.extend(&mut message.nested_type);
    }
    for enumeration in enums {
        drop_empty(&mut enumeration.options);
        for value in &mut enumeration.value {
            drop_empty(&mut value.options);
        }
    }
    file
}

fn drop_empty<T: Default + PartialEq>(options: &mut Option<T>) {
    if *options == Some(T::default()) {
        *options = None;
    }
}

fn plain_field(field: &mut FieldDescriptorProto) {
    drop_empty(&mut field.options);
    field.proto3_optional = field.proto3_optional.filter(|it| *it);
    let Some(default) = &field.default_value else {
        return;
    };
    match field.r#type() {
        // Numbers and escapes have several notations.
        Type::Double | Type::Float => {
            let number = default.parse::<f64>().map(|it| it.to_string());
            field.default_value = number.ok().or(field.default_value.take());
        }
        Type::Bytes => field.default_value = Some(String::new()),
        _ => {}
    }
}

/// The JSON names of extensions depend on the compiler.
fn plain_extension(field: &mut FieldDescriptorProto) {
    plain_field(field);
    field.json_name = None;
    field.proto3_optional = None;
}
