//! Schemas: types, items, patterns and compatible flags; and a schema merged with the siblings of the references
//! that led to it.

use super::references::{Targets, reference_of};
use super::{Fault, Item, Stage, Walk, patterns};
use crate::finding::Rule;
use crate::json::{Map, Value};

impl<'a> Walk<'a> {
    /// A schema, or a reference together with its siblings.
    pub(super) fn schema(&mut self, item: &Item<'a>) {
        let Some(schema) = MergedSchema::of(&mut self.targets, item.value, self.is_new) else {
            return;
        };
        let rule = Rule::OpenApiShape;
        self.has_one_way |= schema.is_true("readOnly") || schema.is_true("writeOnly");
        if schema.is_true("readOnly") && schema.is_true("writeOnly") {
            let told = "a schema is both `readOnly` and `writeOnly`";
            self.invalid(item, Some("readOnly"), rule, told, "keep one of them");
        }
        for kind in schema.types().unwrap_or_default() {
            match kind {
                "boolean" | "number" | "integer" | "object" => {}
                "string" => self.pattern(item, schema.text("pattern")),
                "array" => {
                    let has_items = schema.get("items").is_some();
                    if !has_items && !self.is_new && schema.list("prefixItems").is_empty() {
                        let told = "an array has no `items`";
                        let help = "write `items`; `items: {}` allows any";
                        self.invalid(item, None, Rule::OpenApiRequired, told, help);
                    }
                }
                "null" if self.is_new => {}
                "null" => {
                    let told = "`null` is a type only from OpenAPI 3.1 on";
                    let help = "write `nullable: true`, or `openapi: \"3.1.0\"`";
                    self.invalid(item, Some("type"), rule, told, help);
                }
                kind => {
                    let told = format!("`{kind}` is not a type");
                    let help = match kind {
                        "file" => "write `type: string` with `format: binary`",
                        "any" => "remove `type`",
                        "date" | "date-time" | "uuid" => {
                            "write `type: string`, with it as the `format`"
                        }
                        "float" | "double" => "write `type: number`, with it as the `format`",
                        "int" | "int32" | "int64" | "long" => "write `type: integer`",
                        _ => "write `array`, `boolean`, `integer`, `number`, `object` or `string`",
                    };
                    self.invalid(item, Some("type"), rule, told, help);
                }
            }
        }
        self.schema_examples(item, &schema);
    }

    fn pattern(&mut self, item: &Item<'a>, pattern: &str) {
        if let Some(fault) = patterns::fault(pattern) {
            let told = format!("the pattern {pattern:?} cannot be compiled: {fault}");
            let help = "rewrite it, or remove it and describe the format";
            self.invalid(item, Some("pattern"), Rule::OpenApiPattern, told, help);
        }
    }

    /// File names in a discriminator are references that gateways would have to follow.
    pub(super) fn mapping(&mut self, item: &Item<'a>) {
        let mapping = item
            .value
            .get("discriminator")
            .and_then(|it| it.get("mapping"));
        let mapping = mapping.and_then(Value::as_object);
        for (name, target) in mapping.into_iter().flatten() {
            let Some(target) = target.as_str() else {
                continue;
            };
            if target.contains('/') && !target.starts_with('#') {
                let steps = ["discriminator", "mapping", name];
                let at = steps
                    .iter()
                    .fold(item.at, |at, key| self.trail.key(at, key));
                let text = format!("disallowed external reference {target:?}");
                let location = self.location(at, None);
                let fault = Fault::new(Rule::OpenApiExternalReference, text, location);
                self.add(Stage::Link, item.group, fault);
            }
        }
    }
}

// === merged schemas ===

/// The fields of a schema: the outermost reference's siblings first, its target last.
#[derive(Clone, Debug)]
pub(super) struct MergedSchema<'a>(Vec<&'a Map>);

/// Longer chains of references are not followed.
const MOST_MERGED: usize = 16;

// === impl MergedSchema ===

impl<'a> MergedSchema<'a> {
    /// `None` if a reference has no target, or is part of a cycle.
    pub(super) fn of(
        targets: &mut Targets<'a>,
        schema: &'a Value,
        keeps_siblings: bool,
    ) -> Option<Self> {
        let mut merged = Vec::new();
        let mut schema = schema;
        for _ in 0..MOST_MERGED {
            let map = schema.as_object()?;
            let Some(reference) = reference_of(schema) else {
                merged.push(map);
                return Some(Self(merged));
            };
            if keeps_siblings && map.len() > 1 {
                merged.push(map);
            }
            schema = targets.of(reference)?.value;
        }
        None
    }

    /// The first value of a field, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        let found = self.0.iter().find_map(|layer| layer.get(key));
        found.filter(|it| !it.is_null())
    }

    pub(super) fn text(&self, key: &str) -> &'a str {
        self.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        self.get(key) == Some(&Value::Bool(true))
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    pub(super) fn list(&self, key: &str) -> &'a [Value] {
        let list = self.get(key).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    pub(super) fn map(&self, key: &str) -> Option<&'a Map> {
        self.get(key).and_then(Value::as_object)
    }

    /// The allowed types; `None` if there is no limit.
    pub(super) fn types(&self) -> Option<Vec<&'a str>> {
        Some(match self.get("type")? {
            Value::String(one) => vec![one],
            Value::Array(several) => {
                let texts = several.iter();
                texts.map(|it| it.as_str().unwrap_or_default()).collect()
            }
            _ => return None,
        })
    }

    /// The values of all fields that schemas define.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.0.iter().flat_map(|layer| layer.iter())
    }
}
