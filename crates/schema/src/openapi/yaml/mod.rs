//! Converts YAML to JSON values, for OpenAPI documents: core schema, anchors, merge keys.

mod scalars;

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::json::{Room, Value};

/// How many nodes aliases may add to a document, and anchors may store for them: a "billion laughs"
/// document must not exhaust the memory.
const MAX_COPIES: usize = 100_000;

/// The maximum nesting depth; serde_json has the same limit for JSON.
const MAX_DEPTH: usize = 128;

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) text: String,
    /// Line and column in characters, both from 1.
    pub(crate) at: Option<(usize, usize)>,
    /// Whether it is a limit of this parser; others may not have it.
    pub(crate) is_limit: bool,
}

/// The parsed document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) root: Value,
    /// Duplicate keys of mappings: their values are lost, and other parsers refuse them.
    pub(crate) repeated: Vec<Repeated>,
    /// Whether a plain scalar is a date or time.
    pub(crate) has_times: bool,
}

/// How to read plain scalars such as `2026-01-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// As `2026-01-31T00:00:00Z`: gateways read them as timestamps.
    AsGateways,
    /// As the text in the document.
    AsWritten,
}

/// A key, and its line and column in characters, both from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) key: String,
    pub(crate) at: (usize, usize),
}

/// Parses the first document of `text`; the error contains the place where parsing stopped.
pub(crate) fn parse(text: &str, times: Times) -> Result<Read, Fault> {
    let mut builder = Builder {
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        copies: 0,
        room: Room::new(),
        at: (1, 1),
        repeated: Vec::new(),
        times,
        has_times: false,
        source: Source::of(text),
    };
    if let Some((told, at)) = never_read(text) {
        return Err(fault(told, Some(at), false));
    }
    // Event by event: `Parser::load` would recurse as deep as the document.
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let is_limit = error.info().contains("recursion limit");
            fault(error.info(), Some((mark.line(), mark.col() + 1)), is_limit)
        })?;
        if event == Event::DocumentEnd {
            break;
        }
        let at = (span.start.line(), span.start.col() + 1);
        builder.at = at;
        builder
            .take(event, span)
            .map_err(|Stop(text, is_limit)| fault(text, Some(at), is_limit))?;
    }
    Ok(Read {
        root: builder.root.unwrap_or(Value::Null),
        repeated: builder.repeated,
        has_times: builder.has_times,
    })
}

fn fault(text: &str, at: Option<(usize, usize)>, is_limit: bool) -> Fault {
    let text = text.to_owned();
    Fault { text, at, is_limit }
}

