//! Changes for gRPC callers: a change that breaks the wire format is breaking; one that breaks JSON or
//! generated code is dangerous.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use prost_reflect::{
    Cardinality, EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, MethodDescriptor,
};

use super::{Changes, Level, Protocol, Side, Where};
use crate::location::Location;
use crate::proto::{Compiled, name_of, path_of};

pub(super) fn compare(old: &Compiled, new: &Compiled, changes: &mut Changes<'_>) {
    let mut comparison = Comparison {
        new,
        changes,
        seen: HashSet::new(),
        open: Vec::new(),
    };
    let methods = |compiled: &Compiled| -> BTreeMap<String, MethodDescriptor> {
        let services = compiled.entry().into_iter();
        let services = services.flat_map(|it| it.services().collect::<Vec<_>>());
        let methods = services.flat_map(|it| it.methods().collect::<Vec<_>>());
        methods.map(|it| (path_of(&it), it)).collect()
    };
    let (were, are) = (methods(old), methods(new));
    for (path, was) in &were {
        match are.get(path) {
            Some(is) => comparison.methods(path, was, is),
            None => {
                let location = location(Side::Old, &was.parent_service().parent_file(), was.path());
                comparison.tell(Level::Breaking, path, "the method was removed", location);
            }
        }
    }
    for (path, is) in are.iter().filter(|(path, _)| !were.contains_key(*path)) {
        let location = location(Side::New, &is.parent_service().parent_file(), is.path());
        comparison.tell(Level::Safe, path, "the method is new", location);
    }
    comparison.walk();
}

fn location(side: Side, file: &FileDescriptor, path: &[i32]) -> Where {
    let path = path.iter().copied().chain([1]).collect();
    Some((side, Location::Proto(Arc::from(file.name()), path)))
}

struct Comparison<'c, 'a, 'n> {
    new: &'n Compiled,
    changes: &'c mut Changes<'a>,
    seen: HashSet<String>,
    open: Vec<Open>,
}

enum Open {
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

impl Comparison<'_, '_, '_> {
    fn tell(&mut self, level: Level, subject: &str, message: impl Into<String>, location: Where) {
        self.changes
            .add(level, Protocol::Grpc, subject, message, location);
    }

    fn methods(&mut self, path: &str, was: &MethodDescriptor, is: &MethodDescriptor) {
        let at = location(Side::New, &is.parent_service().parent_file(), is.path());
        let kinds = [
            ("request", was.input(), is.input()),
            ("response", was.output(), is.output()),
        ];
        for (what, was, is) in kinds {
            if was.full_name() == is.full_name() {
                self.open.push(Open::Message(was));
            } else {
                let message = format!(
                    "the {what} was `{}` and is `{}`",
                    was.full_name(),
                    is.full_name()
                );
                self.tell(Level::Breaking, path, message, at.clone());
            }
        }
        let streams = [
            (
                "client",
                was.is_client_streaming(),
                is.is_client_streaming(),
            ),
            (
                "server",
                was.is_server_streaming(),
                is.is_server_streaming(),
            ),
        ];
        for (who, was, is) in streams {
            if was != is {
                let message = match is {
                    true => format!("the {who} now streams"),
                    false => format!("the {who} no longer streams"),
                };
                self.tell(Level::Breaking, path, message, at.clone());
            }
        }
    }

    fn walk(&mut self) {
        // A work list instead of recursion: messages may be nested to any depth.
        while let Some(open) = self.open.pop() {
            match open {
                Open::Message(was) => {
                    if self.seen.insert(was.full_name().to_owned()) {
                        self.message(&was);
                    }
                }
                Open::Enum(was) => {
                    if self.seen.insert(was.full_name().to_owned()) {
                        self.enumeration(&was);
                    }
                }
            }
        }
    }

    fn message(&mut self, was: &MessageDescriptor) {
        let name = was.full_name();
        let Some(is) = self.new.message(name) else {
            let at = location(Side::Old, &was.parent_file(), was.path());
            self.tell(Level::Dangerous, name, "the message was removed", at);
            return;
        };
        for field in was.fields() {
            let subject = format!("{name}.{}", name_of(&field));
            match is.get_field(field.number()) {
                Some(now) => self.field(&subject, &field, &now),
                None => {
                    let at = location(Side::Old, &was.parent_file(), field.path());
                    let is_reserved = is.reserved_ranges().any(|it| it.contains(&field.number()));
                    let (level, message) = match is_reserved {
                        true => (
                            Level::Dangerous,
                            "the field was removed; its number is reserved",
                        ),
                        false => (
                            Level::Breaking,
                            "the field was removed, and its number is not reserved",
                        ),
                    };
                    self.tell(level, &subject, message, at);
                }
            }
        }
        for field in is
            .fields()
            .filter(|it| was.get_field(it.number()).is_none())
        {
            let subject = format!("{name}.{}", name_of(&field));
            let at = location(Side::New, &is.parent_file(), field.path());
            match field.cardinality() {
                Cardinality::Required => {
                    self.tell(
                        Level::Breaking,
                        &subject,
                        "the field is new and required",
                        at,
                    );
                }
                _ => self.tell(Level::Safe, &subject, "the field is new", at),
            }
        }
    }

