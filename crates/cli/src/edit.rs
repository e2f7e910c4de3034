//! Edits a YAML or JSON text to have another value, and leaves the rest of it unchanged: order,
//! comments, quotes.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};
use tower_gwag::OpenApiDocument;

/// Returns a text with the value `new`, and whether the rest of it could be left unchanged.
pub(crate) fn edited(text: &str, new: &Value, quotes_times: bool) -> (String, bool) {
    let is_json = text.trim_start().starts_with('{');
    let attempt = |leaves_aliases: bool| {
        let mut editor = Editor::of(text, is_json)?;
        editor.leaves_aliases = leaves_aliases;
        let root = editor.root.take()?;
        let old = OpenApiDocument::from(text).as_written()?;
        if quotes_times {
            editor.quote_times(&root);
        }
        editor.change(&root, &old, new, false)?;
        let edited = editor.finish();
        // Reads the result again to verify it.
        let says = OpenApiDocument::from(edited.as_str()).as_written();
        (says.as_ref() == Some(new)).then_some(edited)
    };
    match attempt(true).or_else(|| attempt(false)) {
        Some(text) => (text, true),
        None if is_json => (format!("{new:#}\n"), false),
        None => (format!("{}\n", block(new, 0)), false),
    }
}

/// A node of the text, with its place in bytes.
#[derive(Debug)]
struct Node {
    start: usize,
    end: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Scalar,
    Alias,
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node, Node)>),
}

struct Editor<'a> {
    text: &'a str,
    is_json: bool,
    newline: &'static str,
    /// Whether to edit the target of an alias instead of the alias.
    leaves_aliases: bool,
    root: Option<Node>,
    edits: Vec<(usize, usize, String)>,
}

/// A collection being parsed.
enum Open {
    Sequence(usize, Vec<Node>),
    Mapping(usize, Vec<(String, Node, Node)>, Option<(String, Node)>),
}

// === impl Node ===

impl Node {
    fn new(start: usize, end: usize, shape: Shape) -> Self {
        Self { start, end, shape }
    }
}

// === impl Editor ===

