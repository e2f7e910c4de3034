//! Checks examples and defaults against their schemas.
//!
//! In documents of OpenAPI 3.1, also the direction of values: a request must not contain `readOnly` properties, a
//! response no `writeOnly` ones. Gateways check this only if they validate references as in 3.0 (`values.rs`), and
//! then in referenced schemas, too.

use std::collections::HashSet;

use super::kinds::{Kind, Shape};
use super::references::reference_of;
use super::schemas::MergedSchema;
use super::values::{Judgement, Verdict};
use super::{Fault, Item, Stage, Walk, some};
use crate::finding::Rule;
use crate::json::{Map, Value};
use crate::location::{Location, Pointer};

/// The step limit for all examples of a document, and for each of them: schemas may refer to one another
/// without limit. Examples that take longer are not reported.
pub(super) const FUEL: usize = 1_000_000;
pub(super) const FUEL_OF_ONE: usize = 20_000;

impl<'a> Walk<'a> {
    pub(super) fn media_type(&mut self, item: &Item<'a>, map: &'a Map) {
        if some(map, "schema").is_some() {
            self.told_examples(item, map);
        }
    }

    /// The examples of a media type or parameter that has a schema.
    pub(super) fn told_examples(&mut self, item: &Item<'a>, map: &'a Map) {
        let (one, several) = (some(map, "example"), some(map, "examples"));
        if one.is_some() && map.contains_key("examples") {
            let told = format!("{} has both `example` and `examples`", item.kind.name());
            return self.invalid(item, None, Rule::OpenApiExample, told, "keep one of them");
        }
        let schema = some(map, "schema");
        let schema = schema.and_then(|it| MergedSchema::of(&mut self.targets, it, self.is_new));
        let Some(schema) = schema else { return };
        if let Some(value) = one {
            self.check_value(item, "example", &schema, value);
        }
        let several = several.and_then(Value::as_object);
        let at = self.trail.key(item.at, "examples");
        let item = Item { at, ..*item };
        for (name, example) in several.into_iter().flatten() {
            let Some(example) = self.targets.resolved(example).and_then(Value::as_object) else {
                continue;
            };
            match some(example, "value") {
                Some(value) => self.check_value(&item, name, &schema, value),
                // An external value is checked as if it were null.
                None if some(example, "externalValue").is_some() => {
                    self.check_value(&item, name, &schema, &Value::Null);
                }
                None => {}
            }
        }
    }

    pub(super) fn schema_examples(&mut self, item: &Item<'a>, schema: &MergedSchema<'a>) {
        if let Some(value) = schema.get("default") {
            self.check_value(item, "default", schema, value);
        }
        match schema.get("example") {
            // A date that YAML read as a time is still a date.
            Some(Value::String(text)) if schema.text("format") == "date" => {
                let date = text.strip_suffix("T00:00:00Z").unwrap_or(text).to_owned();
                self.check_value(item, "example", schema, &Value::String(date));
            }
            Some(value) => self.check_value(item, "example", schema, value),
            None => {}
        }
    }

    fn check_value(
        &mut self,
        item: &Item<'a>,
        key: &str,
        schema: &MergedSchema<'a>,
        value: &Value,
    ) {
        let given = self.fuel.min(FUEL_OF_ONE);
        let mut fuel = given;
        let judgement = Judgement::new(&mut self.targets, &mut fuel, self.is_new, schema);
        let verdict = judgement.map(|it| it.of(schema, value));
        self.fuel -= given - fuel;
        if let Some(Verdict::No { at, why }) = verdict {
            let place = match at.as_str() {
                "" => String::new(),
                at => format!(" at `{at}`"),
            };
            let told = format!("`{key}` does not match its schema{place}: {why}");
            let help = "correct it or its schema, or remove it";
            self.invalid(item, Some(key), Rule::OpenApiExample, told, help);
        }
    }
}

// === values of one direction ===

/// The direction in which a value is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Request,
    Answer,
}

const METHODS: [&str; 8] = [
    "delete", "get", "head", "options", "patch", "post", "put", "trace",
];

/// A schema still to check, and its JSON pointer.
type Open<'a> = (&'a Value, Pointer, Direction);

// === impl Direction ===

