//! JSON values that stay small: an OpenAPI document may have 4 MiB, more if white space is removed first,
//! and serde_json's maps take 640 bytes for an object with one key.
//!
//! Objects are sorted by key, whichever map serde_json uses.

use std::cell::Cell;
use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_core::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
pub use serde_json::Number;

use crate::location::unescaped;
use crate::sorted::Sorted;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Value>),
    Object(Map),
}

/// The entries of an object.
pub type Map = Sorted<Value>;

/// How many bytes a text may take as values: some texts are a hundred times as large in memory.
const MOST_BYTES: usize = 96 << 20;

/// Why a text is not a value.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: serde_json::Error,
    /// As a value it would take too much memory.
    pub(crate) is_too_large: bool,
}

/// The memory that values may still take.
#[derive(Debug)]
pub(crate) struct Room(Cell<usize>);

// === impl Room ===

impl Room {
    pub(crate) fn new() -> Self {
        Self(Cell::new(MOST_BYTES))
    }

    /// Takes the room of a value, apart from the entry or item that it is.
    #[must_use]
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }

    fn is_used_up(&self) -> bool {
        self.0.get() == 0
    }

    /// A value, parsed into this room.
    fn parse(&self, text: &[u8]) -> Result<Value, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let value = self.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }
}

/// Parses JSON.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Fault> {
    let room = Room::new();
    room.parse(text).map_err(|error| Fault {
        is_too_large: room.is_used_up(),
        error,
    })
}

// === impl Value ===

