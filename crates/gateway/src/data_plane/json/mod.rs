//! JSON as Go writes it: order of keys, numbers and escapes; `read` reads it.

mod read;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tower_gwag_schema::quote::escape;

pub(super) use read::{Raw, apart, first, whole};

/// A value passed between callers and services.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number of a JSON text, as written there.
    Number(String),
    Int(i64),
    Unsigned(u64),
    Float(f64),
    String(String),
    Array(Vec<Value>),
    Object(BTreeMap<String, Value>),
    /// A file that a GraphQL caller uploads.
    File(File),
}

/// An uploaded file. The first part that sends it takes its data, and others send none, as a real
/// gateway reads it once (new-graphql-upload-twice).
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) kind: String,
    size: usize,
    data: Arc<Mutex<Bytes>>,
}

impl File {
    pub(super) fn new(name: String, kind: String, data: Bytes) -> Self {
        let (size, data) = (data.len(), Arc::new(Mutex::new(data)));
        Self {
            name,
            kind,
            size,
            data,
        }
    }

    /// The data, once.
    pub(super) fn take(&self) -> Bytes {
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut data)
    }
}

impl PartialEq for File {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }
}

impl Value {
    /// The gateway's name for the type in its errors.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Number(_) => "json.Number",
            Self::Int(_) => "int",
            Self::Unsigned(_) => "uint64",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::Array(_) => "[]interface {}",
            Self::Object(_) => "map[string]interface {}",
            Self::File(_) => "*gateway.Upload",
        }
    }

    /// As text, for paths and queries.
    pub(super) fn plain(&self) -> String {
        let mut out = String::new();
        self.write_plain(&mut out);
        out
    }

    fn write_plain(&self, out: &mut String) {
        // Writing to a String cannot fail.
        match self {
            Self::Null => out.push_str("<nil>"),
            Self::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
            Self::Number(it) | Self::String(it) => out.push_str(it),
            Self::Int(it) => drop(write!(out, "{it}")),
            Self::Unsigned(it) => drop(write!(out, "{it}")),
            Self::Float(it) => out.push_str(&general(*it)),
            Self::Array(all) => {
                out.push('[');
                for (n, it) in all.iter().enumerate() {
                    if n > 0 {
                        out.push(' ');
                    }
                    it.write_plain(out);
                }
                out.push(']');
            }
            Self::Object(map) => {
                out.push_str("map[");
                for (n, (key, it)) in map.iter().enumerate() {
                    if n > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    it.write_plain(out);
                }
                out.push(']');
            }
            // new-graphql-upload-string: an address stands where the zero is.
            Self::File(it) => drop(write!(
                out,
                "&{{{} {} {} {{0x0 <nil>}} }}",
                it.name, it.kind, it.size
            )),
        }
    }

    /// Converts every number of a JSON text to a double; the error names one that does not fit.
    pub(super) fn with_doubles(self) -> Result<Self, String> {
        Ok(match self {
            Self::Number(text) => {
                let number: f64 = text.parse().unwrap_or(f64::INFINITY);
                if !number.is_finite() {
                    return Err(format!(
                        "json: cannot unmarshal number {text} into Go value of type float64"
                    ));
                }
                Self::Float(number)
            }
            Self::Array(all) => Self::Array(
                all.into_iter()
                    .map(Self::with_doubles)
                    .collect::<Result<_, _>>()?,
            ),
            Self::Object(map) => {
                let members = map
                    .into_iter()
                    .map(|(key, it)| Ok((key, it.with_doubles()?)));
                Self::Object(members.collect::<Result<_, String>>()?)
            }
            other => other,
        })
    }

    /// The JSON text of the value: keys in order, `<`, `>` and `&` escaped. `None` for NaN and
    /// infinities, which JSON lacks.
    pub(super) fn encode(&self) -> Option<String> {
        let mut out = String::new();
        self.encode_to(&mut out)?;
        Some(out)
    }

    /// The first number that JSON cannot express.
    pub(super) fn first_unfit(&self) -> Option<String> {
        match self {
            Self::Float(it) if !it.is_finite() => Some(general(*it)),
            Self::Array(all) => all.iter().find_map(Self::first_unfit),
            Self::Object(map) => map.values().find_map(Self::first_unfit),
            _ => None,
        }
    }

    fn encode_to(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
            Self::Number(it) => out.push_str(it),
            Self::Int(it) => drop(write!(out, "{it}")),
            Self::Unsigned(it) => drop(write!(out, "{it}")),
            Self::Float(it) if it.is_finite() => out.push_str(&double(*it)),
            Self::Float(_) => return None,
            Self::String(it) => quote(it, out),
            Self::Array(all) => {
                out.push('[');
                for (n, it) in all.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    it.encode_to(out)?;
                }
                out.push(']');
            }
            Self::Object(map) => {
                out.push('{');
                for (n, (key, it)) in map.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    quote(key, out);
                    out.push(':');
                    it.encode_to(out)?;
                }
                out.push('}');
            }
            Self::File(it) => {
                out.push_str("{\"Filename\":");
                quote(&it.name, out);
                out.push_str(",\"ContentType\":");
                quote(&it.kind, out);
                let rest = "\"File\":{\"Closer\":null},\"TusID\":\"\"}";
                let _ = write!(out, ",\"Size\":{},{rest}", it.size);
            }
        }
        Some(())
    }
}

