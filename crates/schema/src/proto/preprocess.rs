//! Input that gateways accept and the compiler used here would refuse, rewritten for that compiler:
//! editions, names that differ only in case, and gateways' own built-in files.

use std::collections::{HashMap, HashSet};

use prost_reflect::FieldDescriptor;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use prost_reflect::prost_types::uninterpreted_option::NamePart;
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
};
use protox::file::{File, FileResolver, GoogleFileResolver};

use crate::proto::fault::default_json_name;
use crate::proto::lex::Source;

/// The built-in files that differ between compilers, in the gateways' version: encoded, from Go's
/// protobuf 1.36.11.
const BUILT_IN: [(&str, &[u8]); 3] = [
    (
        "google/protobuf/descriptor.proto",
        include_bytes!("builtin/descriptor.bin"),
    ),
    (
        "google/protobuf/compiler/plugin.proto",
        include_bytes!("builtin/plugin.bin"),
    ),
    (
        "google/protobuf/api.proto",
        include_bytes!("builtin/api.bin"),
    ),
];

/// The bytes of a built-in file of which the compiler used here has another version.
pub(crate) fn built_in_bytes(name: &str) -> Option<&'static [u8]> {
    let found = BUILT_IN.iter().find(|(it, _)| *it == name);
    found.map(|(_, bytes)| *bytes)
}

/// A built-in file in the gateways' version.
pub(super) fn built_in(name: &str) -> Result<File, protox::Error> {
    match built_in_bytes(name) {
        Some(bytes) => File::decode_file_descriptor_proto(bytes).map_err(protox::Error::new),
        None => GoogleFileResolver::new().open_file(name),
    }
}

/// A file as the compiler receives it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) descriptor: FileDescriptorProto,
    pub(super) changes: Changes,
}

/// How the compiler's input differs from the text of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Fields are renamed.
    pub(super) renamed: bool,
    /// An edition is passed as proto2.
    pub(super) edition: bool,
}

/// Parses the text of a file.
pub(super) fn parse(name: &str, text: &str) -> Result<Parsed, protox::Error> {
    let edition = text.contains("edition").then(|| Edition::of(text));
    let (mut descriptor, is_edition) = match edition.flatten() {
        Some(edition) => (edition.parse(name, text)?, true),
        None => (File::from_source(name, text)?.into(), false),
    };
    as_gateways_describe(&mut descriptor);
    let is_renamed = tell_apart(&mut descriptor, is_edition);
    Ok(Parsed {
        descriptor,
        changes: Changes {
            renamed: is_renamed,
            edition: is_edition,
        },
    })
}

/// The gateways' compiler records neither weak imports nor an `optional` on a proto3 extension.
fn as_gateways_describe(file: &mut FileDescriptorProto) {
    file.weak_dependency.clear();
    let plain = |it: &mut FieldDescriptorProto| it.proto3_optional = None;
    file.extension.iter_mut().for_each(plain);
    each_message(file, &mut |message| {
        message.extension.iter_mut().for_each(plain);
    });
}

// === names ===

/// Appended to a field's name that the compiler would confuse with another; real names never contain it.
const MARK: char = '\u{1}';

/// The name of a field as in the text of its file.
#[must_use]
pub fn name_of(field: &FieldDescriptor) -> &str {
    plain(field.name())
}

