//! Finds the title of an OpenAPI document, from which a gateway derives the namespace.

use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// `info.title` of a JSON document, or of a YAML document in block style; `None` if it is missing
/// or too complex to read without a YAML parser.
pub(crate) fn title(document: &[u8]) -> Option<String> {
    match json_title(document) {
        Ok(title) => title,
        Err(_) => yaml_title(std::str::from_utf8(document).ok()?),
    }
}

fn json_title(document: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let title = TextAt(&["info", "title"]).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(title)
}

/// The text at a path of keys. All else is read, but not kept: a document may be large.
struct TextAt<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for TextAt<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextAt<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.0.is_empty().then(|| text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [first, rest @ ..] if *first == key => found = map.next_value_seed(TextAt(rest))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

fn yaml_title(text: &str) -> Option<String> {
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim_start().starts_with('#') && !line.is_empty())
        .skip_while(|line| !is_key(line, "info"))
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .peekable();
    // Only keys of `info` itself count, not those of `contact` or `license` below it.
    let indent = lines.peek().map(|line| indent_of(line))?;
    lines
        .filter(|line| indent_of(line) == indent)
        .find_map(|line| line.trim_start().strip_prefix("title:").map(scalar))
        .flatten()
}

fn is_key(line: &str, key: &str) -> bool {
    line.strip_prefix(key)
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .is_some_and(|rest| rest.is_empty() || rest.trim_start().starts_with('#'))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A plain or quoted scalar on one line; `None` for anything else (blocks, anchors, escapes).
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(quoted) = text.strip_prefix(quote) {
            let (inner, rest) = quoted.split_once(quote)?;
            let plain = !inner.contains('\\')
                && (rest.trim().is_empty() || rest.trim_start().starts_with('#'));
            return plain.then(|| inner.to_owned());
        }
    }
    let plain = text.split(" #").next().unwrap_or(text).trim();
    let is_plain = !plain.is_empty() && !plain.starts_with(['|', '>', '&', '*', '!', '{', '[']);
    is_plain.then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_json_and_plain_yaml_are_found() {
        for (document, expected) in [
            (r#"{"info":{"title":"Pets"}}"#, Some("Pets")),
            (r#"{"info":{}}"#, None),
            (
                "openapi: 3.0.3\ninfo:\n  version: '1'\n  title: Pet Store # x\npaths: {}\n",
                Some("Pet Store"),
            ),
            (
                "# c\ninfo:\n  contact:\n    title: no\n  title: \"A: b\"\n",
                Some("A: b"),
            ),
            (
                "info:\n  contact:\n    title: no\npaths: {}\ntitle: no\n",
                None,
            ),
            ("info:\n  title: >\n    folded\n", None),
            ("info: {title: x}\n", None),
            ("\u{1}", None),
        ] {
            assert_eq!(
                title(document.as_bytes()).as_deref(),
                expected,
                "{document}"
            );
        }
    }
}
