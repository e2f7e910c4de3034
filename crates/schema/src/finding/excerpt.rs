//! The line of a source that a finding shows.

use std::fmt;

use crate::redact::redacted_in_place;

/// A line of a source, or a part of it, and the text at fault in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
    /// The line, or, if it is long, the part around the place: generated documents have one line.
    shown: String,
    /// Where in `shown` the place starts, and its length, in characters.
    before: usize,
    width: usize,
    /// Whether the line is longer than `shown`.
    is_cut: bool,
}

/// A text whose lines findings show.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    /// The byte offset of each line.
    starts: Vec<usize>,
}

// === impl Excerpt ===

/// Longer lines are shown in part.
const LONGEST_LINE: usize = 100;

/// How much of a long line is shown before the place itself.
const BEFORE: usize = 40;

impl Excerpt {
    /// `column` from 0.
    fn new(text: &str, line: usize, column: usize, width: usize) -> Self {
        let text = text.trim_end();
        // Characters beyond this are neither shown nor counted.
        let is_long = text.chars().nth(LONGEST_LINE).is_some();
        let skipped = if is_long {
            column.saturating_sub(BEFORE)
        } else {
            0
        };
        // A tab is shown as one blank, so that the caret is in the right column. Some context is kept
        // on both sides: the mask would not recognise half a URL and would show its secrets.
        let from = skipped.saturating_sub(LONGEST_LINE);
        let around: String = text.chars().skip(from).take(3 * LONGEST_LINE).collect();
        let around = redacted_in_place(&around);
        let shown = around.chars().skip(skipped - from).take(LONGEST_LINE);
        let before = column - skipped;
        Self {
            line,
            column: column + 1,
            shown: shown
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
            before,
            width: width.min(LONGEST_LINE.saturating_sub(before)).max(1),
            is_cut: is_long,
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>, margin: usize) -> fmt::Result {
        let Self {
            line,
            shown,
            before,
            width,
            ..
        } = self;
        write!(f, "\n {:margin$} |", "")?;
        write!(f, "\n {line:margin$} | {shown}")?;
        write!(f, "\n {:margin$} | {:before$}{:^<width$}", "", "", "")
    }
}

// === impl Lines ===

impl<'a> Lines<'a> {
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Self { text, starts }
    }

    fn line(&self, index: usize) -> &'a str {
        let start = self.starts.get(index).copied();
        let end = self.starts.get(index + 1).map(|next| next - 1);
        start
            .and_then(|start| self.text.get(start..end.unwrap_or(self.text.len())))
            .unwrap_or_default()
    }

    /// A place given as byte offsets into the text.
    #[must_use]
    pub fn at_bytes(&self, start: usize, end: usize) -> Excerpt {
        let index = self.starts.partition_point(|it| *it <= start) - 1;
        let line = self.line(index);
        let from = floor(line, start - self.starts[index]);
        let to = floor(line, end.saturating_sub(self.starts[index])).max(from);
        let column = line[..from].chars().count();
        Excerpt::new(line, index + 1, column, line[from..to].chars().count())
    }

    #[cfg(feature = "preflight")]
    /// A place given as a line and a byte in it, both from 0, and the byte where the place ends.
    #[must_use]
    pub fn at_line(&self, index: usize, from: usize, to: usize) -> Excerpt {
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        self.at_bytes(start + from, start.saturating_add(to))
    }

    #[cfg(feature = "preflight")]
    /// A place given as a line and a column in characters, both from 1.
    #[must_use]
    pub fn at_mark(&self, line: usize, column: usize, width: usize) -> Excerpt {
        let text = self.line(line.saturating_sub(1));
        Excerpt::new(text, line, column.saturating_sub(1), width)
    }
}

/// The nearest char boundary at or before a byte offset.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
