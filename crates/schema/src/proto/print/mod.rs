//! Prints descriptors as proto text with comments: a descriptor set is registered as this text.
//!
//! The layout is part of the schema's hash, to which a gateway locks a vN: it must never change.
//! Nested messages, and values inside options, are printed recursively: the decoder accepts at most a
//! hundred levels.

mod message;
mod options;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::borrow::Cow;

use prost_reflect::prost_types::{
    EnumDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
};
use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, ReflectMessage, Value};
use writer::{Comments, Writer};

use message::{Body, by_name};
use options::{quoted, range};

use crate::proto::link::Imports;

pub(crate) use verify::difference;

/// A file as text, and the options that have no text form.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) text: String,
    pub(crate) lost: Vec<String>,
}

/// Prints a file of a pool; `imports` replaces the imports that it has there.
pub(crate) fn print(file: &FileDescriptor, imports: Option<&Imports>) -> Printed {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    print_with(file, imports, info.map(Comments::of).unwrap_or_default())
}

fn print_with(file: &FileDescriptor, imports: Option<&Imports>, comments: Comments) -> Printed {
    let mut printer = Printer {
        writer: Writer::default(),
        comments,
        is_proto3: file.file_descriptor_proto().syntax() == "proto3",
        lost: Vec::new(),
    };
    let dynamic = dynamic(file);
    match imports {
        None => printer.file(file.file_descriptor_proto(), dynamic.as_ref()),
        Some(imports) => {
            let mut file = file.file_descriptor_proto().clone();
            file.dependency.clone_from(&imports.all);
            file.public_dependency.clone_from(&imports.public);
            printer.file(&file, dynamic.as_ref());
        }
    }
    Printed {
        text: printer.writer.finish(),
        lost: printer.lost,
    }
}

struct Printer {
    writer: Writer,
    comments: Comments,
    is_proto3: bool,
    lost: Vec<String>,
}

/// The same file including custom options, which the typed descriptor lacks.
fn dynamic(file: &FileDescriptor) -> Option<DynamicMessage> {
    const NAME: &str = "google.protobuf.FileDescriptorProto";
    let own = file.parent_pool().get_message_by_name(NAME);
    let descriptor = own.or_else(|| DescriptorPool::global().get_message_by_name(NAME))?;
    DynamicMessage::decode(descriptor, file.encode_to_vec().as_slice()).ok()
}

/// An element of a repeated field of a descriptor.
fn element<'a>(
    of: Option<&'a DynamicMessage>,
    field: &str,
    index: usize,
) -> Option<&'a DynamicMessage> {
    let descriptor = of?.descriptor().get_field_by_name(field)?;
    match of?.get_field(&descriptor) {
        Cow::Borrowed(Value::List(items)) => items.get(index)?.as_message(),
        _ => None,
    }
}

/// The path of an element.
fn at(path: &[i32], field: i32, index: usize) -> Vec<i32> {
    let index = i32::try_from(index).unwrap_or(i32::MAX);
    path.iter().copied().chain([field, index]).collect()
}

// === files ===

impl Printer {
    pub(super) fn file(&mut self, file: &FileDescriptorProto, dynamic: Option<&DynamicMessage>) {
        let syntax = if self.is_proto3 { "proto3" } else { "proto2" };
        let note = self.comments.note(&[12]);
        self.writer
            .statement(&note, &format!("syntax = \"{syntax}\""));
        self.writer.blank();
        if let Some(package) = &file.package {
            let note = self.comments.note(&[2]);
            self.writer.statement(&note, &format!("package {package}"));
            self.writer.blank();
        }
        for (index, path) in file.dependency.iter().enumerate() {
            let is_in = |list: &[i32]| list.iter().any(|it| usize::try_from(*it) == Ok(index));
            let kind = match (is_in(&file.public_dependency), is_in(&file.weak_dependency)) {
                (true, _) => "public ",
                (_, true) => "weak ",
                _ => "",
            };
            let note = self.comments.note(&at(&[], 3, index));
            let text = format!("import {kind}{}", quoted(path.as_bytes()));
            self.writer.statement(&note, &text);
        }
        self.writer.blank();
        self.option_statements(dynamic, &[8]);
        let scope = match file.package() {
            "" => String::new(),
            package => format!(".{package}"),
        };
        self.body(&Body {
            path: &[],
            scope: &scope,
            messages: (&file.message_type, 4, "message_type"),
            fields: &[],
            extensions: (&file.extension, 7),
            oneofs: &[],
            dynamic,
            by_name: by_name(&file.message_type),
        });
        for (index, enumeration) in file.enum_type.iter().enumerate() {
            self.writer.blank();
            let own = element(dynamic, "enum_type", index);
            self.enumeration(enumeration, own, &at(&[], 5, index));
        }
        for (index, service) in file.service.iter().enumerate() {
            self.writer.blank();
            let own = element(dynamic, "service", index);
            self.service(service, own, &at(&[], 6, index));
        }
    }
}

// === services ===

impl Printer {
    pub(super) fn service(
        &mut self,
        service: &ServiceDescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
    ) {
        let note = self.comments.note(path);
        self.writer
            .open(&note, &format!("service {}", service.name()));
        self.option_statements(dynamic, &[path, &[3]].concat());
        for (index, method) in service.method.iter().enumerate() {
            let stream = |streams: bool| if streams { "stream " } else { "" };
            let text = format!(
                "rpc {}({}{}) returns ({}{})",
                method.name(),
                stream(method.client_streaming()),
                method.input_type(),
                stream(method.server_streaming()),
                method.output_type(),
            );
            let path = at(path, 2, index);
            let note = self.comments.note(&path);
            if method.options.is_none() {
                self.writer.statement(&note, &text);
                continue;
            }
            self.writer.open(&note, &text);
            let own = element(dynamic, "method", index);
            self.option_statements(own, &[&path[..], &[4]].concat());
            self.writer.close();
        }
        self.writer.close();
    }
}

// === enums ===

impl Printer {
    pub(super) fn enumeration(
        &mut self,
        enumeration: &EnumDescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
    ) {
        let below = |field: i32| path.iter().copied().chain([field]).collect::<Vec<_>>();
        let note = self.comments.note(path);
        self.writer
            .open(&note, &format!("enum {}", enumeration.name()));
        self.option_statements(dynamic, &below(3));
        for (index, value) in enumeration.value.iter().enumerate() {
            let note = self.comments.note(&at(path, 2, index));
            let own = element(dynamic, "value", index);
            let options = self.options_in_brackets(own, Vec::new());
            let text = format!("{} = {}{options}", value.name(), value.number());
            self.writer.statement(&note, &text);
        }
        let ranges = enumeration.reserved_range.iter();
        let ranges = ranges.map(|it| range(it.start(), it.end(), i32::MAX));
        self.reserved(&below(4), &ranges.collect::<Vec<_>>());
        let names = enumeration.reserved_name.iter();
        let names = names.map(|it| quoted(it.as_bytes()));
        self.reserved(&below(5), &names.collect::<Vec<_>>());
        self.writer.close();
    }
}