impl Value {
    /// The value of a key, if it is an object that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.as_object_mut()?.get_mut(key)
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&Vec<Self>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entries, to change them.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Object(entries) => Some(entries),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(it) => Some(*it),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Number(number) => number.as_f64(),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is a string.
    #[must_use]
    pub fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The value at a JSON pointer.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        let mut value = self;
        for step in steps(pointer)? {
            value = match value {
                Self::Object(entries) => entries.get(&unescaped(step))?,
                Self::Array(items) => items.get(index(step)?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The value at a JSON pointer, to change it.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Self> {
        let mut value = self;
        for step in steps(pointer)? {
            value = match value {
                Self::Object(entries) => entries.get_mut(&unescaped(step))?,
                Self::Array(items) => items.get_mut(index(step)?)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// The same as serde_json's value.
    #[must_use]
    pub fn to_serde(&self) -> serde_json::Value {
        use serde_json::Value as Serde;
        match self {
            Self::Null => Serde::Null,
            Self::Bool(it) => Serde::Bool(*it),
            Self::Number(number) => Serde::Number(number.clone()),
            Self::String(text) => Serde::String(text.clone()),
            Self::Array(items) => Serde::Array(items.iter().map(Self::to_serde).collect()),
            Self::Object(entries) => {
                let entries = entries.iter();
                Serde::Object(
                    entries
                        .map(|(key, it)| (key.clone(), it.to_serde()))
                        .collect(),
                )
            }
        }
    }

    /// The text of the value, without white space.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // invariant: keys are strings and numbers are finite, so everything can be written.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The escaped steps of a JSON pointer.
fn steps(pointer: &str) -> Option<impl Iterator<Item = &str>> {
    let steps = match pointer {
        "" => None,
        pointer => Some(pointer.strip_prefix('/')?.split('/')),
    };
    Some(steps.into_iter().flatten())
}

/// A step as the index of an item.
fn index(step: &str) -> Option<usize> {
    let is_index = !step.starts_with('+') && (step == "0" || !step.starts_with('0'));
    step.parse().ok().filter(|_| is_index)
}

/// Writes JSON without white space.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == Some(*other)
    }
}

macro_rules! from {
    ($($type:ty => |$it:ident| $value:expr),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from($it: $type) -> Self {
                $value
            }
        }
    )+};
}

from! {
    bool => |it| Self::Bool(it),
    i64 => |it| Self::Number(it.into()),
    u64 => |it| Self::Number(it.into()),
    &str => |it| Self::String(it.to_owned()),
    String => |it| Self::String(it),
    Vec<Value> => |it| Self::Array(it),
    Map => |it| Self::Object(it),
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Serde;
        match value {
            Serde::Null => Self::Null,
            Serde::Bool(it) => Self::Bool(it),
            Serde::Number(number) => Self::Number(number),
            Serde::String(text) => Self::String(text),
            Serde::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Serde::Object(entries) => {
                let entries = entries.into_iter();
                Self::Object(entries.map(|(key, it)| (key, it.into())).collect())
            }
        }
    }
}

// === reading and writing ===

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(it) => serializer.serialize_bool(*it),
            Self::Number(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// The key under which serde_json hands on numbers with its feature `arbitrary_precision`, which another
/// crate may have enabled.
const NUMBER: &str = "$serde_json::private::Number";

/// Whether serde_json has that feature: only then it parses numbers that no `f64` is large enough for.
fn is_arbitrary_precision() -> bool {
    "1e999".parse::<Number>().is_ok()
}

impl<'de> DeserializeSeed<'de> for &Room {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Room {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(Value::Number(it.into()))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Number::from_f64(it).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde_core::de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde_core::de::Error>(self, text: String) -> Result<Value, E> {
        match self.take(text.len()) {
            true => Ok(Value::String(text)),
            false => Err(E::custom(TOO_LARGE)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            if !self.take(size_of::<Value>()) {
                return Err(A::Error::custom(TOO_LARGE));
            }
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if !self.take(key.len() + size_of::<(String, Value)>()) {
                return Err(A::Error::custom(TOO_LARGE));
            }
            let value = map.next_value_seed(self)?;
            entries.push((key, value));
        }
        if let [(key, Value::String(text))] = entries.as_slice()
            && key == NUMBER
            && is_arbitrary_precision()
            && let Ok(number) = text.parse()
        {
            return Ok(Value::Number(number));
        }
        Ok(Value::Object(entries.into_iter().collect()))
    }
}

const TOO_LARGE: &str = "it would take too much memory";

/// As serde_json's macro.
#[cfg(test)]
macro_rules! json {
    ($($value:tt)*) => {
        $crate::json::Value::from(serde_json::json!($($value)*))
    };
}

#[cfg(test)]
pub(crate) use json;

#[cfg(test)]
impl std::ops::Index<&str> for Value {
    type Output = Self;

    fn index(&self, key: &str) -> &Self {
        const NULL: &Value = &Value::Null;
        self.get(key).unwrap_or(NULL)
    }
}

#[cfg(test)]
impl std::ops::IndexMut<&str> for Value {
    fn index_mut(&mut self, key: &str) -> &mut Self {
        let map = self.as_object_mut().expect("an object");
        if !map.contains_key(key) {
            map.insert(key.to_owned(), Self::Null);
        }
        map.get_mut(key).expect("just inserted")
    }
}

#[cfg(test)]
impl std::ops::Index<usize> for Value {
    type Output = Self;

    fn index(&self, at: usize) -> &Self {
        const NULL: &Value = &Value::Null;
        self.as_array().and_then(|it| it.get(at)).unwrap_or(NULL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_serde_json() {
        for text in [
            r#"{"b":[1,-2,2.5,1e300,18446744073709551615,null,true],"a":{"x":"\u00e9\n"},"b":[]}"#,
            r#"[[],{},"",0,-0.0,1e400]"#,
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"a":1,"$serde_json::private::Number":"2","b":3}"#,
            "\"\\ud800\"",
            "[1,2",
            "{} x",
            "",
        ] {
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            match (parse(text.as_bytes()), theirs) {
                (Ok(ours), Ok(theirs)) => {
                    assert_eq!(ours, Value::from(theirs.clone()));
                    assert_eq!(ours.to_serde(), theirs);
                    let again: serde_json::Value = ours.to_string().parse().unwrap();
                    assert_eq!(again, theirs, "{text}");
                }
                (Err(ours), Err(theirs)) => {
                    assert_eq!(ours.error.to_string(), theirs.to_string(), "{text}");
                    assert!(!ours.is_too_large);
                }
                (ours, theirs) => panic!("{text}: {ours:?}, {theirs:?}"),
            }
        }
    }

    #[test]
    fn objects_are_sorted_and_later_keys_win() {
        let value = parse(br#"{"c":1,"a":2,"c":3,"b":4,"a":5,"a":6}"#).unwrap();
        assert_eq!(value.to_string(), r#"{"a":6,"b":4,"c":3}"#);
        let mut map = value.as_object().unwrap().clone();
        assert_eq!(map.insert("aa".to_owned(), true.into()), None);
        assert_eq!(map.remove("b"), Some(4_u64.into()));
        assert_eq!(Value::from(map).to_string(), r#"{"a":6,"aa":true,"c":3}"#);
    }

    #[test]
    fn pointers_lead_through_objects_and_arrays() {
        let value = json!({"a/b": [{"~": 1}], "": 2});
        let serde = value.to_serde();
        for pointer in [
            "",
            "/",
            "/a~1b",
            "/a~1b/0/~0",
            "/a~1b/00",
            "/a~1b/+0",
            "/a~1b/1",
            "a",
            "/x/y",
        ] {
            let theirs = serde.pointer(pointer).cloned().map(Value::from);
            assert_eq!(value.pointer(pointer).cloned(), theirs, "{pointer}");
        }
    }

    #[test]
    fn deep_and_numerous_values_are_refused() {
        let nested = |depth| parse(("[".repeat(depth) + &"]".repeat(depth)).as_bytes());
        assert!(nested(127).is_ok());
        let fault = nested(128).unwrap_err();
        assert!(fault.error.to_string().contains("recursion limit"));
        assert!(!fault.is_too_large);
        let fault = parse(format!("[{}]", "0,".repeat(4_000_000)).as_bytes()).unwrap_err();
        assert!(fault.is_too_large);
    }
}
