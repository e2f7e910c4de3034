//! A schema together with the siblings of the references that led to it, as in OpenAPI 3.1.

use crate::json::{Map, Value};

use super::targets::{Targets, reference_of};

/// The fields of a schema: the outermost reference's siblings first, its target last.
#[derive(Clone, Debug)]
pub(super) struct Layers<'a>(Vec<&'a Map>);

/// Longer chains of references are not followed.
const MOST_LAYERS: usize = 16;

// === impl Layers ===

impl<'a> Layers<'a> {
    /// `None` if a reference has no target, or is part of a cycle.
    pub(super) fn of(
        targets: &mut Targets<'a>,
        schema: &'a Value,
        keeps_siblings: bool,
    ) -> Option<Self> {
        let mut layers = Vec::new();
        let mut schema = schema;
        for _ in 0..MOST_LAYERS {
            let map = schema.as_object()?;
            let Some(reference) = reference_of(schema) else {
                layers.push(map);
                return Some(Self(layers));
            };
            if keeps_siblings && map.len() > 1 {
                layers.push(map);
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
