//! YAML to JSON values, for OpenAPI documents: the core schema, anchors, merge keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// How many nodes aliases may add to a document, and anchors may keep for them: a "billion laughs"
/// document must not eat the memory.
const MAX_COPIES: usize = 100_000;

/// How deep a document may be nested, as serde_json limits JSON.
const MAX_DEPTH: usize = 128;

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) text: String,
    /// Line and column in characters, both from 1.
    pub(crate) at: Option<(usize, usize)>,
    /// It is a limit of this reader; others may have none.
    pub(crate) is_limit: bool,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) root: Value,
    /// Keys that their mapping has already: what they say is lost, and other readers refuse them.
    pub(crate) repeated: Vec<Repeated>,
}

/// A key, and its line and column in characters, both from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) key: String,
    pub(crate) at: (usize, usize),
}

/// Reads the first document of `text`; the error tells where it stopped.
pub(crate) fn parse(text: &str) -> Result<Read, Fault> {
    let mut builder = Builder::default();
    if let Some(line) = other_version(text) {
        let told = "a directive says another version than YAML 1.1, which gateways refuse";
        return Err(fault(told, Some((line, 1)), false));
    }
    // Event by event: `Parser::load` would nest calls as deep as the document.
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            fault(error.info(), Some((mark.line(), mark.col() + 1)), false)
        })?;
        if event == Event::DocumentEnd {
            break;
        }
        let at = (span.start.line(), span.start.col() + 1);
        builder.at = at;
        builder
            .take(event)
            .map_err(|Stop(text, is_limit)| fault(text, Some(at), is_limit))?;
    }
    Ok(Read {
        root: builder.root.unwrap_or(Value::Null),
        repeated: builder.repeated,
    })
}

fn fault(text: &str, at: Option<(usize, usize)>, is_limit: bool) -> Fault {
    let text = text.to_owned();
    Fault { text, at, is_limit }
}

/// Why the document cannot be built, and whether that is a limit of this reader.
struct Stop(&'static str, bool);

/// What an anchor stands for.
#[derive(Clone)]
struct Anchored {
    value: Value,
    nodes: usize,
    depth: usize,
}

/// A collection that is being read; the anchor is 0 where there is none.
enum Open {
    Sequence(usize, Vec<Value>),
    Mapping(usize, Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Value>,
    copies: usize,
    /// Where the event stands that is taken.
    at: (usize, usize),
    repeated: Vec<Repeated>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), Stop> {
        if self.open.len() > MAX_DEPTH {
            return Err(Stop("the document is nested too deep", true));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced_string = tag.is_some_and(|tag| tag.suffix == "str");
                let value = if style == ScalarStyle::Plain && !forced_string {
                    resolve(&text).ok_or(Stop("a number is none that JSON has", false))?
                } else {
                    Value::String(text.into_owned())
                };
                self.push(value, anchor)
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(Stop("an alias without its anchor", false));
                };
                if self.open.len() + anchored.depth > MAX_DEPTH {
                    return Err(Stop("the document is nested too deep", true));
                }
                self.copies += anchored.nodes;
                if self.copies > MAX_COPIES {
                    return Err(Stop("the document is too large", true));
                }
                let value = anchored.value.clone();
                self.push(value, 0)
            }
            Event::SequenceStart(anchor, _) => {
                self.open.push(Open::Sequence(anchor, Vec::new()));
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                self.open.push(Open::Mapping(anchor, Map::new(), None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(anchor, items)) => self.push(Value::Array(items), anchor),
                Some(Open::Mapping(anchor, mut entries, _)) => {
                    merge(&mut entries)?;
                    self.push(Value::Object(entries), anchor)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn push(&mut self, value: Value, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            let (nodes, depth) = extent(&value);
            self.copies += nodes;
            if self.copies > MAX_COPIES {
                return Err(Stop("the document is too large", true));
            }
            let value = value.clone();
            let anchored = Anchored {
                value,
                nodes,
                depth,
            };
            self.anchors.insert(anchor, anchored);
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::Sequence(_, items)) => items.push(value),
            Some(Open::Mapping(_, entries, key)) => match key.take() {
                Some(key) => {
                    entries.insert(key, value);
                }
                None => {
                    let name = match value {
                        Value::String(text) => text,
                        Value::Null => return Err(Stop("a key of a mapping is null", false)),
                        Value::Bool(_) | Value::Number(_) => value.to_string(),
                        Value::Array(_) | Value::Object(_) => {
                            return Err(Stop("a key of a mapping is no scalar", false));
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

/// What `<<` names is taken over, unless the mapping has it itself.
fn merge(entries: &mut Map<String, Value>) -> Result<(), Stop> {
    let Some(merged) = entries.remove("<<") else {
        return Ok(());
    };
    let sources = match merged {
        Value::Array(items) => items,
        other => vec![other],
    };
    for source in sources {
        let Value::Object(more) = source else {
            return Err(Stop("what is merged is no mapping", false));
        };
        for (key, value) in more {
            entries.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// The line of a directive that says another version than 1.1.
fn other_version(text: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate();
    let at_start = |line: &str| line.starts_with(['%', '#']) || line.trim().is_empty();
    let mut directives = lines.by_ref().take_while(|(_, line)| at_start(line));
    let found = directives.find(|(_, line)| {
        let version = line.strip_prefix("%YAML");
        version.is_some_and(|it| it.split_whitespace().next() != Some("1.1"))
    });
    found.map(|(line, _)| line + 1)
}

/// The nodes of a value, and how deep it is. Calls nest no deeper than [`MAX_DEPTH`].
fn extent(value: &Value) -> (usize, usize) {
    let add = |(nodes, depth): (usize, usize), value| {
        let (more, deeper) = extent(value);
        (nodes + more, depth.max(deeper + 1))
    };
    match value {
        Value::Array(items) => items.iter().fold((1, 1), add),
        Value::Object(entries) => entries.values().fold((1, 1), add),
        _ => (1, 0),
    }
}

/// A plain scalar as gateways read it; `None` where no JSON has it.
fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let number = is_number.then(|| number(&text.replace('_', "")));
    Some(number.flatten().unwrap_or_else(|| text.into()))
}

fn number(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Some(number) = natural(text) {
        return Some(number.into());
    }
    let looks_numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.bytes().any(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|_| looks_numeric)?;
    Number::from_f64(number).map(Value::Number)
}

/// Those beyond `i64`, and those in hexadecimal, octal or binary notation.
fn natural(text: &str) -> Option<u64> {
    let digits = |prefix: &str| text.strip_prefix(prefix).filter(|it| !it.starts_with('+'));
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits(prefix) {
            return u64::from_str_radix(digits, radix).ok();
        }
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests;
