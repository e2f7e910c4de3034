//! Checks whether a value fits a schema; reports only what is certain.

use std::collections::HashSet;

use crate::json::{Map, Value};

use super::examples::Direction;
use super::kinds::{Kind, Shape};
use super::references::{Targets, reference_of};
use super::schemas::MergedSchema;
use super::{formats, name_of};

/// Whether a value fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    /// With the JSON pointer into the value.
    No {
        at: String,
        why: String,
    },
    Unsure,
}

/// How gateways validate a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// By the rules of OpenAPI 3.0.
    Old,
    /// The same in a document of 3.1 or later: `readOnly` depends on what was validated before.
    OldInNew,
    /// By the rules of JSON Schema.
    New,
}

/// Deeper schemas are not checked; the recursion is as deep.
const MAX_DEPTH: usize = 64;

pub(super) struct Judgement<'w, 'a> {
    targets: &'w mut Targets<'a>,
    fuel: &'w mut usize,
    is_new: bool,
    manner: Manner,
    /// `None` if unknown.
    direction: Option<Direction>,
}

// === impl Verdict ===

impl Verdict {
    fn no(why: impl Into<String>) -> Self {
        let (at, why) = (String::new(), why.into());
        Self::No { at, why }
    }

    /// The same verdict for the parent of the value.
    fn inside(self, step: &str) -> Self {
        match self {
            Self::No { at, why } => {
                let at = format!("/{step}{at}");
                Self::No { at, why }
            }
            other => other,
        }
    }
}

/// The result so far: a refusal ends the check, doubts accumulate.
struct Doubt(bool);

impl Doubt {
    fn add(&mut self, verdict: Verdict) -> Result<(), Verdict> {
        match verdict {
            Verdict::Yes => Ok(()),
            Verdict::Unsure => {
                self.0 = true;
                Ok(())
            }
            no @ Verdict::No { .. } => Err(no),
        }
    }
}

// === impl Judgement ===

impl<'w, 'a> Judgement<'w, 'a> {
    /// `None` if the schema contains something that cannot be checked here.
    pub(super) fn new(
        targets: &'w mut Targets<'a>,
        fuel: &'w mut usize,
        is_new: bool,
        schema: &MergedSchema<'a>,
    ) -> Option<Self> {
        let manner = match is_new {
            false => Manner::Old,
            true if is_judged_as_old(schema, fuel)? => Manner::OldInNew,
            true => Manner::New,
        };
        Some(Self {
            targets,
            fuel,
            is_new,
            manner,
            direction: None,
        })
    }

    /// The same check for a value that is sent this direction.
    pub(super) fn going(self, direction: Option<Direction>) -> Self {
        Self { direction, ..self }
    }

    pub(super) fn of(mut self, schema: &MergedSchema<'a>, value: &Value) -> Verdict {
        self.judge(schema, value, 0)
    }

    fn judge(&mut self, schema: &MergedSchema<'a>, value: &Value, depth: usize) -> Verdict {
        if depth > MAX_DEPTH || *self.fuel == 0 {
            return Verdict::Unsure;
        }
        *self.fuel -= 1;
        let mut doubt = Doubt(false);
        match self.all(schema, value, depth, &mut doubt) {
            Err(verdict) => verdict,
            Ok(()) if doubt.0 => Verdict::Unsure,
            Ok(()) => Verdict::Yes,
        }
    }

    /// Checks another schema, on the same value or on a part of it.
    fn inner(&mut self, schema: &'a Value, value: &Value, depth: usize) -> Verdict {
        match MergedSchema::of(self.targets, schema, self.is_new) {
            Some(schema) => self.judge(&schema, value, depth + 1),
            None => Verdict::Unsure,
        }
    }

