//! Faults that a gateway's compiler reports and the one used here does not: reserved ranges and names,
//! options that do not fit their field, aliases, names of enum values.

mod enums;
mod fields;
mod punctuation;
mod ranges;

use std::collections::HashSet;

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::finding::excerpt::{Excerpt, Lines};
use crate::proto::Compiled;
use crate::proto::fault::ProtoFault;

/// How many faults are reported.
const MOST_FAULTS: usize = 20;

/// All faults in files that are not built in.
pub(super) fn faults(compiled: &Compiled) -> Vec<ProtoFault> {
    let mut files: Vec<_> = compiled.files().collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    let mut found = Vec::new();
    let mut extended = HashSet::new();
    let mut extended_again: Vec<_> = compiled.extensions().collect();
    extended_again.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    extended_again.retain(|it| {
        !extended.insert((it.containing_message().full_name().to_owned(), it.number()))
    });
    for file in &files {
        let Some(source) = compiled.source_of(file.name()) else {
            continue;
        };
        let mut faults = Faults::default();
        match compiled.is_renamed(file.name()) {
            true => of_file(&compiled.descriptor_of(file), compiled, &mut faults),
            false => of_file(file.file_descriptor_proto(), compiled, &mut faults),
        }
        for it in &extended_again {
            if it.parent_file().name() == file.name() {
                let text = format!("the tag {} is extended more than once", it.number());
                faults.add(it.path(), &[], text);
            }
        }
        let slips = punctuation::slips(source);
        if faults.0.is_empty() && slips.is_empty() {
            continue;
        }
        // Locating each fault searches the whole file.
        faults.0.truncate(MOST_FAULTS);
        let lines = Lines::of(source);
        let fault = |text: String, excerpt: Option<Excerpt>| ProtoFault {
            text,
            help: None,
            file: Some(file.name().to_owned()),
            excerpt,
            is_certain: true,
        };
        found.extend(faults.0.into_iter().map(|(path, text)| {
            let span = compiled.span_of(file.name(), &path);
            fault(
                text,
                span.map(|(line, from, to)| lines.at_line(line, from, to)),
            )
        }));
        found.extend(
            slips
                .into_iter()
                .map(|(start, end, text)| fault(text.to_owned(), Some(lines.at_bytes(start, end)))),
        );
    }
    found.truncate(MOST_FAULTS);
    found
}

/// Faults of one file, each at a path into its descriptor.
#[derive(Default)]
struct Faults(Vec<(Vec<i32>, String)>);

// === impl Faults ===

impl Faults {
    fn add(&mut self, parent: &[i32], rest: &[i32], text: String) {
        self.0.push(([parent, rest].concat(), text));
    }
}

/// A list index, as paths contain it.
fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn of_file(file: &FileDescriptorProto, compiled: &Compiled, faults: &mut Faults) {
    let is_proto3 = file.syntax() == "proto3";
    for (index, it) in file.enum_type.iter().enumerate() {
        of_enum(it, &[5, place(index)], is_proto3, faults);
    }
    for (index, it) in file.extension.iter().enumerate() {
        fields::extension(it, &[7, place(index)], faults);
    }
    let info = file.source_code_info.as_ref();
    let places = info.iter().flat_map(|it| &it.location);
    let map_entries: HashSet<&[i32]> = places
        .map(|it| &*it.path)
        .filter(|path| path.ends_with(&[7, 7]))
        .collect();
    // A work list instead of recursion: messages may be nested to any depth.
    let mut messages: Vec<(Vec<i32>, &DescriptorProto)> = Vec::new();
    for (index, it) in file.message_type.iter().enumerate() {
        messages.push((vec![4, place(index)], it));
    }
    while let Some((path, message)) = messages.pop() {
        ranges::of_message(message, &path, is_proto3, faults);
        // The messages of maps have no place in the source.
        let is_explicit = message
            .options
            .as_ref()
            .is_some_and(|it| it.map_entry.is_some());
        if is_explicit && map_entries.contains(&*[&*path, &[7, 7]].concat()) {
            let text = "`map_entry` cannot be set; write `map<…>`".to_owned();
            faults.add(&path, &[7, 7], text);
        }
        for (index, it) in message.field.iter().enumerate() {
            let path = [&*path, &[2, place(index)]].concat();
            fields::of_message(it, message, &path, is_proto3.then_some(compiled), faults);
        }
        for (index, it) in message.extension.iter().enumerate() {
            fields::extension(it, &[&*path, &[6, place(index)]].concat(), faults);
        }
        for (index, it) in message.enum_type.iter().enumerate() {
            let path = [&*path, &[4, place(index)]].concat();
            of_enum(it, &path, is_proto3, faults);
        }
        for (index, it) in message.nested_type.iter().enumerate() {
            messages.push(([&*path, &[3, place(index)]].concat(), it));
        }
    }
}

