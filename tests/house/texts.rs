//! Every message that users of the layer may read, in one file: `texts.txt`, to be read in one go.
//!
//! They are the string literals of `src/` that read like a text, with the names of what is filled in;
//! among them are the fragments by which gateways' refusals are recognised.
//! `tests/life/words/` has those of a life as they read in the end.

use std::fmt::Write as _;

use super::golden::is_golden;
use super::{root, sources};

const HEAD: &str = "Every text in src/ that a user may read, by file; written by\n\
                    `UPDATE_GOLDEN=1 cargo test --test house texts`. What happened, where, what to do?\n";

/// A text has so many words; in these files each literal counts, because they name states.
const LEAST_WORDS: usize = 3;
const NAMES: [&str; 2] = ["src/status/mod.rs", "src/status/report.rs"];

/// What only shows that something is wrong in this crate, or only compilers read.
const NOT_READ: [&str; 7] = [
    "expect(",
    "assert!(",
    "debug_assert!(",
    "unreachable!(",
    "panic!(",
    "include_str!(",
    "concat!(",
];

#[test]
fn every_text_is_in_the_golden_file() {
    let mut found = HEAD.to_owned();
    for file in sources() {
        let name = file.strip_prefix(root()).expect("below it").display();
        let name = name.to_string();
        let text = std::fs::read_to_string(&file).expect("a source file");
        let mut texts: Vec<String> = Vec::new();
        for literal in literals(&text) {
            let words = literal
                .split_whitespace()
                .filter(|it| it.contains(is_letter));
            let counts = match NAMES.contains(&&*name) {
                true => literal.contains(is_letter),
                false => words.count() >= LEAST_WORDS,
            };
            if counts && !texts.contains(&literal) {
                texts.push(literal);
            }
        }
        if !texts.is_empty() {
            write!(found, "\n== {name}\n\n").expect("a text");
        }
        for text in texts {
            writeln!(found, "{}", text.replace('\n', "\\n")).expect("a text");
        }
    }
    is_golden(&root().join("tests/house/texts.txt"), &found);
}

fn is_letter(it: char) -> bool {
    it.is_alphabetic()
}

/// The string literals of a file, as they read, without those of comments, attributes and tests.
fn literals(source: &str) -> Vec<String> {
    let source = match source.find("\n#[cfg(test)]\nmod tests {") {
        Some(tests) => &source[..tests],
        None => source,
    };
    let mut all = Vec::new();
    let mut rest = source;
    let mut before = String::new();
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("#[") || rest.starts_with("#![") {
            rest = after_attribute(rest);
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest = rest[1..].split_once('\'').map_or("", |(_, after)| after);
            if rest.starts_with('\'') {
                rest = &rest[1..];
            }
        } else if rest.starts_with("r#\"") {
            // JSON.
            rest = rest[3..].split_once("\"#").expect("an end").1;
        } else if first == '"' {
            let (text, after) = literal(&rest[1..]);
            let is_read = !NOT_READ.iter().any(|it| before.trim_end().ends_with(it));
            // What goes over the wire is bytes, or proto.
            if is_read && !before.ends_with('b') && !text.contains("syntax = ") {
                all.push(text);
            }
            rest = after;
            before.clear();
        } else {
            before.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    all
}

/// What follows an attribute.
fn after_attribute(text: &str) -> &str {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '[' => depth += 1,
            ']' if depth == 1 => return rest,
            ']' => depth -= 1,
            '"' => rest = literal(rest).1,
            _ => {}
        }
    }
    rest
}

/// A literal up to its closing quote, and what follows it.
fn literal(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, it)) = chars.next() {
        match it {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                // It goes on behind the white space.
                Some((at, '\n')) => {
                    let spaces = text[at..].len() - text[at..].trim_start().len();
                    let (more, after) = literal(&text[at + spaces..]);
                    return (value + &more, after);
                }
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, "")
}
