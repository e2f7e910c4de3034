//! Options from a file, by serde.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use super::Options;
use super::reading::{KNOWN, Precedence, Reading, Spelling};
use crate::error::Error;

/// Settings from a file, for serde (feature `serde`): the variables of the
/// environment ([`Options::from_env`]) without `GWAG_`, in lower case.
///
/// Values are strings, numbers, booleans, or lists of strings. An unknown name is an error.
///
/// # Examples
///
/// ```
/// use tower_gwag::{Options, Settings};
///
/// let file = r#"{"gateway": ["a:50090", "b:50090"], "ttl": "15s", "leave_timeout": 20}"#;
/// let settings: Settings = serde_json::from_str(file)?;
/// let options = Options::from_settings(&settings)?;
///
/// // The code goes before the environment, and that before the file.
/// let options = Options::new("other:50090").or_env()?.or_settings(&settings)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

// === impl Options ===

impl Options {
    /// Reads options from a file that serde has deserialized (feature `serde`).
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env), and for an unknown name.
    ///
    /// # Examples
    ///
    /// See [`Settings`].
    pub fn from_settings(settings: &Settings) -> Result<Self, Error> {
        Self::new("").or_settings(settings)
    }

    /// Fills every option that is still unset from a file (feature `serde`):
    /// `Options::from_env()?.or_settings(&file)?` prefers the environment, then the file, then
    /// defaults.
    ///
    /// # Errors
    ///
    /// As [`from_settings`](Self::from_settings).
    ///
    /// # Examples
    ///
    /// See [`Settings`].
    pub fn or_settings(self, settings: &Settings) -> Result<Self, Error> {
        let mut reading = Reading::new(Spelling::File);
        let mut values = BTreeMap::new();
        for (name, value) in &settings.0 {
            match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                Some(known) if !value.trim().is_empty() => {
                    values.insert(*known, value.trim().to_owned());
                }
                Some(_) => {}
                None => reading.warn_of(name),
            }
        }
        reading.read(&values);
        reading.into_options(self, Precedence::Code)
    }
}

// === impl Settings ===

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A value, converted to the text that the environment would have.
struct Value(String);

struct ValueVisitor;

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let values = values.into_iter().map(|(name, value)| (name, value.0));
        Ok(Self(values.collect()))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean, or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
        Ok(value.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
        let mut all = Vec::<String>::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(all.join(","))
    }
}
