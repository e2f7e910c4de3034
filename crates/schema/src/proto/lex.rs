//! The tokens and comments of a proto source.

/// Line and column, both from 0, as source info counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: i32,
    pub(crate) column: i32,
}

/// A token; the last one of a source is empty and marks its end.
#[derive(Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    /// The comment right after it, on its line.
    pub(crate) trailing: Option<Comment<'a>>,
    /// The comments between the previous token, or its trailing comment, and this one.
    pub(crate) leading: Vec<Comment<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Comment<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    /// Whether a line break follows immediately.
    pub(crate) ends_line: bool,
}

/// A source, split into tokens and comments.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    pub(crate) tokens: Vec<Token<'a>>,
}

impl Token<'_> {
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

impl Comment<'_> {
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(crate) fn is_line(&self) -> bool {
        self.text.starts_with("//")
    }
}

impl<'a> Source<'a> {
    /// Splits a source that is known to compile.
    pub(crate) fn read(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let mut source = Self {
            text,
            line_starts: std::iter::once(0).chain(breaks).collect(),
            tokens: Vec::new(),
        };
        let mut comments = Vec::new();
        for (start, piece) in pieces(text) {
            if is_comment(piece) {
                comments.push(Comment {
                    text: piece,
                    start,
                    ends_line: text[start + piece.len()..].starts_with('\n'),
                });
            } else {
                source.add(piece, start, std::mem::take(&mut comments));
            }
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

    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset) - 1
    }

    /// Columns count characters; a tab advances to the next multiple of eight.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.line_starts.get(line).copied().unwrap_or_default();
        let column = self.text[start..offset].chars().fold(0, |column, c| {
            if c == '\t' {
                column / 8 * 8 + 8
            } else {
                column + 1
            }
        });
        Position {
            line: i32::try_from(line).unwrap_or(i32::MAX),
            column,
        }
    }

    /// The line of a byte offset, and the number of bytes before it on that line.
    pub(crate) fn line_and_byte(&self, offset: usize) -> Option<(i32, i32)> {
        let line = self.line(offset);
        let start = self.line_starts.get(line)?;
        Some((
            i32::try_from(line).ok()?,
            i32::try_from(offset - start).ok()?,
        ))
    }

    /// The byte offset of a line and a column in bytes.
    pub(crate) fn offset(&self, line: i32, byte: i32) -> Option<usize> {
        let line = self.line_starts.get(usize::try_from(line).ok()?)?;
        Some(line + usize::try_from(byte).ok()?)
    }
}

/// The tokens of any text, which need not compile.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).map(|it| it.1).filter(|it| !is_comment(it))
}

/// The content of a token that is a string; `None` for any other.
///
/// A quote or `\` after a `\` stands for itself. Any other escape is kept: in a path it is a directory's
/// `\` that should be `/`, which an error can then report.
pub(crate) fn content_of(token: &str) -> Option<String> {
    let quote = token.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inside = &token[1..];
    let inside = inside.strip_suffix(quote).unwrap_or(inside);
    let mut content = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            content.push(c);
            continue;
        }
        let escaped = chars.next();
        if !matches!(escaped, Some('"' | '\'' | '\\')) {
            content.push('\\');
        }
        content.extend(escaped);
    }
    Some(content)
}

fn is_comment(piece: &str) -> bool {
    piece.starts_with("//") || piece.starts_with("/*")
}

/// The tokens and comments of a text, each with its byte offset.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let is_blank = |c: char| c.is_ascii_whitespace() || matches!(c, '\u{b}' | '\u{feff}');
        let rest = text[at..].trim_start_matches(is_blank);
        let start = text.len() - rest.len();
        let piece = &rest[..length_of(rest)];
        at = start + piece.len();
        (!piece.is_empty()).then_some((start, piece))
    })
}

/// The length of the token or comment at the start of a text.
fn length_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    match bytes {
        [b'/', b'/', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => text[2..].find("*/").map_or(text.len(), |end| end + 4),
        [quote @ (b'"' | b'\''), rest @ ..] => {
            let mut escaped = false;
            let end = rest.iter().position(|b| {
                // A string that is not closed ends with its line, so that the rest can still be read.
                let ends = !escaped && (b == quote || *b == b'\n');
                escaped = !escaped && *b == b'\\';
                ends
            });
            match end {
                Some(end) if rest[end] == *quote => end + 2,
                Some(end) => end + 1,
                None => text.len(),
            }
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
