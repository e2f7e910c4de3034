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
                    resolve(&text)
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
                    merge(&mut entries);
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
                        Value::Null => "null".to_owned(),
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
fn merge(entries: &mut Map<String, Value>) {
    let Some(merged) = entries.remove("<<") else {
        return;
    };
    let sources = match merged {
        Value::Array(items) => items,
        other => vec![other],
    };
    for source in sources {
        if let Value::Object(more) = source {
            for (key, value) in more {
                entries.entry(key).or_insert(value);
            }
        }
    }
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

/// A plain scalar by the core schema.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    if let Some(number) = natural(text) {
        return Value::from(number);
    }
    let looks_numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.bytes().any(|b| b.is_ascii_digit());
    if looks_numeric
        && let Ok(number) = text.parse::<f64>()
        && let Some(number) = Number::from_f64(number)
    {
        return Value::Number(number);
    }
    Value::String(text.to_owned())
}

/// Those beyond `i64`, and those in hexadecimal or octal notation.
fn natural(text: &str) -> Option<u64> {
    let digits = |prefix: &str| text.strip_prefix(prefix).filter(|it| !it.starts_with('+'));
    match (digits("0x"), digits("0o")) {
        (Some(hex), _) => u64::from_str_radix(hex, 16).ok(),
        (_, Some(octal)) => u64::from_str_radix(octal, 8).ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Result<Value, Fault> {
        super::parse(text).map(|read| read.root)
    }

    #[test]
    fn documents_become_json() {
        let text = "a: 1\nb: [x, 'true', true, ~, 1.5]\nc: &here {d: \"e\"}\nf: *here\n\"200\": y\n404: z\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "a": 1, "b": ["x", "true", true, null, 1.5], "c": {"d": "e"}, "f": {"d": "e"},
                "200": "y", "404": "z",
            })
        );
        assert_eq!(parse("hello").unwrap(), json!("hello"));
        assert!(parse("{not json").is_err());
    }

    #[test]
    fn depth_is_limited() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
        let indented: String = (0..2000)
            .map(|n| format!("{}a:\n", " ".repeat(n)))
            .collect();
        assert!(parse(&indented).is_err());
    }

    #[test]
    fn aliases_cannot_eat_the_memory() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let alias = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
        }
        let fault = parse(&text).unwrap_err();
        assert_eq!(
            (fault.text.as_str(), fault.is_limit),
            ("the document is too large", true)
        );
        // Each anchor inside another would keep a copy of all that follows.
        let nested: String = (0..100).map(|n| format!("&a{n} [")).collect();
        let text = format!("{nested}{}{}", "1,".repeat(50_000), "]".repeat(100));
        assert_eq!(parse(&text).unwrap_err().text, "the document is too large");
        let chain: String = (1..2000)
            .map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1))
            .collect();
        let fault = parse(&format!("a0: &a0 x\n{chain}")).unwrap_err();
        assert_eq!(fault.text, "the document is nested too deep");
    }

    #[test]
    fn large_documents_without_aliases_are_read() {
        let text = "- x\n".repeat(300_000);
        assert_eq!(parse(&text).unwrap().as_array().unwrap().len(), 300_000);
    }

    #[test]
    fn merge_keys_are_followed() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc:\n  <<: [*a, {z: 4}]\n";
        let expected = json!({
            "a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2, "z": 4},
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn plain_scalars_are_those_of_the_core_schema() {
        for (text, value) in [
            ("no", json!("no")),
            ("on", json!("on")),
            ("2024-01-31", json!("2024-01-31")),
            ("1.0.0", json!("1.0.0")),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("0xyz", json!("0xyz")),
            ("18446744073709551615", json!(u64::MAX)),
            ("1e3", json!(1000.0)),
            ("-.5", json!(-0.5)),
            ("'1'", json!("1")),
            ("!!str 1", json!("1")),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_no_text() {
        let text = "\u{feff}---\r\na: b\r\nc: |\r\n  d\r\n  e\r\n...\r\n---\r\nf: g\r\n";
        assert_eq!(parse(text).unwrap(), json!({"a": "b", "c": "d\ne\n"}));
    }

    #[test]
    fn repeated_keys_are_told() {
        let read = super::parse("a: 1\nb: {c: 1, d: 2, c: 3}\na: 2\n").unwrap();
        let repeated = read.repeated.iter().map(|it| (it.key.as_str(), it.at));
        assert_eq!(
            repeated.collect::<Vec<_>>(),
            [("c", (2, 17)), ("a", (3, 1))]
        );
        let merged = "a: &a {x: 1}\nb: {<<: *a, x: 2}\n";
        assert_eq!(super::parse(merged).unwrap().repeated, []);
    }
}