impl<'a> Editor<'a> {
    /// Parses the text and records all positions.
    fn of(text: &'a str, is_json: bool) -> Option<Self> {
        let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        bytes.push(text.len());
        let at = |index: usize| bytes.get(index).copied().unwrap_or(text.len());
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.ok()?;
            let (start, end) = (at(span.start.index()), at(span.end.index()));
            // Scalars may be followed by white space that belongs to no node.
            let trimmed = || start + text[start..end].trim_end().len();
            let (node, said) = match event {
                // The target of an alias is edited where it is defined.
                Event::Alias(_) => (Node::new(start, trimmed(), Shape::Alias), String::new()),
                Event::DocumentEnd => break,
                Event::SequenceStart(..) => {
                    open.push(Open::Sequence(start, Vec::new()));
                    continue;
                }
                Event::MappingStart(..) => {
                    open.push(Open::Mapping(start, Vec::new(), None));
                    continue;
                }
                Event::SequenceEnd => {
                    let Some(Open::Sequence(start, items)) = open.pop() else {
                        return None;
                    };
                    let is_flow = text[start..].starts_with('[');
                    let last = items.last().map_or(start, |it| it.end);
                    let end = if is_flow { end } else { last };
                    let node = Node::new(start, end, Shape::Sequence(items));
                    (node, String::new())
                }
                Event::MappingEnd => {
                    let Some(Open::Mapping(start, entries, None)) = open.pop() else {
                        return None;
                    };
                    let is_flow = text[start..].starts_with('{');
                    let start = match entries.first() {
                        Some((_, key, _)) if !is_flow => key.start,
                        _ => start,
                    };
                    let last = entries.last().map_or(start, |(_, _, it)| it.end);
                    let end = if is_flow { end } else { last };
                    let node = Node::new(start, end, Shape::Mapping(entries));
                    (node, String::new())
                }
                Event::Scalar(said, ..) => {
                    let node = Node::new(start, trimmed(), Shape::Scalar);
                    (node, said.into_owned())
                }
                _ => continue,
            };
            match open.last_mut() {
                None => root = Some(node),
                Some(Open::Sequence(_, items)) => items.push(node),
                Some(Open::Mapping(_, entries, key)) => match key.take() {
                    None => *key = Some((said, node)),
                    Some((name, of)) => {
                        // An empty value is null, without any text.
                        let node = match node.end < of.end || node.start == node.end {
                            true => Node {
                                start: of.end,
                                end: of.end,
                                ..node
                            },
                            false => node,
                        };
                        entries.push((name, of, node));
                    }
                },
            }
        }
        Some(Self {
            text,
            is_json,
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            leaves_aliases: true,
            root,
            edits: Vec::new(),
        })
    }

    /// Plans the edits that turn `old` at this node into `new`; `None` if that cannot be done in
    /// place.
    fn change(&mut self, node: &Node, old: &Value, new: &Value, in_flow: bool) -> Option<()> {
        if old == new {
            return Some(());
        }
        let is_flow = in_flow || self.text[node.start..].starts_with(['{', '[']);
        match (&node.shape, old, new) {
            (Shape::Mapping(entries), Value::Object(old), Value::Object(new))
                if !entries.is_empty() =>
            {
                self.change_mapping(node, entries, old, new, is_flow)
            }
            (Shape::Alias, ..) if self.leaves_aliases => Some(()),
            (Shape::Alias, ..) => None,
            (Shape::Sequence(items), Value::Array(old), Value::Array(new))
                if !items.is_empty() && items.len() <= new.len() && items.len() == old.len() =>
            {
                let pairs = items.iter().zip(old.iter().zip(new));
                for (item, (old, new)) in pairs {
                    self.change(item, old, new, is_flow)?;
                }
                self.append(items, &new[items.len()..], is_flow);
                Some(())
            }
            _ => {
                let column = node.start - self.line_start(node.start);
                let text = match is_flow || matches!(node.shape, Shape::Scalar) && is_scalar(new) {
                    true => self.inline(new, self.quote_at(node), in_flow),
                    false => block(new, column),
                };
                self.edit(node.start, node.end, text);
                Some(())
            }
        }
    }

    fn change_mapping(
        &mut self,
        node: &Node,
        entries: &[(String, Node, Node)],
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        is_flow: bool,
    ) -> Option<()> {
        let mut added: BTreeSet<&String> = new.keys().filter(|it| !old.contains_key(*it)).collect();
        // Merged keys come from elsewhere and must stay as they are.
        let own: BTreeSet<&String> = entries.iter().map(|(name, ..)| name).collect();
        if old
            .iter()
            .any(|(key, it)| !own.contains(key) && new.get(key) != Some(it))
        {
            return None;
        }
        let mut kept = 0;
        let mut gone = Vec::new();
        for (place, (name, key, value)) in entries.iter().enumerate() {
            if name == "<<" {
                kept += 1;
                continue;
            }
            let is = old.get(name)?;
            let (called, will_be) = match new.get(name) {
                Some(will_be) => (name, will_be),
                None => {
                    let is_same = |it: &&&String| letters(it) == letters(name);
                    let is_longer = |it: &&&String| letters(it).starts_with(&letters(name));
                    let twin = added
                        .iter()
                        .find(is_same)
                        .or_else(|| added.iter().find(is_longer));
                    let twin = twin.copied();
                    let Some(twin) = twin else {
                        gone.push(place);
                        continue;
                    };
                    added.remove(twin);
                    (twin, new.get(twin)?)
                }
            };
            kept += 1;
            if called != name {
                let text = self.inline(&Value::from(called.as_str()), self.quote_at(key), is_flow);
                self.edit(key.start, key.end, text);
            }
            if self.leaves_aliases && matches!(value.shape, Shape::Alias) {
                continue;
            }
            let changes_kind = !matches!(
                (&value.shape, is, will_be),
                (Shape::Mapping(_), Value::Object(_), Value::Object(_))
                    | (Shape::Sequence(_), Value::Array(_), Value::Array(_))
            );
            let is_in_place = is == will_be
                || is_flow
                || (is_scalar(will_be)
                    && matches!(value.shape, Shape::Scalar)
                    && value.start > key.end);
            let is_resized = match (is, will_be) {
                (Value::Array(is), Value::Array(will_be)) => is.len() != will_be.len(),
                (Value::Object(is), _) => is.is_empty(),
                _ => false,
            };
            if !is_in_place && (changes_kind || is_resized) {
                let indent = key.start - self.line_start(key.start);
                let text = entry_value(will_be, indent);
                // From the colon on.
                let colon = key.end + self.text[key.end..].find(':')? + 1;
                self.edit(colon, value.end.max(colon), text);
                continue;
            }
            self.change(value, is, will_be, is_flow)?;
        }
        if kept == 0 {
            return None;
        }
        for place in gone {
            self.remove(entries, place, is_flow)?;
        }
        for name in added {
            self.add(node, entries, name, new.get(name)?, is_flow)?;
        }
        Some(())
    }

    fn remove(
        &mut self,
        entries: &[(String, Node, Node)],
        place: usize,
        is_flow: bool,
    ) -> Option<()> {
        let (_, key, value) = &entries[place];
        if is_flow {
            let (from, to) = match (entries.get(place + 1), place.checked_sub(1)) {
                (Some((_, next, _)), _) => (key.start, next.start),
                (None, Some(before)) => (entries[before].2.end, value.end),
                (None, None) => return None,
            };
            self.edit(from, to, String::new());
            return Some(());
        }
        let start = self.line_start(key.start);
        // In `- key: value` the entry does not own the line.
        if !self.text[start..key.start].trim().is_empty() {
            return None;
        }
        let end = self.line_end(value.end.max(key.end));
        let end = (end + self.newline.len()).min(self.text.len());
        self.edit(start, end, String::new());
        Some(())
    }

    fn add(
        &mut self,
        node: &Node,
        entries: &[(String, Node, Node)],
        name: &str,
        value: &Value,
        is_flow: bool,
    ) -> Option<()> {
        let (_, first, _) = entries.first()?;
        let (_, last_key, last) = entries.last()?;
        let indent = first.start - self.line_start(first.start);
        if !is_flow {
            let key = yaml_text(name, None, false);
            let at = self.line_end(last.end.max(last_key.end));
            let text = format!(
                "\n{}{key}:{}",
                " ".repeat(indent),
                entry_value(value, indent)
            );
            self.edit(at, at, text);
            return Some(());
        }
        let quote = self.is_json.then_some('"');
        let key = self.inline(&Value::from(name), quote, true);
        let is_spread = self.text[last.end..node.end].contains('\n');
        let text = match (is_spread, self.is_json) {
            (true, true) => {
                let shown =
                    format!("{value:#}").replace('\n', &format!("\n{}", " ".repeat(indent)));
                format!(",\n{}{key}: {shown}", " ".repeat(indent))
            }
            (true, false) => format!(
                ",\n{}{key}: {}",
                " ".repeat(indent),
                self.inline(value, quote, true)
            ),
            (false, true) if !self.text[node.start..node.end].contains(": ") => {
                format!(",{key}:{value}")
            }
            (false, _) => format!(", {key}: {}", self.inline(value, quote, true)),
        };
        self.edit(last.end, last.end, text);
        Some(())
    }

    /// Appends items to the end of a sequence.
    fn append(&mut self, items: &[Node], more: &[Value], is_flow: bool) {
        let Some(last) = items.last() else { return };
        let column = last.start - self.line_start(last.start);
        for value in more {
            let (at, text) = match (is_flow, self.is_json) {
                (true, _) => (last.end, format!(", {}", self.flow(value))),
                // After the dash and its blank.
                (false, _) => {
                    let indent = column.saturating_sub(2);
                    let text = format!("\n{}- {}", " ".repeat(indent), block(value, column));
                    (self.line_end(last.end), text)
                }
            };
            self.edit(at, at, text);
        }
    }

    /// On one line.
    fn flow(&self, value: &Value) -> String {
        match value {
            Value::Object(_) | Value::Array(_) => value.to_string(),
            _ => self.inline(value, None, true),
        }
    }

    /// Quotes dates and times, which YAML readers take for timestamps.
    fn quote_times(&mut self, root: &Node) {
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            match &node.shape {
                Shape::Alias => {}
                Shape::Sequence(items) => open.extend(items),
                Shape::Mapping(entries) => open.extend(entries.iter().map(|(_, _, it)| it)),
                Shape::Scalar => {
                    let text = &self.text[node.start..node.end];
                    if is_time(text) {
                        let quoted = format!("'{text}'");
                        self.edit(node.start, node.end, quoted);
                    }
                }
            }
        }
    }

    fn edit(&mut self, start: usize, end: usize, text: String) {
        let text = match self.newline {
            "\n" => text,
            newline => text.replace('\n', newline),
        };
        self.edits.push((start, end, text));
    }

    fn finish(mut self) -> String {
        // Edits at one place keep the order in which they were made.
        self.edits.sort_by_key(|(start, ..)| *start);
        let mut out = String::new();
        let mut at = 0;
        for (start, end, text) in &self.edits {
            if *start < at {
                // Overlapping edits: the result has another value, and the check after this rejects
                // it.
                continue;
            }
            out.push_str(&self.text[at..*start]);
            out.push_str(text);
            at = *end;
        }
        out.push_str(&self.text[at..]);
        out
    }

    fn inline(&self, value: &Value, quote: Option<char>, in_flow: bool) -> String {
        match value {
            _ if self.is_json => value.to_string(),
            Value::String(text) => yaml_text(text, quote, in_flow),
            other => other.to_string(),
        }
    }

    fn quote_at(&self, node: &Node) -> Option<char> {
        self.text[node.start..]
            .chars()
            .next()
            .filter(|it| matches!(it, '"' | '\''))
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |it| it + 1)
    }

    /// The end of the line, without line breaks.
    fn line_end(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        let line = rest.split('\n').next().unwrap_or(rest);
        at + line.trim_end_matches('\r').len()
    }
}

