//! Literals and variables: which ones fit a type, the gateway's texts, and the resulting values.
//!
//! Literals are stricter than variables: a number given as a variable for a `String` becomes a text
//! (more-graphql-var-01). But `Int` accepts literals beyond 32 bits (graphql-proto-arg-uint32) and
//! no such variables.

use std::collections::BTreeMap;

use tower_gwag_schema::graphql::{InputValue, Schema, Type, TypeKind};
use tower_gwag_schema::sorted::Sorted;

use super::super::json::{self, Value};
use super::document::{Literal, LiteralValue, TypeText, Variable, print_value};
use super::types::{Named, Wrapped, named};

/// The values of variables.
pub(super) type Variables = BTreeMap<String, Value>;

fn input_fields(of: Named<'_>) -> Option<&Sorted<InputValue>> {
    match of {
        Named::Known(it) => it.input_fields(),
        Named::Meta(_) => None,
    }
}

// === literals ===

/// Why a literal does not fit a type; empty if it does.
pub(super) fn misfits(schema: &Schema, of: Wrapped<'_>, literal: Option<&Literal>) -> Vec<String> {
    let Some(literal) = literal else {
        return match of.non_null {
            true => vec![format!("Expected \"{}\", found null.", of.show())],
            false => Vec::new(),
        };
    };
    if matches!(literal.value, LiteralValue::Variable(_)) {
        return Vec::new();
    }
    if of.is_list {
        let item = of.item();
        return match &literal.value {
            LiteralValue::List(all) => {
                let mut out = Vec::new();
                for (n, it) in all.iter().enumerate() {
                    let found = misfits(schema, item, Some(it)).into_iter();
                    out.extend(found.map(|text| format!("In element #{}: {text}", n + 1)));
                }
                out
            }
            _ => misfits(schema, item, Some(literal)),
        };
    }
    if let Some(fields) = input_fields(of.named) {
        let LiteralValue::Object(given) = &literal.value else {
            return vec![format!(
                "Expected \"{}\", found not an object.",
                of.named.name()
            )];
        };
        let mut out = Vec::new();
        for it in given
            .iter()
            .filter(|it| !fields.contains_key(&it.name.text))
        {
            out.push(format!("In field \"{}\": Unknown field.", it.name.text));
        }
        for (name, field) in fields {
            let value = given
                .iter()
                .find(|it| it.name.text == *name)
                .map(|it| &it.value);
            let found = misfits(schema, Wrapped::of(schema, field.of), value).into_iter();
            out.extend(found.map(|text| format!("In field \"{name}\": {text}")));
        }
        return out;
    }
    match leaf(of.named, &literal.value) {
        Some(_) => Vec::new(),
        None => {
            let (name, shown) = (of.named.name(), print_value(&literal.value));
            vec![format!("Expected type \"{name}\", found {shown}.")]
        }
    }
}

/// The value of a literal for a scalar or an enum.
fn leaf(of: Named<'_>, literal: &LiteralValue) -> Option<Value> {
    use LiteralValue as L;
    let Named::Known(of) = of else { return None };
    if let TypeKind::Enum(values) = &of.kind {
        return match literal {
            L::Enum(name) if values.contains_key(name) => Some(Value::String(name.clone())),
            _ => None,
        };
    }
    match (of.name.as_str(), literal) {
        ("Int", L::Int(text)) => text.parse().ok().map(Value::Int),
        ("Float", L::Int(text) | L::Float(text)) => text.parse().ok().map(Value::Float),
        ("String", L::String(text)) => Some(Value::String(text.clone())),
        ("ID" | "Long", L::String(text) | L::Int(text)) => Some(Value::String(text.clone())),
        ("Boolean", L::Bool(it)) => Some(Value::Bool(*it)),
        // An id of an upload made before, which the gateway does not have (new-graphql-upload-literal).
        ("Upload", L::String(text)) if !text.is_empty() => Some(Value::String(text.clone())),
        ("Int" | "Float" | "String" | "ID" | "Long" | "Boolean" | "Upload", _) => None,
        // JSON, and the scalars of services.
        (_, literal) => Some(free(literal, &Variables::new())),
    }
}

