//! Descriptor sets, more or less.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;
use protox::file::File;
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

use crate::sources::PROTO2;

const SOURCES: [&str; 3] = [
    PROTO2,
    include_str!("../../../../proto/control_plane.proto"),
    include_str!("../../src/proto/print/tests/proto2.proto"),
];

fn set_of(source: &str) -> FileDescriptorSet {
    let file = File::from_source("a.proto", source).expect("parses");
    let file = vec![file.file_descriptor_proto().clone()];
    FileDescriptorSet { file }
}

/// Some bytes are others.
pub(crate) fn damaged_set() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>(), 0..3_u8), 0..6);
    (select(&SOURCES[..]), changes).prop_map(|(source, changes)| {
        let mut set = set_of(source).encode_to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(set.len());
            match kind {
                0 => set[at] = byte,
                1 => set.insert(at, byte),
                _ => {
                    set.remove(at);
                }
            }
        }
        set
    })
}

/// Well encoded, but of values that no compiler writes.
pub(crate) fn odd_set() -> impl Strategy<Value = Vec<u8>> {
    let number = select(&[i32::MIN, -1, 0, 1, 2, 7, 11, 19_000, 1 << 29, i32::MAX][..]);
    let text = select(
        &[
            "",
            "A",
            ".A",
            "A.G",
            ".all.two.Outer",
            ".all.two.Outer.Inside",
            "a b",
            "}",
            "\n",
            "-",
            "1e9999",
            "nan",
            "proto3",
            "editions",
            "\\",
            "\"",
            "a.proto",
            "google/protobuf/any.proto",
            "é",
        ][..],
    );
    let changes = vec((any::<Index>(), number, text, 0..26_u8), 1..5);
    (select(&SOURCES[..]), changes).prop_map(|(source, changes)| {
        let mut set = set_of(source);
        for (at, number, text, kind) in changes {
            change(&mut set.file[0], at, number, text, kind);
        }
        set.encode_to_vec()
    })
}

fn change(file: &mut FileDescriptorProto, at: Index, number: i32, text: &str, kind: u8) {
    let some = || Some(text.to_owned());
    match kind {
        0 => file.syntax = some(),
        1 => file.package = some(),
        2 => file.dependency.push(text.to_owned()),
        3 => file.public_dependency.push(number),
        4 => file.weak_dependency.push(number),
        5 => {
            let place = file.source_code_info.as_mut().map(|it| &mut it.location);
            if let Some(place) = place.filter(|it| !it.is_empty()) {
                let index = at.index(place.len());
                place[index].span = vec![number; 3];
                place[index].path.push(number);
                place[index].trailing_comments = some();
            }
        }
        6 => {
            for service in &mut file.service {
                service.name = some();
            }
        }
        _ => {
            let mut messages: Vec<&mut DescriptorProto> = Vec::new();
            let mut waiting: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
            // Nested ones of every second message, which is not itself changed.
            while let Some(message) = waiting.pop() {
                match waiting.len().is_multiple_of(2) && !message.nested_type.is_empty() {
                    true => waiting.extend(&mut message.nested_type),
                    false => messages.push(message),
                }
            }
            if !messages.is_empty() {
                let index = at.index(messages.len());
                change_message(messages.swap_remove(index), at, number, text, kind);
            }
        }
    }
}

fn change_message(message: &mut DescriptorProto, at: Index, number: i32, text: &str, kind: u8) {
    match kind {
        7 => message.name = Some(text.to_owned()),
        8 => message.options.get_or_insert_default().map_entry = Some(true),
        9 => message.field.clear(),
        10 => message.nested_type.extend(message.nested_type.clone()),
        11 => message.oneof_decl.truncate(1),
        12 => message.reserved_name.push(text.to_owned()),
        13 => {
            for range in &mut message.reserved_range {
                range.end = Some(number);
            }
        }
        14 => {
            for range in &mut message.extension_range {
                range.start = Some(number);
            }
        }
        _ => {
            let fields = match kind % 3 {
                0 => &mut message.extension,
                _ => &mut message.field,
            };
            if !fields.is_empty() {
                let index = at.index(fields.len());
                change_field(&mut fields[index], number, text, kind);
            }
        }
    }
}

fn change_field(field: &mut FieldDescriptorProto, number: i32, text: &str, kind: u8) {
    match kind {
        15 | 16 => field.number = Some(number),
        17 => field.label = Some(number),
        18 | 19 => field.r#type = Some(number),
        20 => field.type_name = Some(text.to_owned()),
        21 => field.extendee = Some(text.to_owned()),
        22 => field.default_value = Some(text.to_owned()),
        23 => field.oneof_index = Some(number),
        24 => field.proto3_optional = Some(true),
        _ => field.name = Some(text.to_owned()),
    }
}
