//! Checks examples and defaults against their schemas.

use crate::json::{Map, Value};

use super::fits::{Judgement, Verdict};
use super::layers::Layers;
use super::{Item, Walk, some};
use crate::finding::Rule;

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
            return self.invalid(item, None, Rule::OpenApiExample, told, "leave one of them");
        }
        let schema = some(map, "schema");
        let schema = schema.and_then(|it| Layers::of(&mut self.targets, it, self.is_new));
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

    pub(super) fn schema_examples(&mut self, item: &Item<'a>, schema: &Layers<'a>) {
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

    fn check_value(&mut self, item: &Item<'a>, key: &str, schema: &Layers<'a>, value: &Value) {
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
            let told = format!("`{key}` does not fit its schema{place}: {why}");
            let help = "correct it or its schema, or leave it out";
            self.invalid(item, Some(key), Rule::OpenApiExample, told, help);
        }
    }
}