/// A literal for a type that accepts anything.
fn free(literal: &LiteralValue, variables: &Variables) -> Value {
    match literal {
        LiteralValue::Variable(name) => variables.get(name).cloned().unwrap_or(Value::Null),
        LiteralValue::Int(text) => text.parse().map_or(Value::Null, Value::Int),
        LiteralValue::Float(text) => text.parse().map_or(Value::Null, Value::Float),
        LiteralValue::String(it) | LiteralValue::Enum(it) => Value::String(it.clone()),
        LiteralValue::Bool(it) => Value::Bool(*it),
        LiteralValue::List(all) => all
            .iter()
            .map(|it| free(&it.value, variables))
            .collect::<Vec<_>>()
            .into(),
        LiteralValue::Object(all) => {
            let members = all
                .iter()
                .map(|it| (it.name.text.clone(), free(&it.value.value, variables)));
            Value::Object(members.collect())
        }
    }
}

impl From<Vec<Value>> for Value {
    fn from(all: Vec<Value>) -> Self {
        Self::Array(all)
    }
}

/// The value of a literal that fits; `None` for a variable without a value.
pub(super) fn value_of(
    schema: &Schema,
    of: Wrapped<'_>,
    literal: &Literal,
    variables: &Variables,
) -> Option<Value> {
    if let LiteralValue::Variable(name) = &literal.value {
        return variables.get(name).cloned();
    }
    if of.is_list {
        let item = of.item();
        let value = |it: &Literal| value_of(schema, item, it, variables).unwrap_or(Value::Null);
        return Some(Value::Array(match &literal.value {
            LiteralValue::List(all) => all.iter().map(value).collect(),
            _ => vec![value(literal)],
        }));
    }
    if let Some(fields) = input_fields(of.named) {
        let LiteralValue::Object(given) = &literal.value else {
            return None;
        };
        let members = given.iter().filter_map(|it| {
            let field = fields.get(&it.name.text)?;
            let value = value_of(schema, Wrapped::of(schema, field.of), &it.value, variables)?;
            Some((it.name.text.clone(), value))
        });
        return Some(Value::Object(members.collect()));
    }
    match of.named {
        Named::Known(Type {
            kind: TypeKind::Scalar,
            name,
            ..
        }) if !matches!(
            name.as_str(),
            "Int" | "Float" | "String" | "ID" | "Long" | "Boolean"
        ) =>
        {
            Some(free(&literal.value, variables))
        }
        of => leaf(of, &literal.value),
    }
}

// === variables ===

/// The type that a document writes; `None` if the name is unknown.
pub(super) fn type_of<'s>(schema: &'s Schema, text: &TypeText) -> Option<Wrapped<'s>> {
    let (text, non_null) = match text {
        TypeText::NonNull(inner) => (&**inner, true),
        other => (other, false),
    };
    let (inner, is_list) = match text {
        TypeText::List(inner) => (&**inner, true),
        other => (other, false),
    };
    let items_non_null = is_list && matches!(inner, TypeText::NonNull(_));
    let named = named(schema, &inner.named().text)?;
    Some(Wrapped {
        named,
        is_list,
        items_non_null,
        non_null,
    })
}

/// The value of a variable, given or not; the error has the gateway's text.
pub(super) fn variable(
    schema: &Schema,
    variable: &Variable,
    given: Option<&Value>,
) -> Result<Option<Value>, String> {
    let Some(of) = type_of(schema, &variable.of) else {
        return Ok(None);
    };
    let given = given.filter(|it| **it != Value::Null);
    let Some(given) = given else {
        if of.non_null {
            let (name, shown) = (&variable.name, of.show());
            return Err(format!(
                "Variable \"${name}\" of required type \"{shown}\" was not provided."
            ));
        }
        let default = variable.default.as_ref();
        return Ok(default.and_then(|it| value_of(schema, of, it, &Variables::new())));
    };
    let mut wrong = Vec::new();
    let value = coerced(schema, of, given, &mut wrong);
    if wrong.is_empty() {
        return Ok(value);
    }
    let shown = given.encode().unwrap_or_default();
    Err(format!(
        "Variable \"${}\" got invalid value {shown}.\n{}",
        variable.name,
        wrong.join("\n")
    ))
}