impl Direction {
    /// The field of a schema that forbids a property in this direction.
    pub(super) fn forbidden(self) -> &'static str {
        match self {
            Self::Request => "readOnly",
            Self::Answer => "writeOnly",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Request => "a request",
            Self::Answer => "an answer",
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) fn one_way_examples(&mut self, root: &'a Value) {
        if !self.is_new || !self.has_one_way {
            return;
        }
        let mut open = Vec::new();
        for (media, at, direction) in media_types(root) {
            let Some(schema) = media.get("schema").filter(|it| it.is_object()) else {
                continue;
            };
            if let Some(merged) = MergedSchema::of(&mut self.targets, schema, true) {
                if let Some(value) = media.get("example").filter(|it| !it.is_null()) {
                    self.one_way_value(&merged, value, &at.key("example"), direction);
                }
                let examples = media.get("examples").and_then(Value::as_object);
                for (name, example) in examples.into_iter().flatten() {
                    let example = self.targets.resolved(example);
                    if let Some(value) = example.and_then(|it| it.get("value")) {
                        let at = at.key("examples").key(name);
                        self.one_way_value(&merged, value, &at, direction);
                    }
                }
            }
            open.push((schema, at.key("schema"), direction));
        }
        let mut seen = HashSet::new();
        while let Some((schema, at, direction)) = open.pop() {
            if self.fuel == 0 || !seen.insert((std::ptr::from_ref(schema), direction)) {
                continue;
            }
            self.fuel -= 1;
            if let Some(reference) = reference_of(schema) {
                if let Some(target) = self.targets.of(reference) {
                    open.push((target.value, target.pointer.clone(), direction));
                }
            } else if let Some(map) = schema.as_object() {
                self.one_way_schema(schema, map, &at, direction);
                inner_schemas(map, &at, direction, &mut open);
            }
        }
    }

    fn one_way_schema(
        &mut self,
        schema: &'a Value,
        map: &'a Map,
        at: &Pointer,
        direction: Direction,
    ) {
        for key in ["default", "example"] {
            if let Some(value) = map.get(key).filter(|it| !it.is_null())
                && let Some(merged) = MergedSchema::of(&mut self.targets, schema, true)
            {
                self.one_way_value(&merged, value, &at.key(key), direction);
            }
        }
    }

    /// Reports a value that fits except for its direction.
    fn one_way_value(
        &mut self,
        schema: &MergedSchema<'a>,
        value: &Value,
        at: &Pointer,
        direction: Direction,
    ) {
        let mut judged = |direction| {
            let given = self.fuel.min(FUEL_OF_ONE);
            let mut fuel = given;
            let judgement = Judgement::new(&mut self.targets, &mut fuel, true, schema);
            let verdict = judgement.map(|it| it.going(direction).of(schema, value));
            self.fuel -= given - fuel;
            verdict
        };
        if matches!(judged(None), None | Some(Verdict::No { .. })) {
            return;
        }
        if let Some(Verdict::No { at: inside, why }) = judged(Some(direction)) {
            let place = match inside.as_str() {
                "" => String::new(),
                inside => format!(" at `{inside}`"),
            };
            let text = format!(
                "the value is part of {}, where{place} {why}",
                direction.name()
            );
            let location = Location::OpenApi(at.clone());
            let fault = Fault::new(Rule::OpenApiExample, text, location)
                .help("correct it or its schema, or remove it");
            self.add(Stage::Judge, 0, fault);
        }
    }
}

/// Every inline media type of a body or a response, with its JSON pointer.
fn media_types(root: &Value) -> Vec<Open<'_>> {
    let mut holders = Vec::new();
    for place in ["paths", "webhooks"] {
        for (item, at) in entries(root.get(place), Pointer::default().key(place)) {
            for method in METHODS {
                let Some(operation) = item.get(method) else {
                    continue;
                };
                let at = at.key(method);
                if let Some(body) = operation.get("requestBody") {
                    holders.push((body, at.key("requestBody"), Direction::Request));
                }
                let answers = entries(operation.get("responses"), at.key("responses"));
                holders.extend(answers.map(|(it, at)| (it, at, Direction::Answer)));
            }
        }
    }
    let components = root.get("components");
    for (key, direction) in [
        ("requestBodies", Direction::Request),
        ("responses", Direction::Answer),
    ] {
        let named = components.and_then(|it| it.get(key));
        let named = entries(named, Pointer::from("/components").key(key));
        holders.extend(named.map(|(it, at)| (it, at, direction)));
    }
    let media = holders.into_iter().flat_map(|(it, at, direction)| {
        let content = entries(it.get("content"), at.key("content"));
        content.map(move |(it, at)| (it, at, direction))
    });
    media.collect()
}

fn entries(value: Option<&Value>, at: Pointer) -> impl Iterator<Item = (&Value, Pointer)> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.map(move |(name, it)| (it, at.key(name)))
}

/// The direct subschemas of a schema.
fn inner_schemas<'a>(
    schema: &'a Map,
    at: &Pointer,
    direction: Direction,
    open: &mut Vec<Open<'a>>,
) {
    for (key, value) in schema {
        let shape = Kind::Schema.field(key).map(|it| it.shape);
        match (shape, value) {
            (Some(Shape::One(Kind::Schema) | Shape::FlagOr(Kind::Schema)), value) => {
                open.push((value, at.key(key), direction));
            }
            (Some(Shape::Many(Kind::Schema)), Value::Array(items)) => {
                let at = at.key(key);
                let items = items.iter().enumerate();
                open.extend(items.map(|(number, it)| (it, at.item(number), direction)));
            }
            (Some(Shape::Named(Kind::Schema)), Value::Object(entries)) => {
                let at = at.key(key);
                open.extend(
                    entries
                        .iter()
                        .map(|(name, it)| (it, at.key(name), direction)),
                );
            }
            _ => {}
        }
    }
}
