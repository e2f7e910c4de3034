//! Replaces services by white space.

use std::ops::Range;

use super::Block;
use crate::proto::lex::{Comment, Source};

/// The text without some services and without the comments that a compiler assigns to them.
pub(super) fn blank(text: &str, source: &Source<'_>, services: &[Block<'_>]) -> String {
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
pub(super) fn hollow(text: &str, source: &Source<'_>, services: &[Block<'_>]) -> String {
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
pub(super) fn keeps_comments(source: &Source<'_>, services: &[Block<'_>], blanked: &str) -> bool {
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
