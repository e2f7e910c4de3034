//! The types that the methods of a proto reach, and which of them cannot be rendered.

use std::collections::{HashMap, HashSet};

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use crate::finding::Rule;
use crate::render::{Site, Unrenderable, site};

/// Walks the types that the methods reach.
pub(crate) fn types(methods: &[MethodDescriptor]) -> Vec<Unrenderable> {
    let mut walk = Walk::default();
    for method in methods {
        // Input and output type of a method.
        for (message, is_request, part) in [(method.input(), true, 2), (method.output(), false, 3)]
        {
            let file = method.parent_service().parent_file();
            walk.open
                .push((message, is_request, site(&file, method.path(), Some(part))));
            // A list instead of calls: messages may be nested as deep as they like.
            while let Some((message, is_request, from)) = walk.open.pop() {
                walk.message(&message, is_request, &from);
            }
        }
    }
    walk.found
}

#[derive(Default)]
struct Walk {
    /// Messages to walk, whether each is the top of a request, and where it is used.
    open: Vec<(MessageDescriptor, bool, Site)>,
    /// Messages walked as the top of a request, and those walked as anything else.
    tops: HashSet<String>,
    seen: HashSet<String>,
    /// The full name of the type that has a flat name.
    flat: HashMap<String, String>,
    found: Vec<Unrenderable>,
}

impl Walk {
    fn message(&mut self, message: &MessageDescriptor, top_of_request: bool, from: &Site) {
        let full_name = message.full_name();
        let walked = if top_of_request {
            &mut self.tops
        } else {
            &mut self.seen
        };
        if !walked.insert(full_name.to_owned()) {
            return;
        }
        if matches!(
            full_name,
            "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue"
        ) {
            let found = Unrenderable::new(Rule::ProtoFreeJson, full_name, from.clone());
            self.found.push(found);
            return;
        }
        let own = site(&message.parent_file(), message.path(), Some(1));
        self.name(full_name, message.package_name(), own);
        for field in message.fields() {
            self.field(&field, top_of_request);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, top_of_request: bool) {
        let file = field.parent_message().parent_file();
        // A map at the top of a request becomes arguments, not a type.
        if field.is_map() && !top_of_request {
            let site = site(&file, field.path(), Some(1));
            let name = field.full_name();
            self.found
                .push(Unrenderable::new(Rule::ProtoFreeJson, name, site));
        }
        let used = site(&file, field.path(), Some(6));
        match field.kind() {
            Kind::Message(inner) if field.is_map() => {
                let used = site(&file, field.path(), None);
                if let Some(value) = inner.get_field_by_name("value")
                    && let Kind::Message(value) = value.kind()
                {
                    self.open.push((value, false, used));
                }
            }
            Kind::Message(inner) => self.open.push((inner, false, used)),
            Kind::Enum(inner) => self.enumeration(&inner),
            _ => {}
        }
    }

    fn enumeration(&mut self, inner: &EnumDescriptor) {
        if self.seen.insert(inner.full_name().to_owned()) {
            let own = site(&inner.parent_file(), inner.path(), Some(1));
            self.name(inner.full_name(), inner.package_name(), own);
        }
    }

    /// Two types may not become one when the dots of their names become underscores.
    fn name(&mut self, full_name: &str, package: &str, own: Site) {
        let local = full_name
            .strip_prefix(package)
            .unwrap_or(full_name)
            .trim_start_matches('.');
        let flat = local.replace('.', "_");
        let holder = self
            .flat
            .entry(format!("{package}/{flat}"))
            .or_insert_with(|| full_name.to_owned());
        if holder != full_name {
            self.found
                .push(Unrenderable::new(Rule::ProtoTypeName, flat, own));
        }
    }
}