    fn field(&mut self, subject: &str, was: &FieldDescriptor, is: &FieldDescriptor) {
        let at = location(Side::New, &is.parent_message().parent_file(), is.path());
        if name_of(was) != name_of(is) {
            let message = format!("the field is now called `{}`", name_of(is));
            self.tell(Level::Dangerous, subject, message, at.clone());
        } else if was.json_name() != is.json_name() {
            let message = format!("the field is now called `{}` in JSON", is.json_name());
            self.tell(Level::Dangerous, subject, message, at.clone());
        }
        let (before, after) = (type_name(was), type_name(is));
        if before != after {
            let level = match is_compatible(was, is) {
                true => Level::Dangerous,
                false => Level::Breaking,
            };
            let message = format!("the type was `{before}` and is `{after}`");
            self.tell(level, subject, message, at.clone());
        } else {
            match was.kind() {
                Kind::Message(inner) => self.open.push(Open::Message(inner)),
                Kind::Enum(inner) => self.open.push(Open::Enum(inner)),
                _ => {}
            }
        }
        let (is_list, was_list) = (is.is_list() || is.is_map(), was.is_list() || was.is_map());
        if is_list != was_list {
            let message = match is_list {
                true => "the field is now repeated",
                false => "the field is no longer repeated",
            };
            self.tell(Level::Breaking, subject, message, at.clone());
        } else if (was.cardinality() == Cardinality::Required)
            != (is.cardinality() == Cardinality::Required)
        {
            let message = match is.cardinality() {
                Cardinality::Required => "the field is now required",
                _ => "the field is no longer required, which old readers refuse",
            };
            self.tell(Level::Breaking, subject, message, at.clone());
        } else if !is_list && was.supports_presence() != is.supports_presence() {
            let message = "the field gained or lost presence";
            self.tell(Level::Dangerous, subject, message, at.clone());
        }
        let oneof = |it: &FieldDescriptor| {
            let oneof = it.containing_oneof().filter(|it| !it.is_synthetic());
            oneof.map(|it| it.name().to_owned())
        };
        if oneof(was) != oneof(is) {
            self.tell(
                Level::Breaking,
                subject,
                "the field moved to or from a oneof",
                at,
            );
        }
    }

    fn enumeration(&mut self, was: &EnumDescriptor) {
        let name = was.full_name();
        let Some(is) = self.new.enumeration(name) else {
            let at = location(Side::Old, &was.parent_file(), was.path());
            self.tell(Level::Dangerous, name, "the enum was removed", at);
            return;
        };
        for value in was.values() {
            let subject = format!("{name}.{}", value.name());
            let now: Vec<_> = is
                .values()
                .filter(|it| it.number() == value.number())
                .collect();
            if now.is_empty() {
                let at = location(Side::Old, &was.parent_file(), value.path());
                let number = value.number();
                let is_reserved = is.reserved_ranges().any(|it| it.contains(&number));
                let (level, message) = match is_reserved {
                    true => (
                        Level::Dangerous,
                        "the value was removed; its number is reserved",
                    ),
                    false => (
                        Level::Breaking,
                        "the value was removed, and its number is not reserved",
                    ),
                };
                self.tell(level, &subject, message, at);
            } else if !now.iter().any(|it| it.name() == value.name()) {
                let names: Vec<_> = now.iter().map(EnumValueDescriptor::name).collect();
                let at = now.first().map(|it| it.path().to_vec()).unwrap_or_default();
                let at = location(Side::New, &is.parent_file(), &at);
                let message = format!("the value is now called `{}`", names.join("`, `"));
                self.tell(Level::Dangerous, &subject, message, at);
            }
        }
        for value in is.values() {
            if !was.values().any(|it| it.number() == value.number()) {
                let subject = format!("{name}.{}", value.name());
                let at = location(Side::New, &is.parent_file(), value.path());
                let message = "the value is new: callers may receive a value that they do not know";
                self.tell(Level::Dangerous, &subject, message, at);
            }
        }
    }
}

fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(kind) => kind.full_name().to_owned(),
        kind => format!("{kind:?}").to_lowercase(),
    }
}

/// Whether values of the old field can be read as the new one on the wire.
fn is_compatible(was: &FieldDescriptor, is: &FieldDescriptor) -> bool {
    let group = |field: &FieldDescriptor| match field.kind() {
        Kind::Int32 | Kind::Uint32 | Kind::Int64 | Kind::Uint64 | Kind::Bool | Kind::Enum(_) => 1,
        Kind::Sint32 | Kind::Sint64 => 2,
        Kind::Fixed32 | Kind::Sfixed32 => 3,
        Kind::Fixed64 | Kind::Sfixed64 => 4,
        Kind::String | Kind::Bytes => 5,
        _ => 0,
    };
    let (was, is) = (group(was), group(is));
    was == is && was != 0
}
