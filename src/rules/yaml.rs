//! YAML to JSON values, for OpenAPI documents: the core schema, anchors, no merge keys.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// What an anchored value may grow to when it is repeated by aliases, in nodes of the document:
/// a "billion laughs" document must not eat the memory.
const MAX_NODES: usize = 1_000_000;

/// How deep a document may be nested, as serde_json limits JSON.
const MAX_DEPTH: usize = 128;

/// Reads the first document of `text`; the error tells where it stopped.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    // Event by event: `Parser::load` would nest calls as deep as the document.
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        if event == Event::DocumentEnd {
            break;
        }
        builder.take(event)?;
    }
    Ok(builder.root.unwrap_or(Value::Null))
}

/// A collection that is being read; the anchor is 0 where there is none.
enum Open {
    Sequence(usize, Vec<Value>),
    Mapping(usize, Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    root: Option<Value>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        if self.open.len() > MAX_DEPTH {
            return Err("the document is nested too deep".to_owned());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced_string = tag.is_some_and(|tag| tag.suffix == "str");
                let value = if style == ScalarStyle::Plain && !forced_string {
                    resolve(&text)
                } else {
                    Value::String(text.into_owned())
                };
                self.push(value, anchor, 1)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((value, nodes)) => self.push(value, 0, nodes),
                None => Err("an alias without its anchor".to_owned()),
            },
            Event::SequenceStart(anchor, _) => {
                self.open.push(Open::Sequence(anchor, Vec::new()));
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                self.open.push(Open::Mapping(anchor, Map::new(), None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(anchor, items)) => self.push(Value::Array(items), anchor, 1),
                Some(Open::Mapping(anchor, entries, _)) => {
                    self.push(Value::Object(entries), anchor, 1)
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn push(&mut self, value: Value, anchor: usize, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err("the document is too large".to_owned());
        }
        if anchor != 0 {
            let size = count(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::Sequence(_, items)) => items.push(value),
            Some(Open::Mapping(_, entries, key)) => match key.take() {
                Some(key) => {
                    entries.insert(key, value);
                }
                None => match value {
                    Value::String(text) => *key = Some(text),
                    Value::Null => *key = Some("null".to_owned()),
                    Value::Bool(_) | Value::Number(_) => *key = Some(value.to_string()),
                    Value::Array(_) | Value::Object(_) => {
                        return Err("a key of a mapping is no scalar".to_owned());
                    }
                },
            },
        }
        Ok(())
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(count).sum::<usize>(),
        _ => 1,
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        assert_eq!(parse(&text).unwrap_err(), "the document is too large");
    }
}
