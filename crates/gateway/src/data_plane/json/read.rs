//! JSON as Go reads it, with its error texts.

use std::collections::BTreeMap;

use super::{Value, lossy};

/// How deep values may be nested. A real gateway allows ten times as much.
const MAX_DEPTH: usize = 1000;

/// What may follow a value in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Anything: it is not read.
    Ignored,
    /// White space only.
    Blank,
}

/// The first value of a body; `None` if there is none. What follows is not read.
pub(crate) fn first(bytes: &[u8]) -> Result<Option<Value>, String> {
    let mut reader = Reader {
        bytes,
        at: 0,
        rest: Rest::Ignored,
    };
    reader.blanks();
    if reader.at == bytes.len() {
        return Ok(None);
    }
    reader.value(0).map(Some)
}

/// The only value of a text.
pub(crate) fn whole(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = Reader {
        bytes,
        at: 0,
        rest: Rest::Blank,
    };
    let value = reader.value(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(value),
        Some(c) => Err(invalid(c, "after top-level value")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    rest: Rest,
}

fn invalid(c: u8, what: &str) -> String {
    let shown = match c {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0c => "\\f".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        0x0b => "\\v".to_owned(),
        c if c < 0x20 || c == 0x7f => format!("\\x{c:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{c:04x}"),
        c => char::from(c).to_string(),
    };
    format!("invalid character '{shown}' {what}")
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// An unexpected end of the text.
    fn end(&self) -> String {
        match self.rest {
            Rest::Ignored => "unexpected EOF".to_owned(),
            Rest::Blank => "unexpected end of JSON input".to_owned(),
        }
    }

    /// An unexpected character within a number or a word; the end counts as a blank.
    fn misfit(&self, what: &str) -> String {
        match (self.peek(), self.rest) {
            (Some(c), _) => invalid(c, what),
            (None, Rest::Blank) => invalid(b' ', what),
            (None, Rest::Ignored) => self.end(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        self.blanks();
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.peek() {
            None => Err(self.end()),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Value::String),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(c) => Err(invalid(c, "looking for beginning of value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                let what = format!("in literal {word} (expecting '{}')", char::from(expected));
                return Err(self.misfit(&what));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, what: &str) -> Result<(), String> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.misfit(what));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits("in numeric literal")?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Value::Number(lossy(&self.bytes[start..self.at])))
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(self.end());
            };
            match c {
                b'"' => {
                    self.at += 1;
                    return Ok(lossy(&out));
                }
                b'\\' => {
                    self.at += 1;
                    self.escape(&mut out)?;
                    continue;
                }
                c if c < 0x20 => return Err(invalid(c, "in string literal")),
                c => out.push(c),
            }
            self.at += 1;
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let Some(c) = self.peek() else {
            return Err(self.end());
        };
        let plain = match c {
            b'b' => 8,
            b'f' => 0xc,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'"' | b'\\' | b'/' => c,
            b'u' => {
                self.at += 1;
                let mut unit = self.unit()?;
                // The first half of a surrogate pair needs the second half after it.
                if (0xd800..0xdc00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let low = self.unit()?;
                    if (0xdc00..0xe000).contains(&low) {
                        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                    } else {
                        self.at = before;
                    }
                }
                let c = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            c => return Err(invalid(c, "in string escape code")),
        };
        out.push(plain);
        self.at += 1;
        Ok(())
    }

    fn unit(&mut self) -> Result<u32, String> {
        let mut unit = 0;
        for _ in 0..4 {
            let Some(c) = self.peek() else {
                return Err(self.end());
            };
            let Some(digit) = char::from(c).to_digit(16) else {
                return Err(invalid(c, "in \\u hexadecimal character escape"));
            };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut all = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(all));
        }
        loop {
            all.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(all));
                }
                Some(c) => return Err(invalid(c, "after array element")),
                None => return Err(self.end()),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.at += 1;
        let mut map = BTreeMap::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(map));
        }
        loop {
            self.blanks();
            let key = match self.peek() {
                Some(b'"') => self.string()?,
                Some(c) => return Err(invalid(c, "looking for beginning of object key string")),
                None => return Err(self.end()),
            };
            self.blanks();
            match self.peek() {
                Some(b':') => self.at += 1,
                Some(c) => return Err(invalid(c, "after object key")),
                None => return Err(self.end()),
            }
            // The last of equal keys wins.
            map.insert(key, self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(map));
                }
                Some(c) => return Err(invalid(c, "after object key:value pair")),
                None => return Err(self.end()),
            }
        }
    }
}