fn coerced(
    schema: &Schema,
    of: Wrapped<'_>,
    given: &Value,
    wrong: &mut Vec<String>,
) -> Option<Value> {
    if *given == Value::Null {
        if of.non_null {
            wrong.push(format!("Expected \"{}\", found null.", of.show()));
        }
        return None;
    }
    if of.is_list {
        let item = of.item();
        let Value::Array(all) = given else {
            return coerced(schema, item, given, wrong).map(|it| Value::Array(vec![it]));
        };
        let mut out = Vec::new();
        for (n, it) in all.iter().enumerate() {
            let mut found = Vec::new();
            out.push(coerced(schema, item, it, &mut found).unwrap_or(Value::Null));
            wrong.extend(
                found
                    .into_iter()
                    .map(|text| format!("In element #{}: {text}", n + 1)),
            );
        }
        return Some(Value::Array(out));
    }
    if let Some(fields) = input_fields(of.named) {
        let Value::Object(members) = given else {
            wrong.push(format!(
                "Expected \"{}\", found not an object.",
                of.named.name()
            ));
            return None;
        };
        for name in members.keys().filter(|it| !fields.contains_key(it)) {
            wrong.push(format!("In field \"{name}\": Unknown field."));
        }
        let mut out = BTreeMap::new();
        for (name, field) in fields {
            let (value, mut found) = (members.get(name).unwrap_or(&Value::Null), Vec::new());
            // `null` within an object is passed on (new-graphql-tree-var-10).
            let is_given = members.contains_key(name);
            let coerced = coerced(schema, Wrapped::of(schema, field.of), value, &mut found);
            if let Some(value) = coerced.or(is_given.then_some(Value::Null)) {
                out.insert(name.clone(), value);
            }
            wrong.extend(
                found
                    .into_iter()
                    .map(|text| format!("In field \"{name}\": {text}")),
            );
        }
        return Some(Value::Object(out));
    }
    let value = scalar(of.named, given);
    if value.is_none() {
        wrong.push(format!(
            "Expected type \"{}\", found \"{}\".",
            of.named.name(),
            given.plain()
        ));
    }
    value
}

/// The value of a given variable for a scalar or an enum.
fn scalar(of: Named<'_>, given: &Value) -> Option<Value> {
    let Named::Known(of) = of else { return None };
    if let TypeKind::Enum(values) = &of.kind {
        return match given {
            Value::String(name) if values.contains_key(name) => Some(given.clone()),
            _ => None,
        };
    }
    match of.name.as_str() {
        "Int" => {
            let number = number(given)?;
            let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
            fits.then_some(Value::Int(number as i64))
        }
        "Float" => number(given).map(Value::Float),
        "String" | "ID" => Some(Value::String(given.plain())),
        "Boolean" => Some(Value::Bool(match given {
            Value::Bool(it) => *it,
            Value::String(text) => !matches!(text.as_str(), "false" | ""),
            Value::Float(it) => *it != 0.0,
            _ => false,
        })),
        _ => Some(given.clone()),
    }
}

fn number(given: &Value) -> Option<f64> {
    match given {
        Value::Bool(it) => Some(f64::from(u8::from(*it))),
        Value::Float(it) => Some(*it),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// The variables of a request, numbers as doubles: 9007199254740993 is rounded
/// (graphql-oas-post-variables).
pub(super) fn given(value: Option<Value>) -> Variables {
    let value = match value {
        Some(Value::String(text)) => json::whole(text.as_bytes()).ok(),
        other => other,
    };
    match value.map(Value::with_doubles) {
        Some(Ok(Value::Object(map))) => map,
        _ => Variables::new(),
    }
}