/// Why the document cannot be built, and whether a limit of this parser is the reason.
struct Stop(&'static str, bool);

const TOO_MANY: Stop = Stop("the document has too many values", true);

/// The value of an anchor.
struct Anchored {
    value: Value,
    extent: Extent,
}

/// How large a value is.
#[derive(Clone, Copy)]
struct Extent {
    nodes: usize,
    depth: usize,
    /// The memory that a copy takes.
    bytes: usize,
}

/// A collection being read; its anchor is 0 if it has none.
enum Open {
    Sequence(usize, Vec<Value>),
    Mapping(usize, BTreeMap<String, Value>, Option<String>),
}

struct Builder {
    /// Each with a flag for braces or brackets.
    open: Vec<(Open, bool)>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Value>,
    copies: usize,
    room: Room,
    /// The place of the current event.
    at: (usize, usize),
    repeated: Vec<Repeated>,
    times: Times,
    has_times: bool,
    source: Source,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        if self.open.len() > MAX_DEPTH {
            return Err(Stop("the document is nested too deeply", true));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced_string = tag.is_some_and(|tag| tag.suffix == "str");
                let is_plain = style == ScalarStyle::Plain;
                let in_brackets = self
                    .open
                    .last()
                    .is_some_and(|(_, in_brackets)| *in_brackets);
                if is_plain && in_brackets && text.contains('?') {
                    let told = "a string with `?` in braces or brackets: quote it, because \
                                gateways cannot read it";
                    return Err(Stop(told, false));
                }
                if style == ScalarStyle::DoubleQuoted && self.source.has_odd_escape(&span) {
                    let told = "the escape `\\/`, which gateways do not know in YAML";
                    return Err(Stop(told, false));
                }
                let value = if is_plain && !forced_string {
                    self.plain(&text)?
                } else {
                    Value::String(text.into_owned())
                };
                self.push(value, anchor)
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(Stop("an alias without its anchor", false));
                };
                if self.open.len() + anchored.extent.depth > MAX_DEPTH {
                    return Err(Stop("the document is nested too deeply", true));
                }
                self.copies += anchored.extent.nodes;
                if self.copies > MAX_COPIES {
                    return Err(Stop("the document is too large", true));
                }
                if !self.room.take(anchored.extent.bytes) {
                    return Err(TOO_MANY);
                }
                let value = anchored.value.clone();
                self.place(value)
            }
            Event::SequenceStart(anchor, _) => {
                let in_brackets = self.source.is_bracket(&span);
                let open = Open::Sequence(anchor, Vec::new());
                self.open.push((open, in_brackets));
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                let in_brackets = self.source.is_bracket(&span);
                let open = Open::Mapping(anchor, BTreeMap::new(), None);
                self.open.push((open, in_brackets));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((Open::Sequence(anchor, mut items), _)) => {
                    items.shrink_to_fit();
                    self.push(Value::Array(items), anchor)
                }
                Some((Open::Mapping(anchor, mut entries, _), _)) => {
                    merge(&mut entries)?;
                    self.push(Value::Object(entries.into_iter().collect()), anchor)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn plain(&mut self, text: &str) -> Result<Value, Stop> {
        if let Some(time) = scalars::time(text) {
            self.has_times = true;
            return Ok(match self.times {
                Times::AsGateways => time.into(),
                Times::AsWritten => text.into(),
            });
        }
        scalars::resolve(text).ok_or(Stop("JSON cannot represent a number", false))
    }

    /// Adds a new value, whose items and entries have been added before.
    fn push(&mut self, value: Value, anchor: usize) -> Result<(), Stop> {
        if !self.room.take(own_bytes(&value)) {
            return Err(TOO_MANY);
        }
        if anchor != 0 {
            let extent = extent(&value);
            self.copies += extent.nodes;
            if self.copies > MAX_COPIES {
                return Err(Stop("the document is too large", true));
            }
            if !self.room.take(extent.bytes) {
                return Err(TOO_MANY);
            }
            let value = value.clone();
            self.anchors.insert(anchor, Anchored { value, extent });
        }
        self.place(value)
    }

    /// Puts a value where it belongs.
    fn place(&mut self, value: Value) -> Result<(), Stop> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some((Open::Sequence(_, items), _)) => items.push(value),
            Some((Open::Mapping(_, entries, key), _)) => match key.take() {
                Some(key) => {
                    entries.insert(key, value);
                }
                None => {
                    let name = match value {
                        Value::String(text) => text,
                        Value::Null => return Err(Stop("a key of a mapping is null", false)),
                        Value::Bool(_) | Value::Number(_) => value.to_string(),
                        Value::Array(_) | Value::Object(_) => {
                            return Err(Stop("a key of a mapping is not a scalar", false));
                        }
                    };
                    if entries.contains_key(&name) {
                        let (key, at) = (name.clone(), self.at);
                        self.repeated.push(Repeated { key, at });
                    }
                    *key = Some(name);
                }
            },
        }
        Ok(())
    }
}

/// Merges the mappings named by `<<`; the mapping's own keys take precedence.
fn merge(entries: &mut BTreeMap<String, Value>) -> Result<(), Stop> {
    let Some(merged) = entries.remove("<<") else {
        return Ok(());
    };
    let sources = match merged {
        Value::Array(items) => items,
        other => vec![other],
    };
    for source in sources {
        let Value::Object(more) = source else {
            return Err(Stop("`<<` merges something that is not a mapping", false));
        };
        for (key, value) in more {
            entries.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// The memory of a value, without its items or entries.
fn own_bytes(value: &Value) -> usize {
    size_of::<Value>() + value.as_str().map_or(0, str::len)
}

/// Recurses no deeper than [`MAX_DEPTH`].
fn extent(value: &Value) -> Extent {
    let own = |depth| Extent {
        nodes: 1,
        depth,
        bytes: own_bytes(value),
    };
    let add = |sum: Extent, (key, value): (usize, &Value)| {
        let inner = extent(value);
        Extent {
            nodes: sum.nodes + inner.nodes,
            depth: sum.depth.max(inner.depth + 1),
            bytes: sum.bytes + key + inner.bytes,
        }
    };
    match value {
        Value::Array(items) => items.iter().map(|it| (0, it)).fold(own(1), add),
        Value::Object(entries) => {
            let entries = entries.iter();
            let sized = entries.map(|(key, it)| (size_of::<String>() + key.len(), it));
            sized.fold(own(1), add)
        }
        _ => own(0),
    }
}

#[cfg(test)]
mod tests;

// === what other parsers accept, as far as the text alone shows it ===

/// The part of the text that is needed.
struct Source(Vec<char>);

// === impl Source ===

impl Source {
    fn of(text: &str) -> Self {
        let is_needed = text.contains('?') || text.contains("\\/");
        Self(if is_needed {
            text.chars().collect()
        } else {
            Vec::new()
        })
    }

    /// Whether a collection starts with a brace or bracket.
    fn is_bracket(&self, span: &Span) -> bool {
        matches!(self.0.get(span.start.index()), Some('{' | '['))
    }

    /// Whether a quoted string has an escape that is newer than the YAML version of gateways.
    fn has_odd_escape(&self, span: &Span) -> bool {
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
fn never_read(text: &str) -> Option<(&'static str, (usize, usize))> {
    if let Some(line) = other_version(text) {
        let told = "a directive names a version other than YAML 1.1, which gateways refuse";
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
