//! Prints options, custom ones included.

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, ReflectMessage, Value};

use super::Printer;
use super::comments::Note;
use super::literals::literal;

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