    fn all(
        &mut self,
        schema: &MergedSchema<'a>,
        value: &Value,
        depth: usize,
        doubt: &mut Doubt,
    ) -> Result<(), Verdict> {
        let types = schema.types();
        if self.manner == Manner::New {
            let unknown = [
                "$dynamicRef",
                "contains",
                "dependentRequired",
                "dependentSchemas",
                "else",
                "if",
                "patternProperties",
                "prefixItems",
                "propertyNames",
                "then",
                "unevaluatedItems",
                "unevaluatedProperties",
            ];
            doubt.0 |= unknown.iter().any(|key| schema.get(key).is_some());
        } else if value.is_null() {
            let has_null = types.as_ref().is_some_and(|it| it.contains(&"null"));
            if schema.is_true("nullable") || has_null {
                return Ok(());
            }
        }
        let has_choices = self.choices(schema, value, depth, doubt)?;
        if self.manner != Manner::New && value.is_null() && has_choices {
            return Ok(());
        }
        Self::listed(schema, value)?;
        if self.manner != Manner::New && value.is_null() {
            return Err(Verdict::no("it is null, and not `nullable`"));
        }
        has_type(types.as_deref(), value)?;
        match value {
            Value::Number(number) => {
                let is_whole =
                    types.is_some_and(|it| it.contains(&"integer") && !it.contains(&"number"));
                let number = number.as_f64().unwrap_or(f64::NAN);
                formats::number(
                    schema,
                    number,
                    is_whole,
                    self.manner == Manner::New,
                    &mut doubt.0,
                )
                .map_err(Verdict::no)
            }
            Value::String(text) => {
                let has_formats = self.manner != Manner::New;
                doubt.0 |= !schema.text("pattern").is_empty();
                formats::text(schema, text, has_formats).map_err(Verdict::no)
            }
            Value::Array(items) => self.items(schema, items, depth, doubt),
            Value::Object(entries) => self.entries(schema, entries, depth, doubt),
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    /// `not`, `oneOf`, `anyOf` and `allOf`; returns whether one of the latter three is present.
    fn choices(
        &mut self,
        schema: &MergedSchema<'a>,
        value: &Value,
        depth: usize,
        doubt: &mut Doubt,
    ) -> Result<bool, Verdict> {
        let is_old = self.manner != Manner::New;
        let (one, any, all) = (
            schema.list("oneOf"),
            schema.list("anyOf"),
            schema.list("allOf"),
        );
        // A subschema that allows anything counts as missing.
        let not = schema.get("not");
        let limits =
            |it: &MergedSchema<'_>| it.get("type").is_some() || !it.list("required").is_empty();
        let has_limits = !is_old
            || limits(schema)
            || one.iter().chain(any).chain(all).chain(not).any(|it| {
                let inner = MergedSchema::of(self.targets, it, self.is_new);
                inner.is_some_and(|it| limits(&it))
            });
        if let Some(not) = not {
            match self.inner(not, value, depth) {
                Verdict::Yes if !has_limits => doubt.0 = true,
                Verdict::Yes => return Err(Verdict::no("it matches the schema under `not`")),
                Verdict::Unsure => doubt.0 = true,
                Verdict::No { .. } => {}
            }
        }
        let (one, any, all) = (
            schema.list("oneOf"),
            schema.list("anyOf"),
            schema.list("allOf"),
        );
        for (key, list) in [("oneOf", one), ("anyOf", any)] {
            if list.is_empty() {
                continue;
            }
            if !has_limits {
                doubt.0 = true;
                continue;
            }
            let chosen = match is_old {
                true => discriminated(schema, value)?,
                false => None,
            };
            let (mut fitting, mut unsure) = (0, false);
            for inner in list {
                if chosen.is_some() && chosen != reference_of(inner) {
                    continue;
                }
                match self.inner(inner, value, depth) {
                    Verdict::Yes => fitting += 1,
                    Verdict::Unsure => unsure = true,
                    Verdict::No { .. } => {}
                }
            }
            match (key, fitting) {
                ("anyOf", 1..) => {}
                ("oneOf", 2..) => {
                    return Err(Verdict::no("it matches more than one schema of `oneOf`"));
                }
                _ if unsure => doubt.0 = true,
                ("oneOf", 1) => {}
                (key, _) => return Err(Verdict::no(format!("it matches no schema of `{key}`"))),
            }
        }
        for inner in all {
            let verdict = self.inner(inner, value, depth);
            doubt.add(verdict)?;
        }
        Ok(!(one.is_empty() && any.is_empty() && all.is_empty()))
    }

    /// `enum` and `const`.
    fn listed(schema: &MergedSchema<'a>, value: &Value) -> Result<(), Verdict> {
        let values = schema.list("enum");
        if !values.is_empty() && !values.iter().any(|it| formats::are_equal(it, value)) {
            return Err(Verdict::no("it is not one of the values of `enum`"));
        }
        match schema.get("const") {
            Some(only) if !formats::are_equal(only, value) => {
                Err(Verdict::no("it is not the value of `const`"))
            }
            _ => Ok(()),
        }
    }

    fn items(
        &mut self,
        schema: &MergedSchema<'a>,
        items: &[Value],
        depth: usize,
        doubt: &mut Doubt,
    ) -> Result<(), Verdict> {
        formats::size(schema, "Items", items.len()).map_err(Verdict::no)?;
        if schema.is_true("uniqueItems") {
            let mut seen = HashSet::new();
            if !items.iter().all(|it| seen.insert(formats::canonical(it))) {
                return Err(Verdict::no("an item appears twice"));
            }
        }
        if let Some(inner) = schema.get("items") {
            for (number, item) in items.iter().enumerate() {
                let verdict = self.inner(inner, item, depth);
                doubt.add(verdict.inside(&number.to_string()))?;
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        schema: &MergedSchema<'a>,
        entries: &Map,
        depth: usize,
        doubt: &mut Doubt,
    ) -> Result<(), Verdict> {
        formats::size(schema, "Properties", entries.len()).map_err(Verdict::no)?;
        let properties = schema.map("properties");
        let more = schema.get("additionalProperties");
        let has_patterns = self.manner == Manner::New && schema.get("patternProperties").is_some();
        for (name, value) in entries {
            if let Some(property) = properties.and_then(|it| it.get(name)) {
                match self.sent_in(property) {
                    SentIn::Any => {}
                    SentIn::Unsure | SentIn::One(None) => doubt.0 = true,
                    SentIn::One(Some(false)) => {}
                    SentIn::One(Some(true)) => {
                        let field = self.direction.map_or("", Direction::forbidden);
                        return Err(Verdict::no(format!("`{name}` is `{field}`")));
                    }
                }
                let verdict = self.inner(property, value, depth);
                doubt.add(verdict.inside(name))?;
                continue;
            }
            match more {
                Some(Value::Bool(false)) if !has_patterns => {
                    return Err(Verdict::no(format!("it has no property `{name}`")));
                }
                Some(inner @ Value::Object(_)) if !has_patterns => {
                    let verdict = self.inner(inner, value, depth);
                    doubt.add(verdict.inside(name))?;
                }
                _ => {}
            }
        }
        let required = schema.list("required").iter();
        for name in required.map(|it| it.as_str().unwrap_or_default()) {
            if entries.contains_key(name) {
                continue;
            }
            let missing = || Verdict::no(format!("the property `{name}` is missing"));
            match properties.and_then(|it| it.get(name)) {
                Some(property) => match self.sent_in(property) {
                    SentIn::Unsure | SentIn::One(None) => doubt.0 = true,
                    SentIn::One(Some(true)) => {}
                    SentIn::Any | SentIn::One(Some(false)) => return Err(missing()),
                },
                None => return Err(missing()),
            }
        }
        Ok(())
    }

    /// Whether a property is allowed, or missing, in one direction only.
    fn sent_in(&mut self, property: &'a Value) -> SentIn {
        if self.manner != Manner::OldInNew {
            return SentIn::Any;
        }
        let Some(property) = MergedSchema::of(self.targets, property, self.is_new) else {
            return SentIn::Unsure;
        };
        match property.is_true("readOnly") || property.is_true("writeOnly") {
            true => SentIn::One(self.direction.map(|it| property.is_true(it.forbidden()))),
            false => SentIn::Any,
        }
    }
}

/// The directions in which a property may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SentIn {
    Any,
    /// With whether the value is sent in the other direction, if its direction is known.
    One(Option<bool>),
    Unsure,
}

/// The reference that the discriminator selects, if any.
fn discriminated<'a>(schema: &MergedSchema<'a>, value: &Value) -> Result<Option<&'a str>, Verdict> {
    let (Some(discriminator), Some(value)) = (schema.map("discriminator"), value.as_object())
    else {
        return Ok(None);
    };
    let property = super::text(discriminator, "propertyName");
    let chosen = value.get(property).and_then(Value::as_str);
    let Some(chosen) = chosen else {
        let why = format!("the discriminator's property `{property}` is not a string");
        return Err(Verdict::no(why));
    };
    let mapping = discriminator.get("mapping").and_then(Value::as_object);
    let Some(mapping) = mapping.filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    match mapping.get(chosen) {
        Some(target) => Ok(target.as_str().filter(|it| !it.is_empty())),
        None => {
            let why = format!("the discriminator has no mapping for {chosen:?}");
            Err(Verdict::no(why).inside(property))
        }
    }
}

fn has_type(types: Option<&[&str]>, value: &Value) -> Result<(), Verdict> {
    let Some(types) = types else { return Ok(()) };
    let has = |name: &str| types.contains(&name);
    let is_whole = |it: f64| it.fract() == 0.0;
    let fits = match value {
        Value::Null => has("null"),
        Value::Bool(_) => has("boolean"),
        Value::String(_) => has("string"),
        Value::Array(_) => has("array"),
        Value::Object(_) => has("object"),
        Value::Number(number) => {
            has("number") || has("integer") && number.as_f64().is_some_and(is_whole)
        }
    };
    match fits {
        true => Ok(()),
        false => {
            let types = types.join("`, `");
            Err(Verdict::no(format!(
                "{} is not of type `{types}`",
                name_of(value)
            )))
        }
    }
}

/// Whether a schema has something outside plain JSON Schema: references to other places, or `nullable`.
/// `None` if that cannot be decided.
fn is_judged_as_old(schema: &MergedSchema<'_>, fuel: &mut usize) -> Option<bool> {
    let mut open: Vec<&Value> = Vec::new();
    let mut fields: Vec<(&String, &Value)> = schema.values().collect();
    loop {
        let is_list = |(key, value): &(&String, &Value)| *key == "type" && value.is_array();
        let has_list = fields.iter().any(is_list);
        for (key, value) in fields.drain(..) {
            if key == "nullable" && *value == Value::Bool(true) && !has_list {
                return Some(true);
            }
            // To a gateway, a schema with its own name is another place.
            if matches!(
                key.as_str(),
                "$id" | "$schema" | "$anchor" | "$dynamicAnchor"
            ) {
                return None;
            }
            match (Kind::Schema.field(key).map(|it| it.shape), value) {
                (Some(Shape::One(Kind::Schema) | Shape::FlagOr(Kind::Schema)), value) => {
                    open.push(value);
                }
                (Some(Shape::Many(Kind::Schema)), Value::Array(items)) => open.extend(items),
                (Some(Shape::Named(Kind::Schema)), Value::Object(entries)) => {
                    open.extend(entries.values());
                }
                _ => {}
            }
        }
        *fuel = fuel.checked_sub(1)?;
        let Some(next) = open.pop() else {
            return Some(false);
        };
        if reference_of(next).is_some() {
            return Some(true);
        }
        fields.extend(next.as_object().into_iter().flatten());
    }
}

#[cfg(test)]
mod tests;
