//! Splits proto sources into one per service: gateways serve only one per entry file.
//!
//! Everything that remains keeps its line and column, and every comment its declaration, because both
//! are part of the canonical hash. No compiler is needed.

#[cfg(test)]
#[cfg(feature = "preflight")]
mod tests;

use std::ops::Range;

use crate::proto::lex::{Comment, Source, Token};

/// The services of a proto source.
#[derive(Debug)]
pub(crate) struct Services<'a> {
    text: &'a str,
    source: Source<'a>,
    blocks: Vec<Block<'a>>,
}

/// A service in a source, by token index.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    name: &'a str,
    /// The token `service`.
    first: usize,
    /// Its closing brace, or the last `;` after it.
    last: usize,
}

// === impl Services ===

impl<'a> Services<'a> {
    /// The services of a source; empty if its braces do not match.
    pub(crate) fn of(text: &'a str) -> Self {
        let source = Source::read(text);
        let blocks = blocks(&source.tokens).unwrap_or_default();
        Self {
            text,
            source,
            blocks,
        }
    }

    /// Their names, in the order of the source.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().map(|block| block.name)
    }

    /// The source with only one of its services. The others, and the comments that belong to them, become
    /// white space.
    pub(crate) fn alone(&self, kept: usize) -> String {
        let others: Vec<Block<'_>> = (self.blocks.iter().zip(0..))
            .filter(|(_, at)| *at != kept)
            .map(|(block, _)| *block)
            .collect();
        let blanked = blank(self.text, &self.source, &others);
        if keeps_comments(&self.source, &others, &blanked) {
            return blanked;
        }
        hollow(self.text, &self.source, &others)
    }
}

fn blocks<'a>(tokens: &[Token<'a>]) -> Option<Vec<Block<'a>>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut starts_statement = true;
    let mut is_in_service = false;
    for (at, token) in tokens.iter().enumerate() {
        let is_first = starts_statement && depth == 0;
        starts_statement = false;
        match token.text {
            "service" if is_first => {
                let name = tokens.get(at + 1)?.text;
                is_in_service = tokens.get(at + 2)?.text == "{";
                if is_in_service {
                    let (first, last) = (at, at);
                    found.push(Block { name, first, last });
                }
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.checked_sub(1)?;
                starts_statement = true;
                if depth == 0 && is_in_service {
                    is_in_service = false;
                    found.last_mut()?.last = at;
                }
            }
            ";" => {
                starts_statement = true;
                // It ends nothing; a comment after it belongs to the service.
                let block = found.last_mut();
                if let Some(block) = block.filter(|it| !is_in_service && it.last + 1 == at) {
                    block.last = at;
                }
            }
            _ => {}
        }
    }
    (depth == 0).then_some(found)
}

// === services replaced by white space ===

/// The text without some services and without the comments that a compiler assigns to them.
fn blank(text: &str, source: &Source<'_>, services: &[Block<'_>]) -> String {
    let mut blanks = Vec::new();
    for service in services {
        let (_, before) = source.between(service.first);
        blanks.extend(before.iter().map(whole));
        blanks.push(service.range(source));
        let (behind, _) = source.between(service.last + 1);
        blanks.extend(behind.iter().map(whole));
    }
    without(text, &blanks, &[])
}

/// As [`blank`], but keeps what holds other comments in place: semicolons (empty statements) where a
/// service started and ended, and empty comments.
fn hollow(text: &str, source: &Source<'_>, services: &[Block<'_>]) -> String {
    let (mut blanks, mut semicolons) = (Vec::new(), Vec::new());
    for service in services {
        let (of_another, before) = source.between(service.first);
        // If there is no other comment, this one would be assigned to the previous token.
        match of_another.is_empty() {
            true => blanks.extend(before.iter().map(whole)),
            false => blanks.extend(before.iter().map(words)),
        }
        let range = service.range(source);
        semicolons.extend([range.start, range.end - 1]);
        blanks.push(range);
        let (behind, _) = source.between(service.last + 1);
        blanks.extend(behind.iter().map(words));
    }
    without(text, &blanks, &semicolons)
}

/// Whether every remaining comment still belongs to the same token.
fn keeps_comments(source: &Source<'_>, services: &[Block<'_>], blanked: &str) -> bool {
    let blanked = Source::read(blanked);
    let mut removed = 0;
    services.iter().enumerate().all(|(at, service)| {
        // The tokens on both sides, unless those are removed, too.
        let earlier = at.checked_sub(1).and_then(|at| services.get(at));
        let before = (service.first.checked_sub(1))
            .filter(|token| earlier.is_none_or(|it| it.last != *token));
        let later = services.get(at + 1);
        let behind =
            Some(service.last + 1).filter(|token| later.is_none_or(|it| it.first != *token));
        let keeps_before = before.is_none_or(|token| {
            let now = token - removed;
            source.behind(token).map(|it| it.0) == blanked.behind(now).map(|it| it.0)
        });
        removed += service.last + 1 - service.first;
        let keeps_behind = behind.is_none_or(|token| {
            let is_end = token + 1 == source.tokens.len();
            is_end || source.before(token).0 == blanked.before(token - removed).0
        });
        keeps_before && keeps_behind
    })
}

impl Block<'_> {
    fn range(&self, source: &Source<'_>) -> Range<usize> {
        source.tokens[self.first].start..source.tokens[self.last].end()
    }
}

fn whole(comment: &Comment<'_>) -> Range<usize> {
    comment.start..comment.end()
}

/// The text of a comment without its delimiters.
fn words(comment: &Comment<'_>) -> Range<usize> {
    let closed = comment
        .text
        .get(2..)
        .is_some_and(|text| text.ends_with("*/"));
    let behind = if closed && !comment.is_line() { 2 } else { 0 };
    comment.start + 2..comment.end() - behind
}

/// The text with the given ranges, in order, replaced by blanks. Blanks are as wide as the characters
/// they replace, as compilers count columns; line breaks and tabs stay.
fn without(text: &str, blanks: &[Range<usize>], semicolons: &[usize]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut semicolons = semicolons.iter().peekable();
    let mut at = 0;
    for range in blanks {
        out.push_str(&text[at..range.start]);
        for (offset, c) in text[range.clone()].char_indices() {
            out.push(match c {
                _ if semicolons
                    .next_if(|it| **it == range.start + offset)
                    .is_some() =>
                {
                    ';'
                }
                c if c.is_ascii_whitespace() => c,
                _ => ' ',
            });
        }
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}
