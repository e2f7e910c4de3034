//! Faults that a gateway's compiler reports and the one used here does not: reserved ranges and names,
//! options that do not fit their field, aliases, names of enum values, superfluous semicolons.

mod declarations;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::finding::excerpt::{Excerpt, Lines};
use crate::proto::Compiled;
use crate::proto::fault::ProtoFault;
use crate::proto::lex::{Source, Token};
use crate::proto::locate::Excerpts;

/// How many faults are reported.
const MOST_FAULTS: usize = 20;

/// All faults in files that are not built in.
pub(super) fn faults(compiled: &Compiled) -> Vec<ProtoFault> {
    let mut files: Vec<_> = compiled.files().collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    let mut found = Vec::new();
    let mut excerpts = Excerpts::new(compiled);
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
        let slips = slips(source);
        if faults.0.is_empty() && slips.is_empty() {
            continue;
        }
        // Locating each fault searches the whole file.
        faults.0.truncate(MOST_FAULTS);
        let fault = |text: String, excerpt: Option<Excerpt>| ProtoFault {
            text,
            help: None,
            file: Some(file.name().to_owned()),
            excerpt,
            is_certain: true,
        };
        found.extend(faults.0.into_iter().map(|(path, text)| {
            let excerpt = excerpts.of(file.name(), &path);
            fault(text, excerpt)
        }));
        let lines = Lines::of(source);
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
fn step(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

fn of_file(file: &FileDescriptorProto, compiled: &Compiled, faults: &mut Faults) {
    let is_proto3 = file.syntax() == "proto3";
    for (index, it) in file.enum_type.iter().enumerate() {
        of_enum(it, &[5, step(index)], is_proto3, faults);
    }
    for (index, it) in file.extension.iter().enumerate() {
        declarations::extension(it, &[7, step(index)], faults);
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
        messages.push((vec![4, step(index)], it));
    }
    while let Some((path, message)) = messages.pop() {
        declarations::reserved_of_message(message, &path, is_proto3, faults);
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
            let path = [&*path, &[2, step(index)]].concat();
            declarations::field(it, message, &path, is_proto3.then_some(compiled), faults);
        }
        for (index, it) in message.extension.iter().enumerate() {
            declarations::extension(it, &[&*path, &[6, step(index)]].concat(), faults);
        }
        for (index, it) in message.enum_type.iter().enumerate() {
            let path = [&*path, &[4, step(index)]].concat();
            of_enum(it, &path, is_proto3, faults);
        }
        for (index, it) in message.nested_type.iter().enumerate() {
            messages.push(([&*path, &[3, step(index)]].concat(), it));
        }
    }
}

fn of_enum(it: &EnumDescriptorProto, path: &[i32], is_proto3: bool, faults: &mut Faults) {
    declarations::reserved_of_enum(it, path, faults);
    declarations::enum_aliases(it, path, faults);
    if is_proto3 {
        declarations::enum_value_names(it, path, faults);
    }
}

// === superfluous semicolons and empty braces ===

/// The start and end of a fault, in bytes, and its description.
type Slip = (usize, usize, &'static str);

fn slips(text: &str) -> Vec<Slip> {
    let source = Source::read(text);
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (index, window) in tokens.windows(3).enumerate() {
        let [first, second, third] = window else {
            continue;
        };
        if third.text == "{" && first.text == "oneof" && begins_statement(tokens, index) {
            found.extend(in_oneof(&tokens[index + 2..]));
        }
        if first.text == "{" && second.text == "}" && is_extend(tokens, index) {
            found.push((first.start, second.end(), "an `extend` without a field"));
        }
    }
    found.extend(only_semicolons(tokens));
    found
}

fn begins_statement(tokens: &[Token<'_>], index: usize) -> bool {
    let before = index.checked_sub(1).map(|at| tokens[at].text);
    before.is_none_or(|text| matches!(text, ";" | "{" | "}"))
}

/// Everywhere else a semicolon may stand alone, also in a group inside a oneof.
fn in_oneof(block: &[Token<'_>]) -> Option<Slip> {
    for pair in block.windows(2) {
        match (pair[0].text, pair[1].text) {
            (_, "}" | "{") => return None,
            (";" | "{", ";") => {
                let at = &pair[1];
                return Some((at.start, at.end(), "an extra semicolon in a oneof"));
            }
            _ => {}
        }
    }
    None
}

/// Whether the braces at `index` belong to `extend Name`.
fn is_extend(tokens: &[Token<'_>], index: usize) -> bool {
    let is_name = |text: &str| text == "." || crate::name::is_name(text);
    let name = tokens[..index]
        .iter()
        .rev()
        .take_while(|it| is_name(it.text));
    let count = name.count();
    let start = index - count;
    count > 1 && tokens[start].text == "extend"
}

/// A file with nothing except a syntax and semicolons.
fn only_semicolons(tokens: &[Token<'_>]) -> Option<Slip> {
    let [syntax, equals, _, semicolon, rest @ .., _] = tokens else {
        return None;
    };
    let is_head = syntax.text == "syntax" && equals.text == "=" && semicolon.text == ";";
    let first = rest.first()?;
    let is_it = is_head && rest.iter().all(|it| it.text == ";");
    is_it.then_some((first.start, first.end(), "an extra semicolon"))
}
