//! The tokens and comments of a proto source, and which comment belongs to which token.
//!
//! The compiler used here gives up some comments that a gateway's compiler keeps, and gives others
//! to another declaration. Comments are part of the canonical hash, so they are read anew.

/// A place in a source: line and column, both from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: i32,
    pub(super) column: i32,
}

/// A token; the last one of a source is empty and stands for its end.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
    /// The comment right behind it, on its line.
    trailing: Option<Comment<'a>>,
    /// The comments between the token before, or its trailing comment, and this one.
    leading: Vec<Comment<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Comment<'a> {
    text: &'a str,
    start: usize,
    /// Whether a line break follows it at once.
    ends_line: bool,
}

/// Comments as the descriptor has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attached {
    pub(super) detached: Vec<String>,
    pub(super) leading: Option<String>,
}

/// A source, taken apart.
#[derive(Debug)]
pub(super) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    pub(super) tokens: Vec<Token<'a>>,
}

/// Comments that stand together.
type Group<'a> = Vec<Comment<'a>>;

/// What the comments between two tokens become.
struct Split<'a> {
    trailing: Group<'a>,
    detached: Vec<Group<'a>>,
    leading: Group<'a>,
}

impl Token<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

impl Comment<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    fn is_line(&self) -> bool {
        self.text.starts_with("//")
    }
}

impl<'a> Source<'a> {
    /// Takes a source apart that is known to compile.
    pub(super) fn read(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut source = Self {
            text,
            line_starts: std::iter::once(0).chain(breaks).collect(),
            tokens: Vec::new(),
        };
        let mut at = 0;
        let mut comments = Vec::new();
        while let Some(first) = text[at..].chars().next() {
            if first.is_ascii_whitespace() || matches!(first, '\u{b}' | '\u{feff}') {
                at += first.len_utf8();
                continue;
            }
            let rest = &text[at..];
            let length = length_of(rest);
            let piece = &rest[..length];
            if piece.starts_with("//") || piece.starts_with("/*") {
                comments.push(Comment {
                    text: piece,
                    start: at,
                    ends_line: rest[length..].starts_with('\n'),
                });
            } else {
                source.add(piece, at, std::mem::take(&mut comments));
            }
            at += length;
        }
        source.add("", text.len(), comments);
        source
    }

    fn add(&mut self, text: &'a str, start: usize, mut comments: Vec<Comment<'a>>) {
        let mut line = self.line(start);
        let previous_line = self.tokens.last().map(|token| self.line(token.end()));
        if let (Some(previous_line), Some(first)) = (previous_line, comments.first()) {
            // The end of the source counts as a line of its own.
            if text.is_empty() && line == previous_line {
                line += 1;
            }
            let behind = line > previous_line && self.line(first.start) == previous_line;
            let ends_before =
                first.is_line() || comments.len() > 1 || self.line(first.end()) < line;
            if behind && ends_before {
                let first = comments.remove(0);
                if let Some(previous) = self.tokens.last_mut() {
                    previous.trailing = Some(first);
                }
            }
        }
        self.tokens.push(Token {
            text,
            start,
            trailing: None,
            leading: comments,
        });
    }

    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// Columns count characters, and a tab goes on to the next multiple of eight.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.line(offset);
        let start = self.line_starts.get(line).copied().unwrap_or_default();
        let column = self.text[start..offset].chars().fold(0, |column, c| {
            if c == '\t' {
                column / 8 * 8 + 8
            } else {
                column + 1
            }
        });
        Place {
            line: i32::try_from(line).unwrap_or(i32::MAX),
            column,
        }
    }

    /// The line of a byte offset, and the bytes before it on that line.
    pub(super) fn line_and_byte(&self, offset: usize) -> Option<(i32, i32)> {
        let line = self.line(offset);
        let start = self.line_starts.get(line)?;
        Some((
            i32::try_from(line).ok()?,
            i32::try_from(offset - start).ok()?,
        ))
    }

    /// The byte offset of a line and a column in bytes.
    pub(super) fn offset(&self, line: i32, byte: i32) -> Option<usize> {
        let line = self.line_starts.get(usize::try_from(line).ok()?)?;
        Some(line + usize::try_from(byte).ok()?)
    }

    /// The comments in front of a token, and where the first of them stands.
    pub(super) fn before(&self, token: usize) -> (Attached, Option<usize>) {
        let split = self.split(token);
        let mut groups = split.detached.iter().chain([&split.leading]);
        let first = groups.find_map(|group| group.first());
        let attached = Attached {
            detached: split.detached.iter().map(|group| combine(group)).collect(),
            leading: (!split.leading.is_empty()).then(|| combine(&split.leading)),
        };
        (attached, first.map(|comment| comment.start))
    }

    /// The comment behind a token, and where it stands.
    pub(super) fn behind(&self, token: usize) -> Option<(String, usize)> {
        let trailing = self.split(token + 1).trailing;
        Some((combine(&trailing), trailing.first()?.start))
    }

    /// What the comments between a token and the one before it become.
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

    /// Whether the first group belongs to the token before, though a line break is between.
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
            // What ends a scope needs no comment; but on one line it is nobody's.
            "}" | "]" | ")" | "," | ";" => begins != previous_line || ends != next_line,
            _ => false,
        }
    }

    /// Whether the last group belongs to the token that follows.
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

/// The length of the token or comment that a text begins with.
fn length_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match bytes {
        [b'/', b'/', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => text[2..].find("*/").map_or(text.len(), |end| end + 4),
        [quote @ (b'"' | b'\''), rest @ ..] => {
            let mut escaped = false;
            let end = rest.iter().position(|b| {
                let ends = !escaped && b == quote;
                escaped = !escaped && *b == b'\\';
                ends
            });
            end.map_or(text.len(), |end| end + 2)
        }
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => {
            let mut last = b' ';
            let end = bytes.iter().position(|b| {
                let goes_on = word(b)
                    || *b == b'.'
                    || (matches!(b, b'+' | b'-') && matches!(last, b'e' | b'E'));
                last = *b;
                !goes_on
            });
            end.unwrap_or(text.len())
        }
        [first, ..] if word(first) => bytes.iter().position(|b| !word(b)).unwrap_or(text.len()),
        _ => text.chars().next().map_or(0, char::len_utf8),
    }
}

/// The text of comments without their signs.
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
            // Blanks and one star at the beginning of a line are decoration.
            let line = line.trim_start_matches([' ', '\t']);
            out.push('\n');
            out.push_str(line.strip_prefix('*').unwrap_or(line));
        }
    }
    out
}
