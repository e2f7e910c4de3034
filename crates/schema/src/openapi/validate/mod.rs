//! Checks whether a document has the shape that gateways require, both when read and when validated.
//!
//! The reference is measured gateways, not the specification: what they accept is not a fault here.

mod examples;
mod fields;
mod formats;
mod kinds;
mod objects;
mod parameters;
mod patterns;
mod references;
mod schemas;
mod values;

use std::collections::{HashSet, VecDeque};

use crate::json::{Map, Value};

pub(crate) use self::objects::{NO_DESCRIPTION, is_identifier};

use self::kinds::{Field, Kind, Shape};
use self::references::{Targets, reference_of};
use crate::finding::Rule;
use crate::location::{Location, Pointer, Trail};
use crate::openapi::Fault;

/// The faults of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Faults that keep gateways from reading it.
    pub unreadable: Vec<Fault>,
    /// Faults for which a gateway reads it but does not serve it.
    pub invalid: Vec<Fault>,
}

/// Each kind of fault is collected up to this many.
const MOST_FAULTS: usize = 200;

/// The versions with the features of OpenAPI 3.1; all others are read as 3.0.
const NEW: [&str; 6] = ["3.1", "3.1.0", "3.1.1", "3.1.2", "3.2", "3.2.0"];

/// The versions that require paths.
const OLD: [&str; 7] = ["3", "3.0", "3.0.0", "3.0.1", "3.0.2", "3.0.3", "3.0.4"];

/// All faults of a document.
pub(super) fn faults(root: &Value) -> Faults {
    let Some(document) = root.as_object() else {
        return Faults::default();
    };
    let version = text(document, "openapi");
    let mut walk = Walk {
        is_new: NEW.contains(&version),
        is_old: OLD.contains(&version),
        targets: Targets::new(root),
        trail: Trail::default(),
        open: VecDeque::new(),
        followed: HashSet::new(),
        groups: vec![Group::default()],
        found: Vec::new(),
        counts: [0; 2],
        fuel: examples::FUEL,
        has_one_way: false,
    };
    let at = walk.trail.start(Pointer::default());
    walk.open.push_back(Item {
        value: root,
        kind: Kind::Root,
        at,
        is_judged: true,
        is_linked: true,
        is_lenient: false,
        group: 0,
    });
    // A work list instead of recursion: documents may have any depth.
    while let Some(item) = walk.open.pop_front() {
        walk.object(item);
    }
    walk.one_way_examples(root);
    let mut faults = walk.finish();
    if version.is_empty() && document.contains_key("swagger") {
        // All other faults follow from it.
        let is_told = |it: &Fault| it.location == Location::in_document("/openapi");
        faults.invalid.retain(is_told);
    }
    faults
}

/// An object to check.
#[derive(Clone, Copy, Debug)]
struct Item<'a> {
    value: &'a Value,
    kind: Kind,
    at: usize,
    /// Whether more than the types of its fields is checked.
    is_judged: bool,
    /// Whether references are followed.
    is_linked: bool,
    /// Whether it may have siblings if it is a reference.
    is_lenient: bool,
    group: usize,
}

/// The siblings of a reference: gateways drop all of them if one cannot be read.
#[derive(Debug, Default)]
struct Group {
    parent: usize,
    is_dropped: bool,
}

/// The phase in which a gateway finds a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Read,
    Link,
    Judge,
}