/// A quoted string, escaped for HTML.
pub(super) fn quote(text: &str, out: &mut String) {
    quote_with(text, true, out);
}

/// A quoted string; answers of GraphQL escape only what JSON requires.
pub(super) fn quote_with(text: &str, for_html: bool, out: &mut String) {
    out.push('"');
    escape(text, out, |c, out| match c {
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if for_html => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        NO_UTF8 => out.push_str("\\ufffd"),
        c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
        c => out.push(c),
    });
    out.push('"');
}

/// `{"error": text}` and a newline, the HTTP ingress's refusal.
pub(super) fn error_body(text: &str) -> String {
    let mut out = "{\"error\":".to_owned();
    quote(text, &mut out);
    out.push_str("}\n");
    out
}

/// Stands for an invalid byte of UTF-8, in texts that are bytes for the gateway: in JSON it is
/// written escaped. Unicode assigns no character here.
const NO_UTF8: char = '\u{10ffff}';

/// Bytes as text; each byte that is not UTF-8 becomes one replacement character.
pub(super) fn lossy(bytes: &[u8]) -> String {
    as_text(bytes, char::REPLACEMENT_CHARACTER)
}

/// The same for texts that the gateway keeps as bytes until it writes them (http-proto-bytes).
pub(super) fn raw_text(bytes: &[u8]) -> String {
    as_text(bytes, NO_UTF8)
}

fn as_text(mut bytes: &[u8], replacement: char) -> String {
    let mut out = String::with_capacity(bytes.len());
    loop {
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                out.push_str(text);
                return out;
            }
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                out.push_str(std::str::from_utf8(valid).unwrap_or_default());
                out.push(replacement);
                bytes = &rest[1..];
            }
        }
    }
}

// === numbers ===

/// The digits of a number, and the exponent of its first one.
fn scientific(number: f64) -> (String, i32) {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

/// A double as JSON writes it.
pub(super) fn double(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let (digits, exponent) = scientific(number);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{}", exponent.abs());
    }
    number.to_string()
}

/// A double as text: from seven digits on with an exponent.
pub(super) fn general(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let (digits, exponent) = scientific(number);
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_gateway_writes_them() {
        let text = "{ \"z\":1.0, \"a\":\"<b>&\u{fc}\\u2028\\ud800\", \"dup\":1, \"dup\":1e2 }";
        let value = whole(text.as_bytes()).unwrap();
        assert_eq!(
            value.encode().unwrap(),
            "{\"a\":\"\\u003cb\\u003e\\u0026\u{fc}\\u2028\u{fffd}\",\"dup\":1e2,\"z\":1.0}"
        );
        let doubles = value.with_doubles().unwrap();
        assert!(doubles.encode().unwrap().ends_with("\"dup\":100,\"z\":1}"));
        assert_eq!(Value::Float(f64::NAN).encode(), None);
        for (number, json, plain) in [
            (1e21, "1e+21", "1e+21"),
            (1e-7, "1e-7", "1e-07"),
            (-0.0, "-0", "-0"),
            (1_234_567.0, "1234567", "1.234567e+06"),
            (100_000.0, "100000", "100000"),
            (
                18_446_744_073_709_551_616.0,
                "18446744073709552000",
                "1.8446744073709552e+19",
            ),
        ] {
            assert_eq!(double(number), json);
            assert_eq!(general(number), plain);
        }
    }
}