// === parts of a text ===

/// The members of an object or the elements of an array, as written; `None` for another value. The
/// text must be valid JSON.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    Object(BTreeMap<String, &'a str>),
    Array(Vec<&'a str>),
    Other,
}

/// Splits a value, one level deep; the parts stay as written.
pub(crate) fn apart(text: &str) -> Result<Raw<'_>, String> {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        at: 0,
        rest: Rest::Blank,
    };
    reader.blanks();
    let part = |reader: &mut Reader<'_>| -> Result<std::ops::Range<usize>, String> {
        reader.blanks();
        let start = reader.at;
        reader.value(1)?;
        let end = reader.at;
        reader.blanks();
        Ok(start..end)
    };
    match reader.peek() {
        Some(b'{') => {
            reader.at += 1;
            reader.blanks();
            let mut members = BTreeMap::new();
            while reader.peek().is_some_and(|c| c != b'}') {
                reader.blanks();
                let key = reader.string()?;
                reader.blanks();
                reader.at += 1;
                let range = part(&mut reader)?;
                members.insert(key, text.get(range).unwrap_or_default());
                if reader.peek() == Some(b',') {
                    reader.at += 1;
                    reader.blanks();
                }
            }
            Ok(Raw::Object(members))
        }
        Some(b'[') => {
            reader.at += 1;
            reader.blanks();
            let mut items = Vec::new();
            while reader.peek().is_some_and(|c| c != b']') {
                let range = part(&mut reader)?;
                items.push(text.get(range).unwrap_or_default());
                if reader.peek() == Some(b',') {
                    reader.at += 1;
                }
            }
            Ok(Raw::Array(items))
        }
        _ => Ok(Raw::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_the_gateways_words() {
        for (text, fault) in [
            (
                "<x>",
                "invalid character '<' looking for beginning of value",
            ),
            (
                "{'a':1}",
                "invalid character '\\'' looking for beginning of object key string",
            ),
            (
                "nulx",
                "invalid character 'x' in literal null (expecting 'l')",
            ),
            ("-", "invalid character ' ' in numeric literal"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("{\"a\":1} x", "invalid character 'x' after top-level value"),
            ("[1 2]", "invalid character '2' after array element"),
        ] {
            assert_eq!(whole(text.as_bytes()).unwrap_err(), fault, "{text}");
        }
        assert_eq!(
            whole(b"\x89").unwrap_err(),
            "invalid character '\\u0089' looking for beginning of value"
        );
        assert_eq!(first(b"nul").unwrap_err(), "unexpected EOF");
        assert_eq!(first(b" \n").unwrap(), None);
        assert!(first(b"{\"a\":1} x").unwrap().is_some());
        let deep = "[".repeat(100_000);
        assert_eq!(whole(deep.as_bytes()).unwrap_err(), "exceeded max depth");
    }

    #[test]
    fn parts_stay_as_they_are_written() {
        let Raw::Object(members) =
            apart("{\"a\" : 1.0 ,\"b\":[ 1,2 ],\"n\\u0061\":\"x\"}").unwrap()
        else {
            panic!("an object");
        };
        assert_eq!(members["a"], "1.0");
        assert_eq!(members["b"], "[ 1,2 ]");
        assert_eq!(members["na"], "\"x\"");
        assert_eq!(apart(" [1, {}] ").unwrap(), Raw::Array(vec!["1", "{}"]));
        assert_eq!(apart("5").unwrap(), Raw::Other);
    }
}
