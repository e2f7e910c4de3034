//! YAML to JSON values, for OpenAPI documents: the core schema, anchors, no merge keys.

use std::collections::HashMap;

use saphyr_parser::{Event, EventReceiver, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// What an anchored value may grow to when it is repeated by aliases, in nodes of the document:
/// a "billion laughs" document must not eat the memory.
const MAX_NODES: usize = 1_000_000;

/// Reads the first document of `text`; the error tells where it stopped.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    Parser::new_from_str(text)
        .load(&mut builder, false)
        .map_err(|error| error.to_string())?;
    match builder.fault {
        Some(fault) => Err(fault.to_owned()),
        None => Ok(builder.root.unwrap_or(Value::Null)),
    }
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
    fault: Option<&'static str>,
}

impl Builder {
    fn push(&mut self, value: Value, anchor: usize, nodes: usize) {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            self.fault = Some("the document is too large");
            return;
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
                        self.fault = Some("a key of a mapping is no scalar");
                    }
                },
            },
        }
    }
}

impl<'input> EventReceiver<'input> for Builder {
    fn on_event(&mut self, event: Event<'input>) {
        if self.fault.is_some() {
            return;
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced_string = tag.is_some_and(|tag| tag.suffix == "str");
                let value = if style == ScalarStyle::Plain && !forced_string {
                    resolve(&text)
                } else {
                    Value::String(text.into_owned())
                };
                self.push(value, anchor, 1);
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((value, nodes)) => self.push(value, 0, nodes),
                None => self.fault = Some("an alias without its anchor"),
            },
            Event::SequenceStart(anchor, _) => self.open.push(Open::Sequence(anchor, Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open.push(Open::Mapping(anchor, Map::new(), None));
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::Sequence(anchor, items)) => self.push(Value::Array(items), anchor, 1),
                Some(Open::Mapping(anchor, entries, _)) => {
                    self.push(Value::Object(entries), anchor, 1);
                }
                None => {}
            },
            _ => {}
        }
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
    fn aliases_cannot_eat_the_memory() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let alias = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{alias}]\n"));
        }
        assert_eq!(parse(&text).unwrap_err(), "the document is too large");
    }
}
