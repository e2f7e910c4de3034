//! Descriptions, and the markers in them that become directives.

use std::fmt::Write as _;

use serde_json::Value;

/// A directive that an element carries, such as `@hasRole(role: "ADMIN")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The name, without `@`.
    pub name: String,
    /// Arguments in the order of the text, each with its value as it is printed.
    pub arguments: Vec<(String, AnnotationValue)>,
}

/// The value of an annotation's argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationValue {
    /// As it is printed.
    pub text: String,
    /// `String`, `Float` or `Boolean`.
    pub type_name: &'static str,
}

/// A description as the schema has it: blanks at the end of lines and blank lines at both ends are
/// cut.
pub(super) fn description(text: &str) -> Option<String> {
    let lines: Vec<&str> = text
        .split('\n')
        .map(|line| line.trim_end_matches([' ', '\t']))
        .collect();
    let is_blank = |line: &&&str| line.trim().is_empty();
    let first = lines.iter().position(|line| !line.trim().is_empty())?;
    let blank_at_end = lines.iter().rev().take_while(is_blank).count();
    Some(lines[first..lines.len() - blank_at_end].join("\n"))
}

/// A description with its markers.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) description: Option<String>,
    pub(super) annotations: Vec<Annotation>,
}

/// Takes the lines `@gql …` and, once, `@ref …` out of a comment.
pub(super) fn marked_comment(text: &str) -> Marked {
    if !text.contains("@gql") && !text.contains("@ref") {
        let description = description(text);
        return Marked {
            description,
            annotations: Vec::new(),
        };
    }
    let mut reference = None;
    let mut annotations = Vec::new();
    let mut is_cut = false;
    let mut kept = Vec::new();
    for line in text.split('\n') {
        let words = line.trim();
        if let Some(marker) = marker(words, "@gql") {
            annotations.extend(annotation(marker));
            is_cut = true;
        } else if let (None, Some(target)) = (&reference, marker(words, "@ref")) {
            reference = Some(target.to_owned());
            is_cut = true;
        } else {
            kept.push(line);
        }
    }
    let rest = kept.join("\n");
    let rest = if is_cut { rest.trim() } else { &rest };
    Marked {
        description: with_reference(rest, reference.as_deref()),
        annotations: sorted(annotations),
    }
}

/// The text of a description whose only marker can be `@ref`, as of a GraphQL upstream.
pub(super) fn referring_comment(text: &str) -> Option<String> {
    if !text.contains("@ref") {
        return description(text);
    }
    let mut reference = None;
    let mut kept = Vec::new();
    for line in text.split('\n') {
        match (&reference, marker(line.trim(), "@ref")) {
            (None, Some(target)) => reference = Some(target.to_owned()),
            _ => kept.push(line),
        }
    }
    let rest = kept.join("\n");
    let rest = if reference.is_some() {
        rest.trim()
    } else {
        &rest
    };
    with_reference(rest, reference.as_deref())
}

/// A description and, after a blank line, what it refers to.
pub(super) fn with_reference(text: &str, reference: Option<&str>) -> Option<String> {
    let Some(reference) = reference else {
        return description(text);
    };
    match description(text) {
        Some(text) => description(&format!("{text}\n\n@ref {reference}")),
        None => description(&format!("@ref {reference}")),
    }
}

/// What follows a marker on its line.
fn marker<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    let text = rest.trim_start();
    (text.len() < rest.len() && !text.is_empty()).then_some(text)
}

fn sorted(mut annotations: Vec<Annotation>) -> Vec<Annotation> {
    annotations.sort_by(|a, b| a.name.cmp(&b.name));
    annotations
}

/// Reads `Name(a: "s", b: 3, c: true, d: WORD)`; `None` where it cannot be read.
fn annotation(text: &str) -> Option<Annotation> {
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim();
    let mut arguments = Vec::new();
    if !rest.is_empty() {
        let mut rest = rest.strip_prefix('(')?.strip_suffix(')')?.trim();
        while !rest.is_empty() {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (key, after) = rest.split_at(end);
            if key.is_empty() {
                return None;
            }
            let after = after.trim_start().strip_prefix(':')?.trim_start();
            let (value, after) = value(after)?;
            arguments.push((key.to_owned(), value));
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => after,
                None => return None,
            };
        }
    }
    Some(Annotation {
        name: name.to_owned(),
        arguments,
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn value(text: &str) -> Option<(AnnotationValue, &str)> {
    if let Some(inner) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        let shown = text.get(..end + 2)?.to_owned();
        return Some((AnnotationValue::new(shown, "String"), &inner[end + 1..]));
    }
    let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let type_name = match word {
        "" => return None,
        "true" | "false" => "Boolean",
        word if word.parse::<f64>().is_ok_and(f64::is_finite) => "Float",
        word if word.chars().all(is_word) => "String",
        _ => return None,
    };
    Some((AnnotationValue::new(word.to_owned(), type_name), rest))
}

/// What `x-gwag-annotations` of an OpenAPI object says.
pub(super) fn annotations_of(extension: Option<&Value>) -> Vec<Annotation> {
    let items = extension.and_then(Value::as_array);
    let read = |item: &Value| {
        let name = item.get("name")?.as_str().filter(|it| !it.is_empty())?;
        let given = item.get("args").and_then(Value::as_object);
        let mut arguments: Vec<(String, AnnotationValue)> = given
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), AnnotationValue::of(value)))
            .collect();
        arguments.sort_by(|a, b| a.0.cmp(&b.0));
        let name = name.to_owned();
        Some(Annotation { name, arguments })
    };
    sorted(items.into_iter().flatten().filter_map(read).collect())
}

impl AnnotationValue {
    fn new(text: String, type_name: &'static str) -> Self {
        Self { text, type_name }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(value) => Self::new(value.to_string(), "Boolean"),
            Value::Number(number) => {
                Self::new(go_number(number.as_f64().unwrap_or_default()), "Float")
            }
            Value::String(text) => Self::new(quoted(text), "String"),
            other => Self::new(quoted(&go_text(other)), "String"),
        }
    }
}

/// A string literal with the escapes that gateways write.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number as Go's `%v` prints a float.
fn go_number(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{number:e}");
        let Some((digits, exponent)) = text.split_once('e') else {
            return text;
        };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    number.to_string()
}

/// Anything as Go's `%v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => go_number(number.as_f64().unwrap_or_default()),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_text).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|entry| entry.0);
            let mut out = "map[".to_owned();
            for (number, (key, value)) in entries.into_iter().enumerate() {
                let blank = if number == 0 { "" } else { " " };
                // Writing to a String cannot fail.
                let _ = write!(out, "{blank}{key}:{}", go_text(value));
            }
            out.push(']');
            out
        }
    }
}
