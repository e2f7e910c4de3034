//! YAML that other parsers accept and gateways refuse, as far as the text alone shows it.

use saphyr_parser::Span;

/// The part of the text that is needed.
pub(super) struct Source(Vec<char>);

// === impl Source ===

impl Source {
    pub(super) fn of(text: &str) -> Self {
        let is_needed = text.contains('?') || text.contains("\\/");
        Self(if is_needed {
            text.chars().collect()
        } else {
            Vec::new()
        })
    }

    /// Whether a collection starts with a brace or bracket.
    pub(super) fn is_bracket(&self, span: &Span) -> bool {
        matches!(self.0.get(span.start.index()), Some('{' | '['))
    }

    /// Whether a quoted string has an escape that is newer than the YAML version of gateways.
    pub(super) fn has_odd_escape(&self, span: &Span) -> bool {
        let end = span.end.index().min(self.0.len());
        let text = self.0.get(span.start.index()..end).unwrap_or_default();
        let mut chars = text.iter();
        while let Some(c) = chars.next() {
            if *c == '\\' && chars.next() == Some(&'/') {
                return true;
            }
        }
        false
    }
}

/// The error that keeps gateways from reading a text at all, with line and column.
pub(super) fn fault(text: &str) -> Option<(&'static str, (usize, usize))> {
    if let Some(line) = other_version(text) {
        let told = "a directive says another version than YAML 1.1, which gateways refuse";
        return Some((told, (line, 1)));
    }
    let is_control = |c: char| {
        matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\x7F'..='\u{84}')
            || matches!(c, '\u{86}'..='\u{9F}')
    };
    let at = text.find(is_control)?;
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |it| it.chars().count())
        + 1;
    Some(("a control character", (line, column)))
}

/// The line of a directive for a version other than 1.1.
fn other_version(text: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let at_start = |line: &str| line.starts_with(['%', '#']) || line.trim().is_empty();
    let mut directives = text
        .lines()
        .enumerate()
        .take_while(|(_, line)| at_start(line));
    let found = directives.find(|(_, line)| {
        let version = line.strip_prefix("%YAML");
        version.is_some_and(|it| it.split_whitespace().next() != Some("1.1"))
    });
    found.map(|(line, _)| line + 1)
}