/// Whether an unquoted scalar starts like a date, `2026-01-31`.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let year = parts.next().unwrap_or_default();
    let month = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    let is_date = year.len() == 4 && is_number(year) && month.len() <= 2 && is_number(month);
    is_date && rest.starts_with(|it: char| it.is_ascii_digit())
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// The letters and digits of a name, to compare spellings.
fn letters(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// The text after the colon of a key at this indentation.
fn entry_value(value: &Value, indent: usize) -> String {
    let is_nested = match value {
        Value::Object(entries) => !entries.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    match is_nested {
        true => format!("\n{}{}", " ".repeat(indent + 2), block(value, indent + 2)),
        false => format!(" {}", block(value, indent)),
    }
}

/// A value as block YAML; the first line has no indentation.
fn block(value: &Value, indent: usize) -> String {
    let gap = format!("\n{}", " ".repeat(indent));
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let entries = entries.iter();
            let lines = entries.map(|(key, it)| {
                format!(
                    "{}:{}",
                    yaml_text(key, None, false),
                    entry_value(it, indent)
                )
            });
            lines.collect::<Vec<_>>().join(&gap)
        }
        Value::Array(items) if !items.is_empty() => {
            let lines = items
                .iter()
                .map(|it| format!("- {}", block(it, indent + 2)));
            lines.collect::<Vec<_>>().join(&gap)
        }
        Value::String(text) => yaml_text(text, None, false),
        other => other.to_string(),
    }
}