struct Walk<'a> {
    is_new: bool,
    is_old: bool,
    targets: Targets<'a>,
    trail: Trail<'a>,
    open: VecDeque<Item<'a>>,
    /// Targets that are to be checked because of a reference.
    followed: HashSet<(*const Value, Kind, bool)>,
    groups: Vec<Group>,
    found: Vec<(Stage, usize, Fault)>,
    counts: [usize; 2],
    /// The steps left for examples.
    fuel: usize,
    /// Whether any schema is `readOnly` or `writeOnly`.
    has_one_way: bool,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn finish(self) -> Faults {
        let mut faults = Faults::default();
        for (stage, group, fault) in self.found {
            let mut group = group;
            while group != 0 && !self.groups[group].is_dropped {
                group = self.groups[group].parent;
            }
            if group == 0 {
                match stage {
                    Stage::Read | Stage::Link => faults.unreadable.push(fault),
                    Stage::Judge => faults.invalid.push(fault),
                }
            }
        }
        faults
    }

    fn add(&mut self, stage: Stage, group: usize, fault: Fault) {
        if group == 0 {
            let count = &mut self.counts[usize::from(stage == Stage::Judge)];
            *count += 1;
            if *count > MOST_FAULTS {
                return;
            }
        } else if stage == Stage::Read {
            self.groups[group].is_dropped = true;
            return;
        }
        self.found.push((stage, group, fault));
    }

    /// The location of an object, or of one of its fields.
    fn location(&self, at: usize, key: Option<&str>) -> Location {
        let pointer = self.trail.pointer(at);
        Location::OpenApi(match key {
            Some(key) => pointer.key(key),
            None => pointer,
        })
    }

    /// Adds a fault found while reading the document, for the value at `at`.
    fn unreadable(&mut self, item: &Item<'a>, at: usize, text: String, help: &str) {
        let fault = Fault::new(Rule::OpenApiShape, text, self.location(at, None)).help(help);
        self.add(Stage::Read, item.group, fault);
    }

    /// Adds a fault found while following references.
    fn unlinkable(&mut self, item: &Item<'a>, at: usize, rule: Rule, text: String, help: &str) {
        let fault = Fault::new(rule, text, self.location(at, None)).help(help);
        self.add(Stage::Link, item.group, fault);
    }

    /// Adds a fault of an object that could be read, with its remedy.
    fn invalid(
        &mut self,
        item: &Item<'a>,
        key: Option<&str>,
        rule: Rule,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let fault = Fault::new(rule, text, self.location(item.at, key)).help(help);
        self.add(Stage::Judge, item.group, fault);
    }

    fn object(&mut self, item: Item<'a>) {
        let Some(map) = item.value.as_object() else {
            let text = format!(
                "{} is {}, and must be an object",
                item.kind.name(),
                name_of(item.value)
            );
            let help = "write it as an object, or remove it";
            return self.unreadable(&item, item.at, text, help);
        };
        if item.kind.can_be_reference()
            && let Some(reference) = reference_of(item.value)
        {
            return self.reference(&item, map, reference);
        }
        self.fields(&item, map, false);
        if item.is_linked {
            match item.kind {
                Kind::Parameter => self.schema_and_content(&item, map),
                Kind::PathItem => self.path_item_reference(&item, map),
                Kind::Schema => self.mapping(&item),
                _ => {}
            }
        }
        if item.is_judged {
            self.judge(&item, map);
        }
    }

    /// Checks every field; unknown siblings of a reference have no effect.
    fn fields(&mut self, item: &Item<'a>, map: &'a Map, are_siblings: bool) {
        if let Some(kind) = item.kind.entries() {
            for (key, value) in map.iter().filter(|(key, _)| !key.starts_with("x-")) {
                let at = self.trail.key(item.at, key);
                self.entry(item, kind, value, at);
            }
            return;
        }
        for (key, value) in map {
            match item.kind.field(key) {
                Some(field) if !value.is_null() => self.field(item, field, key, value),
                Some(_) => {}
                None if are_siblings || key.starts_with("x-") => {}
                None => {
                    // Gateways read it as the field, but then do not know it.
                    if let Some(field) = item.kind.field_of_other_case(key) {
                        let is_judged = false;
                        self.field(&Item { is_judged, ..*item }, field, key, value);
                    }
                    if item.is_judged && item.kind.is_closed() {
                        self.unknown(item, key);
                    }
                }
            }
        }
    }

    fn unknown(&mut self, item: &Item<'a>, key: &str) {
        let text = format!("{} has no field `{key}`", item.kind.name());
        let help = match key {
            "$ref" => "a reference is a non-empty string".to_owned(),
            key => format!("correct it, remove it, or call it `x-{key}`"),
        };
        self.invalid(item, Some(key), Rule::OpenApiShape, text, help);
    }

    fn field(&mut self, item: &Item<'a>, field: &'static Field, key: &'a str, value: &'a Value) {
        if value.is_null() {
            return;
        }
        let at = self.trail.key(item.at, key);
        // An empty map of these counts as missing, except the document's own.
        let is_map = matches!(field.shape, Shape::Named(_) | Shape::TextsMap);
        let is_map = is_map && item.kind != Kind::Root;
        let is_empty = is_map && value.as_object().is_some_and(Map::is_empty);
        if field.is_new && !self.is_new && item.is_judged && is_set(value) && !is_empty {
            let text = format!(
                "{} can have `{key}` only from OpenAPI 3.1 on",
                item.kind.name()
            );
            let help = "remove it, or write `openapi: \"3.1.0\"`";
            self.invalid(item, Some(key), Rule::OpenApiShape, text, help);
        }
        let inner = Item {
            at,
            is_judged: item.is_judged && field.is_judged,
            is_linked: item.is_linked && field.is_linked,
            is_lenient: field.is_lenient,
            ..*item
        };
        // Without a schema, examples are not checked.
        let inner = match (item.kind, key) {
            (Kind::MediaType | Kind::Parameter, "examples") if !has(item.value, "schema") => Item {
                is_judged: false,
                ..inner
            },
            _ => inner,
        };
        match (field.shape, value) {
            (Shape::FlagOr(_), Value::Bool(_)) => {}
            (Shape::One(kind) | Shape::FlagOr(kind), value) => {
                self.open.push_back(Item {
                    value,
                    kind,
                    ..inner
                });
            }
            (Shape::Many(kind), Value::Array(items)) => {
                for (number, value) in items.iter().enumerate() {
                    let at = self.trail.item(at, number);
                    self.entry(&inner, kind, value, at);
                }
            }
            (Shape::Named(kind), Value::Object(entries)) => {
                for (key, value) in entries {
                    let at = self.trail.key(at, key);
                    self.entry(&inner, kind, value, at);
                }
            }
            (shape, value) if shape.fits(value) => {}
            (shape, value) => {
                let text = format!(
                    "`{key}` of {} is {}, and must be {}",
                    item.kind.name(),
                    name_of(value),
                    shape.name()
                );
                let help = shape.help(value);
                self.unreadable(&inner, at, text, help);
            }
        }
    }

    /// Checks an entry of a list or map, for which `null` may be a fault.
    fn entry(&mut self, holder: &Item<'a>, kind: Kind, value: &'a Value, at: usize) {
        let item = Item {
            value,
            kind,
            at,
            ..*holder
        };
        if !value.is_null() {
            return self.open.push_back(item);
        }
        let text = format!("{} is null, and must be an object", kind.name());
        let help = "write it as an object, or remove it";
        match kind {
            // Gateways ignore a null here.
            Kind::MediaType | Kind::Encoding => {}
            Kind::PathItem if holder.kind != Kind::Root => {}
            Kind::Server | Kind::Tag if !item.is_judged => {}
            Kind::ServerVariable => {
                if item.is_judged {
                    self.invalid(&item, None, Rule::OpenApiShape, text, help);
                }
            }
            Kind::Example | Kind::PathItem => {
                if item.is_judged {
                    self.invalid(&item, None, Rule::OpenApiShape, text, help);
                }
            }
            _ if !item.is_linked => {
                if item.is_judged {
                    self.invalid(&item, None, Rule::OpenApiShape, text, help);
                }
            }
            _ => self.unlinkable(&item, at, Rule::OpenApiShape, text, help),
        }
    }

    /// Checks everything besides types.
    fn judge(&mut self, item: &Item<'a>, map: &'a Map) {
        match item.kind {
            Kind::Root => self.root(item, map),
            Kind::Info => self.info(item, map),
            Kind::License => self.license(item, map),
            Kind::Server => self.server(item, map),
            Kind::ServerVariable => self.server_variable(item, map),
            Kind::ExternalDocs => self.external_docs(item, map),
            Kind::Components => self.components(item, map),
            Kind::Paths => self.paths(item, map),
            Kind::PathItem => self.twins(item, map),
            Kind::Operation => self.operation(item, map),
            Kind::Responses => self.responses(item, map),
            Kind::Response => self.response(item, map),
            Kind::RequestBody => self.request_body(item, map),
            Kind::Parameter => self.parameter(item, map),
            Kind::Header => self.header(item, map),
            Kind::MediaType => self.media_type(item, map),
            Kind::Example => self.example(item, map),
            Kind::Link => self.link(item, map),
            Kind::Schema => self.schema(item),
            Kind::SecurityScheme => self.security_scheme(item, map),
            Kind::Flow => self.flow(item, map),
            _ => {}
        }
    }
}

/// The string of a field, empty if missing.
fn text<'a>(map: &'a Map, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The boolean of a field, if present.
fn flag(map: &Map, key: &str) -> Option<bool> {
    map.get(key).and_then(Value::as_bool)
}

/// The value of a field, if present.
fn some<'a>(map: &'a Map, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|it| !it.is_null())
}

fn has(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|it| !it.is_null())
}

/// Whether it has content: empty values count as missing.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// The description of a value in findings.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        // The parser keeps a number that JSON cannot represent as its text.
        Value::String(text) if is_too_large(text) => "a number that is too large",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_too_large(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && text.parse::<f64>().is_ok_and(f64::is_infinite)
}

#[cfg(test)]
mod tests;
