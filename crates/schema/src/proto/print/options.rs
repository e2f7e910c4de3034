//! Prints options, custom ones included, and their values.

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MapKey, ReflectMessage, Value};

use super::Printer;
use super::writer::Note;
use crate::quote::escape;

/// One `name = value`, and the option's field number.
struct Assignment {
    number: i32,
    /// The index in a repeated option.
    index: Option<usize>,
    text: String,
}

impl Printer {
    /// Prints a statement for each option of a declaration; `path` is the path of its options.
    pub(super) fn option_statements(&mut self, of: Option<&DynamicMessage>, path: &[i32]) {
        for assignment in self.assignments(of) {
            let number = path.iter().copied().chain([assignment.number]);
            let path: Vec<i32> = number.collect();
            let mut note = self.comments.note(&path);
            if let Some(index) = assignment.index {
                let own = self
                    .comments
                    .note(&[&path[..], &[i32::try_from(index).unwrap_or(0)]].concat());
                let is_first = index == 0 && own == Note::default();
                note = if is_first { note } else { own };
            }
            self.writer
                .statement(&note, &format!("option {}", assignment.text));
        }
    }

    /// ` [a = 1, (b) = 2]`, or nothing.
    pub(super) fn options_in_brackets(
        &mut self,
        of: Option<&DynamicMessage>,
        mut texts: Vec<String>,
    ) -> String {
        texts.extend(self.assignments(of).into_iter().map(|it| it.text));
        match texts.is_empty() {
            true => String::new(),
            false => format!(" [{}]", texts.join(", ")),
        }
    }

    fn assignments(&mut self, of: Option<&DynamicMessage>) -> Vec<Assignment> {
        let Some(of) = of.filter(|it| it.has_field_by_name("options")) else {
            return Vec::new();
        };
        let Some(value) = of.get_field_by_name("options") else {
            return Vec::new();
        };
        let Some(options) = value.as_message() else {
            return Vec::new();
        };
        let kind = options.descriptor().full_name().to_owned();
        let known = DescriptorPool::global().get_message_by_name(&kind);
        let mut found = Vec::new();
        for (field, value) in options.fields() {
            let name = field.name();
            let is_known = known
                .as_ref()
                .is_none_or(|it| it.get_field_by_name(name).is_some());
            if !is_known || name == "uninterpreted_option" {
                self.lost.push(format!("`{name}` of {kind}"));
                continue;
            }
            self.assign(name, field.number(), &field.kind(), value, &mut found);
        }
        for (extension, value) in options.extensions() {
            let name = format!("(.{})", extension.full_name());
            self.assign(
                &name,
                extension.number(),
                &extension.kind(),
                value,
                &mut found,
            );
        }
        for unknown in options.unknown_fields() {
            self.lost
                .push(format!("number {} of {kind}", unknown.number()));
        }
        found
    }

    fn assign(
        &mut self,
        name: &str,
        number: u32,
        kind: &Kind,
        value: &Value,
        to: &mut Vec<Assignment>,
    ) {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let values = match value {
            Value::List(values) => values.as_slice(),
            value => std::slice::from_ref(value),
        };
        for (index, one) in values.iter().enumerate() {
            match literal(kind, one, &mut self.lost) {
                Some(text) => to.push(Assignment {
                    number,
                    index: matches!(value, Value::List(_)).then_some(index),
                    text: format!("{name} = {text}"),
                }),
                None => self.lost.push(format!("a value of `{name}`")),
            }
        }
    }
}

// === values ===

/// Bytes as a string literal; text beyond ASCII stays unescaped.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        escape(chunk.valid(), &mut out, |c, out| match c {
            c if c.is_ascii_control() => out.push_str(&format!("\\{:03o}", u32::from(c))),
            c => out.push(c),
        });
        for byte in chunk.invalid() {
            out.push_str(&format!("\\{byte:03o}"));
        }
    }
    out.push('"');
    out
}

/// `1`, `1 to 3` or `1 to max`; both ends are inclusive.
pub(super) fn range(start: i32, end: i32, max: i32) -> String {
    match end {
        end if end == max => format!("{start} to max"),
        end if end == start => start.to_string(),
        end => format!("{start} to {end}"),
    }
}

/// The value of an option; `None` if it has no text form.
pub(super) fn literal(kind: &Kind, value: &Value, lost: &mut Vec<String>) -> Option<String> {
    Some(match value {
        Value::Message(message) => format!("{{ {}}}", fields(message, lost)),
        value => scalar(kind, value)?,
    })
}

fn scalar(kind: &Kind, value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(it) => it.to_string(),
        Value::I32(it) => it.to_string(),
        Value::I64(it) => it.to_string(),
        Value::U32(it) => it.to_string(),
        Value::U64(it) => it.to_string(),
        Value::F32(it) => float(it.is_nan(), &format!("{it:?}")),
        Value::F64(it) => float(it.is_nan(), &format!("{it:?}")),
        Value::String(it) => quoted(it.as_bytes()),
        Value::Bytes(it) => quoted(it),
        Value::EnumNumber(number) => kind.as_enum()?.get_value(*number)?.name().to_owned(),
        Value::Message(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

fn float(is_nan: bool, text: &str) -> String {
    if is_nan {
        "nan".to_owned()
    } else {
        text.to_owned()
    }
}

/// The fields of a message in text format, each followed by a blank.
fn fields(message: &DynamicMessage, lost: &mut Vec<String>) -> String {
    let mut out = String::new();
    for (field, value) in message.fields() {
        let kind = field.kind();
        let name = match kind.as_message() {
            Some(group) if field.is_group() => group.name().to_owned(),
            _ => field.name().to_owned(),
        };
        add(&mut out, &name, &kind, value, lost);
    }
    for (extension, value) in message.extensions() {
        let name = format!("[{}]", extension.full_name());
        add(&mut out, &name, &extension.kind(), value, lost);
    }
    let name = message.descriptor().full_name().to_owned();
    let unknown = message.unknown_fields();
    lost.extend(unknown.map(|it| format!("number {} of {name}", it.number())));
    out
}

fn add(out: &mut String, name: &str, kind: &Kind, value: &Value, lost: &mut Vec<String>) {
    match value {
        Value::List(values) => {
            for value in values {
                add(out, name, kind, value, lost);
            }
        }
        Value::Map(entries) => {
            // The entries of a map are unordered.
            let mut entries: Vec<(&MapKey, &Value)> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entry = kind.as_message();
            for (key, value) in entries {
                let mut inner = String::new();
                if let Some(entry) = entry {
                    let key_kind = entry.map_entry_key_field().kind();
                    add(
                        &mut inner,
                        "key",
                        &key_kind,
                        &Value::from(key.clone()),
                        lost,
                    );
                    let value_kind = entry.map_entry_value_field().kind();
                    add(&mut inner, "value", &value_kind, value, lost);
                }
                out.push_str(&format!("{name} {{ {inner}}} "));
            }
        }
        Value::Message(message) => {
            let inner = fields(message, lost);
            out.push_str(&format!("{name} {{ {inner}}} "));
        }
        // Unlike an option, text format accepts the number of an enum value.
        Value::EnumNumber(number) if scalar(kind, value).is_none() => {
            out.push_str(&format!("{name}: {number} "));
        }
        value => {
            let text = scalar(kind, value).unwrap_or_default();
            out.push_str(&format!("{name}: {text} "));
        }
    }
}