/// A text as a YAML scalar that every reader parses as a string.
fn yaml_text(text: &str, quote: Option<char>, in_flow: bool) -> String {
    let is_printable = text.chars().all(|c| !c.is_control());
    if !is_printable || quote == Some('"') {
        return Value::from(text).to_string();
    }
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'));
    let is_plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '_' | '/' | '.' | '-' | ' ' | '(' | ')')
            || (!in_flow && matches!(c, '{' | '}' | ','))
    };
    let lower = text.to_ascii_lowercase();
    let is_word =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&lower.as_str());
    let is_safe = begins_well && text.chars().all(is_plain) && !text.ends_with(' ') && !is_word;
    match is_safe && quote.is_none() {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_changed_stays() {
        let text = "# ours\nopenapi: 3.0.3   # the version\ninfo:\n  title: 'Pets'\n  version: 1.0\npaths:\n  /pets/{pet-id}:\n    get:\n      responses:\n        200: {}\n        '404':\n          # gone\n          x-a: 1\n";
        let new = json!({
            "openapi": "3.0.3",
            "info": { "title": "Pets", "version": "1.0" },
            "paths": { "/pets/{pet_id}": { "get": { "operationId": "get_it", "responses": {
                "200": { "description": "" }, "404": { "x-a": 1, "description": "" },
            } } } },
        });
        let (edited, is_whole) = edited(text, &new, false);
        assert!(is_whole, "{edited}");
        assert_eq!(
            edited,
            "# ours\nopenapi: 3.0.3   # the version\ninfo:\n  title: 'Pets'\n  version: '1.0'\npaths:\n  /pets/{pet_id}:\n    get:\n      responses:\n        200:\n          description: ''\n        '404':\n          # gone\n          x-a: 1\n          description: ''\n      operationId: get_it\n"
        );
    }

    #[test]
    fn json_stays_json() {
        let text = "{\n  \"info\": {\n    \"license\": {},\n    \"title\": \"é\"\n  },\n  \"a\": [1, 2]\n}\n";
        let new = json!({ "info": { "title": "é", "b": "c" }, "a": [1, 3] });
        let (edited, is_whole) = edited(text, &new, false);
        assert!(is_whole, "{edited}");
        assert_eq!(
            edited,
            "{\n  \"info\": {\n    \"title\": \"é\",\n    \"b\": \"c\"\n  },\n  \"a\": [1, 3]\n}\n"
        );
        let (edited, _) = super::edited(
            "{\"a\":{\"b\":1}}",
            &json!({ "a": { "b": 1, "c": "d" } }),
            false,
        );
        assert_eq!(edited, "{\"a\":{\"b\":1,\"c\":\"d\"}}");
    }

    #[test]
    fn what_cannot_be_changed_in_places_is_written_anew() {
        let text = "a: &x {b: 1}\nc: *x\n";
        let new = json!({ "a": { "b": "no" }, "c": { "b": "no" } });
        assert_eq!(
            edited(text, &new, false),
            ("a: &x {b: 'no'}\nc: *x\n".to_owned(), true)
        );
        let new = json!({ "b": { "no": "no" }, "c": [{ "d": [] }, "x: y"] });
        let (edited, is_whole) = edited("a: 1\n", &new, false);
        assert!(!is_whole);
        assert_eq!(edited, "b:\n  'no': 'no'\nc:\n  - d: []\n  - 'x: y'\n");
    }
}
