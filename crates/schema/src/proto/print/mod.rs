//! Prints descriptors as proto text with comments: a descriptor set is registered as this text.
//!
//! The layout is part of the schema's hash, to which a gateway locks a vN: it must never change.
//! Nested messages, and values inside options, are printed recursively: the decoder accepts at most a
//! hundred levels.

mod comments;
mod enumeration;
mod field;
mod file;
mod literals;
mod message;
mod options;
mod service;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::borrow::Cow;

use prost_reflect::{DescriptorPool, DynamicMessage, FileDescriptor, ReflectMessage, Value};

use crate::proto::link::Imports;
use comments::Comments;
pub(crate) use verify::difference;
use writer::Writer;

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
