//! Locates declarations in proto sources, by their paths into descriptors.

use std::collections::HashMap;

use super::compile::Compiled;
use crate::finding::excerpt::{Excerpt, Lines};

/// The declarations of one compiler result in its sources, each of which is divided into lines once.
#[derive(Debug)]
pub(crate) struct Excerpts<'a> {
    compiled: &'a Compiled,
    lines: HashMap<String, Lines<'a>>,
}

/// Where a declaration is: its line, and the bytes in that line; all from 0.
struct Span {
    line: usize,
    from: usize,
    to: usize,
}

// === impl Excerpts ===

impl<'a> Excerpts<'a> {
    pub(crate) fn new(compiled: &'a Compiled) -> Self {
        Self {
            compiled,
            lines: HashMap::new(),
        }
    }

    /// `None` if the result has no source info for the path, or no text of the file.
    pub(crate) fn of(&mut self, file: &str, path: &[i32]) -> Option<Excerpt> {
        let span = span_of(self.compiled, file, path)?;
        if !self.lines.contains_key(file) {
            let text = self.compiled.source_of(file)?;
            self.lines.insert(file.to_owned(), Lines::of(text));
        }
        let lines = self.lines.get(file)?;
        Some(lines.at_line(span.line, span.from, span.to))
    }
}

/// The line of a declaration, from 1.
pub(crate) fn line_of(compiled: &Compiled, file: &str, path: &[i32]) -> Option<usize> {
    span_of(compiled, file, path).map(|it| it.line + 1)
}

fn span_of(compiled: &Compiled, file: &str, path: &[i32]) -> Option<Span> {
    let file = compiled.file(file)?;
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = info.location.iter().find(|it| it.path == path)?;
    let at = |index: usize| usize::try_from(*location.span.get(index)?).ok();
    let to = match location.span.len() {
        3 => at(2)?,
        // Up to the end of the first line.
        _ => usize::MAX,
    };
    Some(Span {
        line: at(0)?,
        from: at(1)?,
        to,
    })
}
