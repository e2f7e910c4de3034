//! Checks examples of requests and responses in OpenAPI 3.1 documents: a request must not contain
//! `readOnly` properties, a response no `writeOnly` ones. Gateways check this only if they validate
//! references as in 3.0 (`fits.rs`), and then in referenced schemas, too.

use std::collections::HashSet;

use crate::json::{Map, Value};

use super::examples::FUEL_OF_ONE;
use super::fits::{Judgement, Verdict};
use super::kinds::{Kind, Shape};
use super::layers::Layers;
use super::targets::reference_of;
use super::{Fault, Stage, Walk};
use crate::finding::Rule;
use crate::location::{Location, Pointer};

/// The direction in which a value is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Request,
    Answer,
}

const METHODS: [&str; 8] = [
    "delete", "get", "head", "options", "patch", "post", "put", "trace",
];

/// A schema still to check, and its JSON pointer.
type Open<'a> = (&'a Value, Pointer, Way);

// === impl Way ===

impl Way {
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
        for (media, at, way) in media_types(root) {
            let Some(schema) = media.get("schema").filter(|it| it.is_object()) else {
                continue;
            };
            if let Some(layers) = Layers::of(&mut self.targets, schema, true) {
                if let Some(value) = media.get("example").filter(|it| !it.is_null()) {
                    self.one_way_value(&layers, value, &at.key("example"), way);
                }
                let examples = media.get("examples").and_then(Value::as_object);
                for (name, example) in examples.into_iter().flatten() {
                    let example = self.targets.resolved(example);
                    if let Some(value) = example.and_then(|it| it.get("value")) {
                        let at = at.key("examples").key(name);
                        self.one_way_value(&layers, value, &at, way);
                    }
                }
            }
            open.push((schema, at.key("schema"), way));
        }
        let mut seen = HashSet::new();
        while let Some((schema, at, way)) = open.pop() {
            if self.fuel == 0 || !seen.insert((std::ptr::from_ref(schema), way)) {
                continue;
            }
            self.fuel -= 1;
            if let Some(reference) = reference_of(schema) {
                if let Some(target) = self.targets.of(reference) {
                    open.push((target.value, target.pointer.clone(), way));
                }
            } else if let Some(map) = schema.as_object() {
                self.one_way_schema(schema, map, &at, way);
                inner_schemas(map, &at, way, &mut open);
            }
        }
    }

    fn one_way_schema(&mut self, schema: &'a Value, map: &'a Map, at: &Pointer, way: Way) {
        for key in ["default", "example"] {
            if let Some(value) = map.get(key).filter(|it| !it.is_null())
                && let Some(layers) = Layers::of(&mut self.targets, schema, true)
            {
                self.one_way_value(&layers, value, &at.key(key), way);
            }
        }
    }

    /// Reports a value that fits except for its direction.
    fn one_way_value(&mut self, schema: &Layers<'a>, value: &Value, at: &Pointer, way: Way) {
        let mut judged = |way| {
            let given = self.fuel.min(FUEL_OF_ONE);
            let mut fuel = given;
            let judgement = Judgement::new(&mut self.targets, &mut fuel, true, schema);
            let verdict = judgement.map(|it| it.going(way).of(schema, value));
            self.fuel -= given - fuel;
            verdict
        };
        if matches!(judged(None), None | Some(Verdict::No { .. })) {
            return;
        }
        if let Some(Verdict::No { at: inside, why }) = judged(Some(way)) {
            let place = match inside.as_str() {
                "" => String::new(),
                inside => format!(" at `{inside}`"),
            };
            let text = format!(
                "the value is part of {}, and there{place} {why}",
                way.name()
            );
            let location = Location::OpenApi(at.clone());
            let fault = Fault::new(Rule::OpenApiExample, text, location)
                .help("correct it or its schema, or leave it out");
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
                    holders.push((body, at.key("requestBody"), Way::Request));
                }
                let answers = entries(operation.get("responses"), at.key("responses"));
                holders.extend(answers.map(|(it, at)| (it, at, Way::Answer)));
            }
        }
    }
    let components = root.get("components");
    for (key, way) in [("requestBodies", Way::Request), ("responses", Way::Answer)] {
        let named = components.and_then(|it| it.get(key));
        let named = entries(named, Pointer::from("/components").key(key));
        holders.extend(named.map(|(it, at)| (it, at, way)));
    }
    let media = holders.into_iter().flat_map(|(it, at, way)| {
        let content = entries(it.get("content"), at.key("content"));
        content.map(move |(it, at)| (it, at, way))
    });
    media.collect()
}

fn entries(value: Option<&Value>, at: Pointer) -> impl Iterator<Item = (&Value, Pointer)> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.map(move |(name, it)| (it, at.key(name)))
}

/// The direct subschemas of a schema.
fn inner_schemas<'a>(schema: &'a Map, at: &Pointer, way: Way, open: &mut Vec<Open<'a>>) {
    for (key, value) in schema {
        let shape = Kind::Schema.field(key).map(|it| it.shape);
        match (shape, value) {
            (Some(Shape::One(Kind::Schema) | Shape::FlagOr(Kind::Schema)), value) => {
                open.push((value, at.key(key), way));
            }
            (Some(Shape::Many(Kind::Schema)), Value::Array(items)) => {
                let at = at.key(key);
                let items = items.iter().enumerate();
                open.extend(items.map(|(number, it)| (it, at.item(number), way)));
            }
            (Some(Shape::Named(Kind::Schema)), Value::Object(entries)) => {
                let at = at.key(key);
                open.extend(entries.iter().map(|(name, it)| (it, at.key(name), way)));
            }
            _ => {}
        }
    }
}
