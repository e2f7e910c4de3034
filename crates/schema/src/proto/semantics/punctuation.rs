//! Finds superfluous semicolons and empty braces.

use crate::proto::lex::{Source, Token};

/// The start and end of a fault, in bytes, and its description.
pub(super) type Slip = (usize, usize, &'static str);

pub(super) fn slips(text: &str) -> Vec<Slip> {
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
                return Some((at.start, at.end(), "a semicolon too many in a oneof"));
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
    is_it.then_some((first.start, first.end(), "a semicolon behind nothing"))
}
