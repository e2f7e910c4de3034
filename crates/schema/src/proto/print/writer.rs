//! Writes lines, blank lines and comments so that a compiler assigns each comment to its declaration.

use std::collections::HashMap;
use std::ops::Range;

use prost_reflect::prost_types::SourceCodeInfo;
use prost_reflect::prost_types::source_code_info::Location;

#[derive(Debug, Default)]
pub(super) struct Writer {
    out: String,
    depth: usize,
    gap: Gap,
    /// Whether nothing was written since the last opening brace.
    begins_block: bool,
}

/// The gap between two lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    #[default]
    Nothing,
    /// A blank line, but not next to a brace.
    Blank,
    /// A blank line that keeps a comment from being assigned to another declaration.
    Needed,
}

impl Writer {
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// Adds a blank line before the next output, unless that is the end of a block.
    pub(super) fn blank(&mut self) {
        self.want(Gap::Blank);
    }

    fn want(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    /// Writes a declaration that ends with a semicolon.
    pub(super) fn statement(&mut self, note: &Note, text: &str) {
        self.before(note);
        self.start_line();
        self.out.push_str(text);
        self.out.push(';');
        self.behind(note.trailing.as_deref());
    }

    /// Opens a declaration with braces; [`close`](Self::close) ends it.
    pub(super) fn open(&mut self, note: &Note, head: &str) {
        self.before(note);
        self.start_line();
        self.out.push_str(head);
        self.out.push_str(" {");
        self.behind(note.trailing.as_deref());
        self.depth += 1;
        self.begins_block = true;
    }

    pub(super) fn close(&mut self) {
        self.close_with(None);
    }

    /// Ends a declaration that has a comment after its closing brace.
    pub(super) fn close_with(&mut self, trailing: Option<&str>) {
        self.depth -= 1;
        if self.out.ends_with(" {\n") {
            self.out.pop();
            self.out.push('}');
            (self.begins_block, self.gap) = (false, Gap::Nothing);
            self.behind(trailing);
            return;
        }
        // As after an opening brace.
        self.begins_block = true;
        self.start_line();
        self.out.push('}');
        self.behind(trailing);
    }

    fn before(&mut self, note: &Note) {
        if note.leading.is_some() {
            self.blank();
        }
        if !note.detached.is_empty() {
            self.want(Gap::Needed);
        }
        for comment in &note.detached {
            self.comment(comment);
            self.want(Gap::Needed);
        }
        if let Some(comment) = &note.leading {
            self.comment(comment);
        }
    }

    /// Writes one line, or one block comment, on the same line; more lines below, followed by a blank one.
    fn behind(&mut self, trailing: Option<&str>) {
        match trailing {
            None => self.out.push('\n'),
            Some(text) if is_block(text) => {
                self.out.push(' ');
                self.block(text);
            }
            Some(text) if text.strip_suffix('\n').unwrap_or(text).contains('\n') => {
                self.out.push('\n');
                self.comment(text);
                self.want(Gap::Needed);
            }
            Some(text) => {
                self.out.push_str(" //");
                self.out.push_str(text.strip_suffix('\n').unwrap_or(text));
                self.out.push('\n');
            }
        }
    }

    fn comment(&mut self, text: &str) {
        if is_block(text) {
            self.start_line();
            self.block(text);
            return;
        }
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            self.start_line();
            self.out.push_str("//");
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn block(&mut self, text: &str) {
        // In each line, leading blanks and one star are decoration.
        let decoration = format!("\n{} *", self.indentation());
        self.out.push_str("/*");
        self.out.push_str(&text.replace('\n', &decoration));
        self.out.push_str("*/\n");
    }

    fn start_line(&mut self) {
        let begins_block = std::mem::take(&mut self.begins_block);
        match std::mem::take(&mut self.gap) {
            Gap::Nothing => {}
            _ if self.out.is_empty() => {}
            Gap::Blank if begins_block => {}
            Gap::Blank | Gap::Needed => self.out.push('\n'),
        }
        let indentation = self.indentation();
        self.out.push_str(&indentation);
    }

    fn indentation(&self) -> String {
        "  ".repeat(self.depth)
    }
}

/// Whether a comment was between `/*` and `*/`: line comments end with a line break.
fn is_block(text: &str) -> bool {
    !text.ends_with('\n') && !text.contains("*/") && !text.contains("/*")
}

// === the comments of a file, by declaration ===

/// The comments of one declaration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Note {
    pub(super) detached: Vec<String>,
    pub(super) leading: Option<String>,
    pub(super) trailing: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Comments(HashMap<Vec<i32>, Vec<Location>>);

impl Comments {
    pub(super) fn of(info: &SourceCodeInfo) -> Self {
        let mut places: HashMap<Vec<i32>, Vec<Location>> = HashMap::new();
        for location in &info.location {
            let same = places.entry(location.path.clone()).or_default();
            same.push(location.clone());
        }
        Self(places)
    }

    pub(super) fn note(&self, path: &[i32]) -> Note {
        let first = self.0.get(path).and_then(|places| places.first());
        first.map(Note::of).unwrap_or_default()
    }

    /// Groups the elements of a list by their statements, in the order of the list. Without known places,
    /// all of them are in one statement.
    pub(super) fn statements(&self, path: &[i32], count: usize) -> Vec<(Note, Range<usize>)> {
        let mut places: Vec<&Location> = self.0.get(path).into_iter().flatten().collect();
        places.sort_by_key(|place| ends(&place.span));
        let mut found: Vec<(Option<usize>, Range<usize>)> = Vec::new();
        for element in 0..count {
            let index = i32::try_from(element).unwrap_or(i32::MAX);
            let own: Vec<i32> = path.iter().copied().chain([index]).collect();
            let own = self.0.get(&own).and_then(|places| places.first());
            let statement = own.and_then(|own| {
                let (start, end) = ends(&own.span);
                let later = places.partition_point(|place| ends(&place.span).0 <= start);
                let last = later.checked_sub(1)?;
                (end <= ends(&places[last].span).1).then_some(last)
            });
            match found.last_mut() {
                Some((last, range)) if *last == statement => range.end = element + 1,
                _ => found.push((statement, element..element + 1)),
            }
        }
        let note = |(statement, range): (Option<usize>, Range<usize>)| {
            let place = statement.and_then(|at| places.get(at));
            (place.map(|it| Note::of(it)).unwrap_or_default(), range)
        };
        found.into_iter().map(note).collect()
    }
}

impl Note {
    pub(super) fn of(location: &Location) -> Self {
        Self {
            detached: location.leading_detached_comments.clone(),
            leading: location.leading_comments.clone(),
            trailing: location.trailing_comments.clone(),
        }
    }
}

/// Line and column of both ends.
fn ends(span: &[i32]) -> ((i32, i32), (i32, i32)) {
    match *span {
        [line, start, end] => ((line, start), (line, end)),
        [line, start, last, end] => ((line, start), (last, end)),
        _ => ((0, 0), (0, 0)),
    }
}
