//! Descriptions, and the markers in them that become directives.

use std::fmt::Write as _;

use crate::json::Value;
use crate::quote::escape;

/// A directive on an element, such as `@hasRole(role: "ADMIN")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The name, without `@`.
    pub name: String,
    /// Arguments in the order of the text, each with its printed value.
    pub arguments: Vec<(String, AnnotationValue)>,
}

/// The value of an annotation's argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationValue {
    /// The printed value.
    pub text: String,
    /// `String`, `Float` or `Boolean`.
    pub type_name: &'static str,
}

/// A description as in the schema: without trailing blanks, and without blank lines at the start and
/// the end.
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

/// A description, and the directives from its markers.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) description: Option<String>,
    pub(super) annotations: Vec<Annotation>,
}

/// Removes the lines `@gql …` and, once, `@ref …` from a comment.
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

/// A description in which only `@ref` is a marker, as in a GraphQL upstream.
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

/// A description and, after a blank line, its reference.
pub(super) fn with_reference(text: &str, reference: Option<&str>) -> Option<String> {
    let Some(reference) = reference else {
        return description(text);
    };
    match description(text) {
        Some(text) => description(&format!("{text}\n\n@ref {reference}")),
        None => description(&format!("@ref {reference}")),
    }
}

/// The text after a marker on its line.
fn marker<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(name)?;
    let text = rest.trim_start();
    (text.len() < rest.len() && !text.is_empty()).then_some(text)
}

fn sorted(mut annotations: Vec<Annotation>) -> Vec<Annotation> {
    annotations.sort_by(|a, b| a.name.cmp(&b.name));
    annotations
}

/// Parses `Name(a: "s", b: 3, c: true, d: WORD)`; `None` if it is malformed.
fn annotation(text: &str) -> Option<Annotation> {
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim();
    let mut arguments = Vec::new();
    if !rest.is_empty() {
        let inner = rest.strip_prefix('(')?.strip_suffix(')')?;
        for part in parts(inner) {
            let (key, value) = part.split_once(':')?;
            let key = key.trim();
            if key.is_empty() || !key.chars().all(is_word) {
                return None;
            }
            let text = value.trim().to_owned();
            let type_name = match text.as_str() {
                "" => return None,
                "true" | "false" => "Boolean",
                text if text.parse::<f64>().is_ok_and(f64::is_finite) => "Float",
                _ => "String",
            };
            arguments.push((key.to_owned(), AnnotationValue { text, type_name }));
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

/// Splits at commas outside quotes; the last part may be empty.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut in_quotes, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !in_quotes => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            '"' if !escaped => in_quotes = !in_quotes,
            _ => {}
        }
        escaped = in_quotes && c == '\\' && !escaped;
    }
    let last = &text[start..];
    if !last.trim().is_empty() {
        parts.push(last);
    }
    parts
}

/// The directives in `x-gwag-annotations` of an OpenAPI object.
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
            Value::String(text) => Self::new(go_quoted(text), "String"),
            other => Self::new(go_quoted(&go_text(other)), "String"),
        }
    }
}

/// A string literal with the escapes that gateways write.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    escape(text, &mut out, |c, out| out.push(c));
    out.push('"');
    out
}

/// A string literal as Go's `%q` prints it.
fn go_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    escape(text, &mut out, |c, out| match c {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\u{b}' => out.push_str("\\v"),
        c if is_printable(c) => out.push(c),
        c => {
            // Writing to a String cannot fail.
            let _ = match u32::from(c) {
                code @ (..=0x1f | 0x7f) => write!(out, "\\x{code:02x}"),
                code @ ..=0xffff => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            };
        }
    });
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    // Combining marks are escaped only at the beginning of a text.
    let text = ['a', c].iter().collect::<String>();
    text.escape_debug().nth(1) == Some(c)
}

/// A number as Go's `%v` prints a float.
fn go_number(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

/// Any value as Go's `%v` prints it.
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
