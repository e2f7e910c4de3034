//! Writes lines, blank lines and comments so that a compiler assigns each comment to its declaration.

use super::comments::Note;

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
