//! Enums.

use prost_reflect::DynamicMessage;
use prost_reflect::prost_types::EnumDescriptorProto;

use super::literals::{quoted, range};
use super::{Printer, at, element};

impl Printer {
    pub(super) fn enumeration(
        &mut self,
        enumeration: &EnumDescriptorProto,
        dynamic: Option<&DynamicMessage>,
        path: &[i32],
    ) {
        let below = |field: i32| path.iter().copied().chain([field]).collect::<Vec<_>>();
        let note = self.comments.note(path);
        self.writer
            .open(&note, &format!("enum {}", enumeration.name()));
        self.option_statements(dynamic, &below(3));
        for (index, value) in enumeration.value.iter().enumerate() {
            let note = self.comments.note(&at(path, 2, index));
            let own = element(dynamic, "value", index);
            let options = self.options_in_brackets(own, Vec::new());
            let text = format!("{} = {}{options}", value.name(), value.number());
            self.writer.statement(&note, &text);
        }
        let ranges = enumeration.reserved_range.iter();
        let ranges = ranges.map(|it| range(it.start(), it.end(), i32::MAX));
        self.reserved(&below(4), &ranges.collect::<Vec<_>>());
        let names = enumeration.reserved_name.iter();
        let names = names.map(|it| quoted(it.as_bytes()));
        self.reserved(&below(5), &names.collect::<Vec<_>>());
        self.writer.close();
    }
}
