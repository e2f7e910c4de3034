//! Paths and queries, parsed and built as the gateway does.

use std::collections::BTreeMap;

use super::json::{Value, lossy};

/// Removes `.`, `..` and empty parts; a trailing slash stays.
pub(super) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut out = format!("/{}", parts.join("/"));
    if path.ends_with('/') && !out.ends_with('/') {
        out.push('/');
    }
    out
}

/// Decodes `%xx`; `None` if two digits do not follow a `%`.
pub(super) fn unescape(text: &[u8], plus_is_blank: bool) -> Option<Vec<u8>> {
    let digit = |at: usize| text.get(at).and_then(|c| char::from(*c).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text.get(at) {
        match c {
            b'%' => {
                out.push((digit(at + 1)? * 16 + digit(at + 2)?) as u8);
                at += 3;
                continue;
            }
            b'+' if plus_is_blank => out.push(b' '),
            c => out.push(*c),
        }
        at += 1;
    }
    Some(out)
}

fn escape(bytes: &[u8], is_plain: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) || is_plain(*b) => {
                out.push(char::from(*b));
            }
            b => {
                use std::fmt::Write;
                // Writing to a String cannot fail.
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

/// A part of a path.
pub(super) fn escape_part(bytes: &[u8]) -> String {
    escape(bytes, |b| b"$&+=:@".contains(&b))
}

/// A whole path, in which only characters that no path may have are escaped.
pub(super) fn escape_path(path: &str) -> String {
    escape(path.as_bytes(), |b| b"/$&+,:;=@%!*'()".contains(&b))
}

/// A name or a value in a query.
pub(super) fn escape_query(text: &str) -> String {
    escape(text.as_bytes(), |_| false).replace("%20", "+")
}

/// The parameters of a query: several values of a name become a list.
pub(super) fn query(text: &str) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for pair in text
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'))
    {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |text: &str| unescape(text.as_bytes(), true).map(|it| lossy(&it));
        if let (Some(name), Some(value)) = (read(name), read(value)) {
            all.entry(name).or_default().push(Value::String(value));
        }
    }
    let one_or_all = |mut values: Vec<Value>| match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    };
    all.into_iter()
        .map(|(name, values)| (name, one_or_all(values)))
        .collect()
}

/// The names in a query whose values are not UTF-8.
pub(super) fn no_text(text: &str) -> Vec<String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let broken = pairs.filter_map(|(name, value)| {
        let value = unescape(value.as_bytes(), true)?;
        let name = unescape(name.as_bytes(), true)?;
        std::str::from_utf8(&value).is_err().then(|| lossy(&name))
    });
    broken.collect()
}

/// A path with `{parameters}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Parameter(String),
}

impl Template {
    /// A part is a parameter only as a whole: `{name}.json` is matched literally
    /// (http-oas-path-partial-template).
    pub(crate) fn parse(path: &str) -> Self {
        let parts = path.trim_matches('/').split('/').map(|part| {
            match part
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(name) => Part::Parameter(name.to_owned()),
                None => Part::Literal(part.to_owned()),
            }
        });
        Self(parts.collect())
    }

    pub(crate) fn has_parameters(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Parameter(_)))
    }

    /// The parameters of a path, which are decoded once more (http-oas-path-percent); trailing
    /// slashes are ignored.
    pub(crate) fn matches(&self, path: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let parts: Vec<&[u8]> = path.split(|c| *c == b'/').collect();
        if parts.len() != self.0.len() {
            return None;
        }
        let mut found = BTreeMap::new();
        for (part, text) in self.0.iter().zip(parts) {
            match part {
                Part::Literal(literal) if literal.as_bytes() == text => {}
                Part::Parameter(name) if !text.is_empty() => {
                    found.insert(name.clone(), unescape(text, false)?);
                }
                _ => return None,
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, cleaned) in [
            ("/api/ingress//any", "/api/ingress/any"),
            ("/api/ingress/items/..", "/api/ingress"),
            ("/api/ingress/any//", "/api/ingress/any/"),
            ("/a/./b/../c", "/a/c"),
            ("/../..", "/"),
        ] {
            assert_eq!(clean(path), cleaned);
        }
    }

    #[test]
    fn templates_match_whole_parts() {
        let template = Template::parse("/items/{id}");
        assert_eq!(template.matches(b"/items/a%41/").unwrap()["id"], b"aA");
        for path in [&b"/items/"[..], b"/items/a/b", b"/items/100%", b"/other/a"] {
            assert_eq!(template.matches(path), None);
        }
        assert!(!Template::parse("/files/{name}.json").has_parameters());
    }
}
