//! Assigns the comments of a proto source to tokens.
//!
//! The compiler used here drops some comments that a gateway's compiler keeps, and assigns others to
//! a different declaration. Comments are part of the canonical hash, so they are assigned again here.

use crate::proto::lex::{Comment, Source, Token};

/// Comments as in the descriptor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) detached: Vec<String>,
    pub(crate) leading: Option<String>,
}

/// Adjacent comments.
type Group<'a> = Vec<Comment<'a>>;

/// How the comments between two tokens are assigned.
struct Split<'a> {
    trailing: Group<'a>,
    detached: Vec<Group<'a>>,
    leading: Group<'a>,
}

impl<'a> Source<'a> {
    /// The comments before a token, and the position of the first one.
    pub(crate) fn before(&self, token: usize) -> (Attached, Option<usize>) {
        let split = self.split(token);
        let mut groups = split.detached.iter().chain([&split.leading]);
        let first = groups.find_map(|group| group.first());
        let attached = Attached {
            detached: split.detached.iter().map(combine).collect(),
            leading: (!split.leading.is_empty()).then(|| combine(&split.leading)),
        };
        (attached, first.map(|comment| comment.start))
    }

    /// The comment after a token, and its position.
    pub(crate) fn behind(&self, token: usize) -> Option<(String, usize)> {
        let trailing = self.split(token + 1).trailing;
        Some((combine(&trailing), trailing.first()?.start))
    }

    /// The comments between a token and the previous one: first those of the previous token, then the rest.
    pub(crate) fn between(&self, token: usize) -> (Vec<Comment<'a>>, Vec<Comment<'a>>) {
        let split = self.split(token);
        let others = split.detached.into_iter().chain([split.leading]).flatten();
        (split.trailing, others.collect())
    }

    /// Assigns the comments between a token and the previous one.
    fn split(&self, token: usize) -> Split<'a> {
        let Some(next) = self.tokens.get(token) else {
            return Split {
                trailing: Vec::new(),
                detached: Vec::new(),
                leading: Vec::new(),
            };
        };
        let previous = token.checked_sub(1).and_then(|at| self.tokens.get(at));
        let mut groups = self.groups(&next.leading);
        let trailing: Group<'a> = match previous {
            None => Vec::new(),
            Some(previous) => match previous.trailing {
                Some(comment) => vec![comment],
                None if self.first_is_behind(previous, next, &groups) => groups.remove(0),
                None => Vec::new(),
            },
        };
        let leading = match groups.last() {
            Some(last) if self.is_in_front(previous, next, !trailing.is_empty(), &groups, last) => {
                groups.pop().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        Split {
            trailing,
            detached: groups,
            leading,
        }
    }

    fn lines(&self, group: &Group<'_>) -> (usize, usize) {
        let first = group.first().map_or(0, |comment| self.line(comment.start));
        let last = group.last().map_or(0, |comment| self.line(comment.end()));
        (first, last)
    }

    /// Whether the first group belongs to the previous token despite a line break between them.
    fn first_is_behind(
        &self,
        previous: &Token<'_>,
        next: &Token<'_>,
        groups: &[Group<'_>],
    ) -> bool {
        let Some(first) = groups.first() else {
            return false;
        };
        let (previous_line, next_line) = (self.line(previous.end()), self.line(next.start));
        let (begins, ends) = self.lines(first);
        if begins > previous_line + 1 {
            return false;
        }
        if groups.len() > 1 || ends + 1 < next_line {
            return true;
        }
        match next.text {
            "" => true,
            // The end of a scope takes no comment; on one line the comment belongs to no token.
            "}" | "]" | ")" | "," | ";" => begins != previous_line || ends != next_line,
            _ => false,
        }
    }

    /// Whether the last group belongs to the next token.
    fn is_in_front(
        &self,
        previous: Option<&Token<'_>>,
        next: &Token<'_>,
        has_trailing: bool,
        groups: &[Group<'_>],
        last: &Group<'_>,
    ) -> bool {
        let next_line = self.line(next.start);
        let (begins, ends) = self.lines(last);
        if let (1, false, Some(previous)) = (groups.len(), has_trailing, previous)
            && begins == self.line(previous.end())
            && ends == next_line
        {
            return false;
        }
        ends + 1 >= next_line
    }

    fn groups(&self, comments: &[Comment<'a>]) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for comment in comments {
            let joins = groups.last().and_then(|group| group.last());
            let joins = joins.is_some_and(|last| {
                last.is_line()
                    && comment.is_line()
                    && self.line(comment.start) <= self.line(last.end()) + 1
            });
            match groups.last_mut() {
                Some(group) if joins => group.push(*comment),
                _ => groups.push(vec![*comment]),
            }
        }
        groups
    }
}

/// The text of comments without their delimiters.
fn combine(group: &Group<'_>) -> String {
    let mut out = String::new();
    for comment in group {
        if let Some(text) = comment.text.strip_prefix("//") {
            out.push_str(text);
            if comment.ends_line {
                out.push('\n');
            }
            continue;
        }
        let text = comment.text.get(2..comment.text.len().saturating_sub(2));
        for (number, line) in text.unwrap_or_default().split('\n').enumerate() {
            if number == 0 {
                out.push_str(line);
                continue;
            }
            // Blanks and one star at the start of a line are decoration.
            let line = line.trim_start_matches([' ', '\t']);
            out.push('\n');
            out.push_str(line.strip_prefix('*').unwrap_or(line));
        }
    }
    out
}
