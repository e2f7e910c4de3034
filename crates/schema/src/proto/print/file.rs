//! A file: its head and its declarations.

use prost_reflect::DynamicMessage;
use prost_reflect::prost_types::FileDescriptorProto;

use super::literals::quoted;
use super::message::{Body, by_name};
use super::{Printer, at, element};

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