fn of_enum(it: &EnumDescriptorProto, path: &[i32], is_proto3: bool, faults: &mut Faults) {
    ranges::of_enum(it, path, faults);
    enums::aliases(it, path, faults);
    if is_proto3 {
        enums::names(it, path, faults);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::proto::compile;

    /// Asserts the faults of each source, with their places.
    #[track_caller]
    fn refused(source: &str, expected: &str) {
        let source = match source.starts_with("syntax") {
            true => source.to_owned(),
            false => format!("syntax = \"proto3\"; {source}"),
        };
        let imports = HashMap::from([(
            "closed.proto".to_owned(),
            b"syntax = \"proto2\"; enum Closed { C = 1; }".to_vec(),
        )]);
        let fault = compile("demo", source.as_bytes(), &imports).unwrap_err();
        assert!(!fault.unsupported, "{source}");
        let [first, ..] = &fault.details[..] else {
            panic!("{source}");
        };
        assert!(first.text.contains(expected), "{source}: {}", first.text);
        assert!(first.excerpt.is_some(), "{source}");
    }

    #[track_caller]
    fn taken(source: &str) {
        let source = format!("syntax = \"proto3\"; {source}");
        if let Err(fault) = compile("demo", source.as_bytes(), &HashMap::new()) {
            panic!("{source}: {}", fault.text);
        }
    }

    const PROTO2: &str = "syntax = \"proto2\";";

    #[test]
    fn ranges_overlap_or_run_backwards() {
        refused("message A { reserved 1 to 5, 3; }", "1 to 5 and 3 overlap");
        refused("message A { reserved 1; reserved 1; }", "1 and 1 overlap");
        refused("message A { reserved 5 to 1; }", "5 to 1");
        refused(
            "enum E { A = 0; reserved -5 to -1, -3; }",
            "-5 to -1 and -3 overlap",
        );
        refused("enum E { A = 0; reserved 3 to 1; }", "3 to 1");
        refused("message A { extensions 100 to 200; }", "proto3");
        for source in [
            "message A { reserved 1 to 5; extensions 3 to 8; }",
            "message A { extensions 3 to 8; extensions 8; }",
        ] {
            refused(&format!("{PROTO2}{source}"), "overlap");
        }
        taken("message A { reserved 1 to 3; reserved 4 to max; }");
    }

    #[test]
    fn reserved_names_are_used_or_reserved_twice() {
        refused(
            "message A { reserved \"a\"; string a = 1; }",
            "`a` is reserved",
        );
        refused(
            "message A { reserved \"a\", \"a\"; }",
            "`a` is reserved twice",
        );
        refused("enum E { reserved \"A\"; A = 0; }", "`A` is reserved");
        refused(
            "enum E { A = 0; reserved \"X\", \"X\"; }",
            "`X` is reserved twice",
        );
        taken("message A { reserved \"a\"; message B { string a = 1; } }");
    }

    #[test]
    fn options_fit_their_fields() {
        refused(
            "message A { repeated string a = 1 [packed = true]; }",
            "`packed`",
        );
        refused("message A { int32 a = 1 [packed = true]; }", "`packed`");
        refused("message A { string a = 1 [lazy = true]; }", "`lazy`");
        refused(
            "message A { int32 a = 1 [jstype = JS_NUMBER]; }",
            "`jstype`",
        );
        refused(
            "message A { string a = 1 [json_name = \"[x]\"]; }",
            "`json_name`",
        );
        refused("message A { option map_entry = false; }", "`map_entry`");
        refused(
            "message A { option message_set_wire_format = true; }",
            "message set",
        );
        taken(
            "message A { repeated bool a = 1 [packed = true]; A b = 2 [lazy = true]; \
             int64 c = 3 [jstype = JS_STRING]; string d = 4 [jstype = JS_NORMAL, lazy = false]; \
             map<string, A> e = 5; string f = 6 [json_name = \"[x\"]; }",
        );
    }

    #[test]
    fn enums_of_proto3_are_open_and_their_values_differ_without_the_prefix() {
        let closed = "import \"closed.proto\"; message A { Closed a = 1; }";
        refused(closed, "`Closed` is an enum of proto2");
        refused("enum Foo { FOO_A = 0; A = 1; }", "`FOO_A` and `A`");
        refused("enum E { A_B = 0; a_b = 1; }", "`A_B` and `a_b`");
        refused("enum E { E_ = 0; _E = 1; }", "`E_` and `_E`");
        refused(
            "enum E { option allow_alias = true; A = 0; B = 1; }",
            "`allow_alias`",
        );
        taken("enum Foo { FOO_A = 0; FOO_B = 1; AB = 2; A_B_ = 3; }");
        taken("enum EnumA { ENUM_A = 0; A = 1; }");
        taken("enum E { option allow_alias = true; E_A = 0; A = 0; }");
    }

    #[test]
    fn semicolons_and_braces_hold_something() {
        refused(
            "message A { oneof o { string a = 1;; } }",
            "too many in a oneof",
        );
        refused(
            "message A { oneof o { ; string a = 1; } }",
            "too many in a oneof",
        );
        refused("message A {} extend A { }", "without a field");
        refused("syntax = \"proto3\";;", "behind nothing");
        let group = "message A { oneof o { group G = 1 { ; optional string a = 2;; } } }";
        let group = format!("{PROTO2} {group}");
        assert!(compile("demo", group.as_bytes(), &HashMap::new()).is_ok());
        taken(
            "package a;; message A {; oneof o { string a = 1 [deprecated = true]; };; }; \
             message B { string oneof = 1; string extend = 2; }",
        );
    }

    #[test]
    fn a_tag_is_extended_once() {
        let source = "message A { extensions 1 to 5; } extend A { optional string x = 1; } \
                      message B { extend A { optional string y = 1; } }";
        refused(
            &format!("{PROTO2}{source}"),
            "the tag 1 is extended more than once",
        );
    }

    #[test]
    fn extensions_have_no_json_name() {
        let source = "message A { extensions 1 to 5; } extend A { optional string x = 1 [json_name = \"q\"]; }";
        refused(&format!("{PROTO2}{source}"), "`json_name`");
    }
}