fn plain(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Restores the field names of the file's text.
pub(super) fn restore_names(file: &mut FileDescriptorProto) {
    each_message(file, &mut |message| {
        for field in &mut message.field {
            if let Some(name) = field.name.as_mut()
                && let Some(end) = name.find(MARK)
            {
                name.truncate(end);
                let json_name = field.json_name.as_deref();
                field.json_name = json_name.map(|it| plain(it).to_owned());
            }
        }
    });
}

/// Marks fields whose names gateways distinguish but the compiler does not: in proto3 it ignores case
/// and underscores, and in proto2 it requires different JSON names.
fn tell_apart(file: &mut FileDescriptorProto, is_edition: bool) -> bool {
    let is_proto3 = file.syntax() == "proto3";
    // There, equal JSON names are a fault that the compiler reports.
    let json_counts = is_proto3 || is_edition;
    let mut is_changed = false;
    each_message(file, &mut |message| {
        let default = |field: &FieldDescriptorProto| default_json_name(field.name());
        let is_custom = |field: &FieldDescriptorProto| {
            field
                .json_name
                .as_ref()
                .is_some_and(|it| *it != default(field))
        };
        let in_json = |field: &FieldDescriptorProto| match is_custom(field) {
            true => field.json_name().to_owned(),
            false => default(field),
        };
        let mut folded: HashSet<String> = HashSet::new();
        let mut names: HashMap<String, bool> = HashMap::new();
        let mut marked = Vec::new();
        for (index, field) in message.field.iter().enumerate() {
            let lower = field.name().replace('_', "").to_ascii_lowercase();
            let is_folded = !folded.insert(lower) && is_proto3;
            let custom = is_custom(field);
            let twice = names.insert(in_json(field), custom);
            // In proto2, two equal default JSON names are not a conflict.
            let is_twice = twice == Some(false) && !custom && !json_counts;
            if is_folded || is_twice {
                marked.push((index, is_twice));
            }
        }
        if json_counts {
            let mut own = HashSet::new();
            if !message.field.iter().all(|it| own.insert(default(it))) {
                return;
            }
        }
        for (index, is_twice) in marked {
            let field = &mut message.field[index];
            let name = field.name().to_owned();
            let json_name = in_json(field);
            field.name = Some(format!("{name}{MARK}{index}"));
            field.json_name = Some(match is_twice {
                true => format!("{json_name}{MARK}{index}"),
                false => json_name,
            });
            is_changed = true;
        }
    });
    is_changed
}

fn each_message(file: &mut FileDescriptorProto, visit: &mut impl FnMut(&mut DescriptorProto)) {
    // A work list instead of recursion: messages may be nested to any depth.
    let mut open: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
    while let Some(message) = open.pop() {
        visit(message);
        open.extend(message.nested_type.iter_mut());
    }
}

// === editions ===

/// The byte range of a file's `edition = "2023"` statement, the edition that gateways support.
struct Edition {
    start: usize,
    end: usize,
}

/// The field number of a file's syntax in its descriptor.
const SYNTAX: i32 = 12;

impl Edition {
    fn of(text: &str) -> Option<Self> {
        let source = Source::read(text);
        let [edition, equals, value, semicolon, ..] = &source.tokens[..] else {
            return None;
        };
        let is_it = edition.text == "edition"
            && equals.text == "="
            && value.text.trim_matches(['"', '\'']) == "2023"
            && semicolon.text == ";";
        is_it.then(|| Self {
            start: edition.start,
            end: semicolon.end(),
        })
    }

    /// Parses it as proto3, whose fields have no labels either, and converts the descriptor to proto2,
    /// whose fields have presence, too.
    fn parse(&self, name: &str, text: &str) -> Result<FileDescriptorProto, protox::Error> {
        let refused = |what: String| protox::Error::new(format!("{name}: {what}"));
        let blanks = text[self.start..self.end].bytes();
        let blanks = blanks.map(|it| if it == b'\n' { '\n' } else { ' ' });
        let rest = format!(
            "syntax=\"proto3\";\n{}{}{}",
            &text[..self.start],
            blanks.collect::<String>(),
            &text[self.end..]
        );
        // Places would be those of the rewritten text.
        let file = File::from_source(name, &rest).map_err(|error| refused(error.to_string()))?;
        let mut file = FileDescriptorProto::from(file);
        file.syntax = None;
        self.move_places(&mut file, text);
        let all = Features::default().with(take_features(
            file.options.as_mut().map(|it| &mut it.uninterpreted_option),
        ));
        if all.is("field_presence", "LEGACY_REQUIRED") {
            return Err(refused(
                "a file cannot make all its fields LEGACY_REQUIRED".into(),
            ));
        }
        let mut fault = None;
        let mut enums: Vec<_> = file
            .enum_type
            .iter_mut()
            .map(|it| (it, all.clone()))
            .collect();
        let messages = file.message_type.iter_mut().map(|it| (it, all.clone()));
        let mut open: Vec<(&mut DescriptorProto, Features)> = messages.collect();
        while let Some((message, outer)) = open.pop() {
            let own = take_features(
                message
                    .options
                    .as_mut()
                    .map(|it| &mut it.uninterpreted_option),
            );
            let features = outer.with(own);
            let entries: HashSet<String> = message
                .nested_type
                .iter()
                .filter(|it| {
                    it.options
                        .as_ref()
                        .is_some_and(prost_reflect::prost_types::MessageOptions::map_entry)
                })
                .map(|it| it.name().to_owned())
                .collect();
            let is_entry = message
                .options
                .as_ref()
                .is_some_and(prost_reflect::prost_types::MessageOptions::map_entry);
            let fields = message.field.iter_mut().chain(&mut message.extension);
            for field in fields {
                let is_map =
                    entries.contains(field.type_name().rsplit('.').next().unwrap_or_default());
                if let Err(what) = of_field(field, &features, is_entry || is_map) {
                    fault = Some(what);
                }
            }
            enums.extend(
                message
                    .enum_type
                    .iter_mut()
                    .map(|it| (it, features.clone())),
            );
            open.extend(
                message
                    .nested_type
                    .iter_mut()
                    .map(|it| (it, features.clone())),
            );
        }
        for (kind, outer) in enums {
            let own = take_features(kind.options.as_mut().map(|it| &mut it.uninterpreted_option));
            let is_closed = outer.with(own).is("enum_type", "CLOSED");
            if !is_closed && kind.value.first().is_some_and(|it| it.number() != 0) {
                fault = Some(format!(
                    "the first value of the open enum `{}` must be 0",
                    kind.name()
                ));
            }
        }
        for field in &mut file.extension {
            if let Err(what) = of_field(field, &all, false) {
                fault = Some(what);
            }
        }
        match fault {
            Some(what) => Err(refused(what)),
            None => Ok(file),
        }
    }

    /// Moves places to where they are in the original text.
    fn move_places(&self, file: &mut FileDescriptorProto, text: &str) {
        let Some(info) = &mut file.source_code_info else {
            return;
        };
        info.location.retain(|it| it.path != [SYNTAX]);
        let source = Source::read(text);
        for location in &mut info.location {
            let is_file = location.path.is_empty();
            let count = location.span.len();
            for (index, at) in location.span.iter_mut().enumerate() {
                let is_line = index == 0 || (index == 2 && count == 4);
                *at -= i32::from(is_line);
            }
            if is_file
                && let Some((line, column)) = source.line_and_byte(self.start)
                && let [_, _, rest @ ..] = &location.span[..]
            {
                let (last, end) = match *rest {
                    [last, end] => (last, end),
                    [end] => (line, end),
                    _ => continue,
                };
                location.span = vec![line, column, last, end];
            }
        }
    }
}

/// Converts a field of an edition to proto2.
fn of_field(
    field: &mut FieldDescriptorProto,
    outer: &Features,
    is_of_map: bool,
) -> Result<(), String> {
    let own = take_features(
        field
            .options
            .as_mut()
            .map(|it| &mut it.uninterpreted_option),
    );
    let features = outer.with(own);
    if field.proto3_optional() {
        return Err(format!(
            "`{}` is marked `optional`, which editions do not allow",
            field.name()
        ));
    }
    if features.is("field_presence", "LEGACY_REQUIRED")
        && field.label() != Label::Repeated
        && field.oneof_index.is_none()
        && field.extendee.is_none()
    {
        field.set_label(Label::Required);
    }
    let is_message = field.r#type.is_none() && field.type_name.is_some();
    if is_message && !is_of_map && features.is("message_encoding", "DELIMITED") {
        // An enum stays an enum: the compiler detects it.
        let is_told = features.is_own("message_encoding");
        if is_told {
            field.set_type(Type::Group);
        }
    }
    let is_packable = field.label() == Label::Repeated
        && !matches!(field.r#type, None | Some(9 | 10 | 11 | 12 | 14));
    if is_packable && !features.is("repeated_field_encoding", "EXPANDED") {
        field.options.get_or_insert_default().packed = Some(true);
    }
    Ok(())
}

/// Features, each with whether the declaration itself sets it.
#[derive(Clone, Debug, Default)]
struct Features(HashMap<String, (String, bool)>);

impl Features {
    /// These features, overridden by the declaration's own.
    fn with(&self, own: Vec<(String, String)>) -> Self {
        let outer = self.0.iter();
        let mut all: HashMap<_, _> = outer
            .map(|(name, (value, _))| (name.clone(), (value.clone(), false)))
            .collect();
        all.extend(own.into_iter().map(|(name, value)| (name, (value, true))));
        Self(all)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.0.get(name).is_some_and(|(it, _)| it == value)
    }

    fn is_own(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|(_, own)| *own)
    }
}

/// Removes the features, which the compiler does not know, from options.
fn take_features(options: Option<&mut Vec<UninterpretedOption>>) -> Vec<(String, String)> {
    let Some(options) = options else {
        return Vec::new();
    };
    let is_feature = |it: &NamePart| !it.is_extension && it.name_part == "features";
    let mut found = Vec::new();
    options.retain(|option| {
        if !option.name.first().is_some_and(is_feature) {
            return true;
        }
        match (
            option.name.get(1),
            &option.identifier_value,
            &option.aggregate_value,
        ) {
            (Some(name), Some(value), _) => found.push((name.name_part.clone(), value.clone())),
            (None, _, Some(text)) => {
                let source = Source::read(text);
                let names = source.tokens.windows(3).filter(|it| it[1].text == ":");
                found.extend(names.map(|it| (it[0].text.to_owned(), it[2].text.to_owned())));
            }
            _ => {}
        }
        false
    });
    found
}
