//! Answers cut to the selection, as the gateway cuts them: leaves are copied as bytes, and named
//! fragments are lost (graphql-proto-fragment-named).

use std::collections::BTreeMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage};
use tower_gwag_schema::graphql::{FieldSource, Type, TypeKind};

use super::super::Fault;
use super::super::json::{self, Raw, Value};
use super::super::message::lower_camel;
use super::document::{Field, Selection};
use super::execute::Execution;

// === answers of OpenAPI services ===

impl Execution {
    pub(super) fn project_answer(
        &self,
        text: &str,
        of: &Type,
        field: &Field,
    ) -> Result<String, Fault> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok("null".to_owned());
        }
        // The gateway passes text through, which makes the whole answer invalid JSON
        // (graphql-oas-answer-text).
        if field.selections.is_none() || !trimmed.starts_with(['{', '[']) {
            return Ok(text.to_owned());
        }
        json::whole(trimmed.as_bytes()).map_err(Fault::plain)?;
        let mut out = String::with_capacity(trimmed.len());
        self.project(trimmed, of, field.inner(), &mut out);
        Ok(out)
    }

    /// The selected parts of a value, each leaf as it is written.
    fn project(&self, text: &str, of: &Type, selections: &[Selection], out: &mut String) {
        match json::apart(text) {
            Ok(Raw::Array(items)) => {
                out.push('[');
                for (n, item) in items.into_iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.project(item, of, selections, out);
                }
                out.push(']');
            }
            Ok(Raw::Object(members)) => {
                let concrete = self.concrete(of, &members);
                out.push('{');
                let mut is_first = true;
                self.project_members(&members, concrete, selections, &mut is_first, out);
                out.push('}');
            }
            _ => out.push_str(text),
        }
    }

    fn concrete<'a>(&'a self, of: &'a Type, members: &BTreeMap<String, &str>) -> Option<&'a Type> {
        let TypeKind::Union(ids) = &of.kind else {
            return Some(of);
        };
        let all: Vec<&Type> = ids.iter().map(|id| self.graph.schema.get(*id)).collect();
        let has = |name: &str| members.contains_key(name);
        let text = |name: &str| match json::whole(members.get(name)?.as_bytes()) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        };
        let at = self.graph.member(of, &all, &has, &text)?;
        all.get(at).copied()
    }

    fn project_members(
        &self,
        members: &BTreeMap<String, &str>,
        of: Option<&Type>,
        selections: &[Selection],
        is_first: &mut bool,
        out: &mut String,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) => {
                    begin_member(field, is_first, out);
                    if field.name == "__typename" {
                        match of {
                            Some(of) => json::quote_with(&of.name, false, out),
                            None => out.push_str("null"),
                        }
                        continue;
                    }
                    let declared = of.and_then(Type::fields).and_then(|it| it.get(&field.name));
                    // The gateway looks for the GraphQL name: `snakeName` of `snake_name` is
                    // missing.
                    match (members.get(&field.name), declared) {
                        (Some(text), Some(declared)) if field.selections.is_some() => {
                            let of = self.graph.schema.get(declared.of.id);
                            self.project(text, of, field.inner(), out);
                        }
                        (Some(text), _) => out.push_str(text),
                        (None, _) => out.push_str("null"),
                    }
                }
                Selection::Inline { on, selections, .. } => {
                    let fits = match (on, of) {
                        (None, _) => true,
                        (Some(on), Some(of)) => on.text == of.name,
                        (Some(_), None) => false,
                    };
                    if fits {
                        self.project_members(members, of, selections, is_first, out);
                    }
                }
                // graphql-oas-fragment-named
                Selection::Spread { .. } => {}
            }
        }
    }

    // === events ===

    /// An object as in subscriptions: fragments and directives count; missing values, and numbers
    /// that are not an `Int`, are `null`.
    pub(super) fn standard_object(
        &self,
        of: &Type,
        selections: &[Selection],
        member: &dyn Fn(&str) -> Option<Value>,
        enums: Option<&prost_reflect::DescriptorPool>,
    ) -> Value {
        let mut fields = Vec::new();
        self.gather(of, selections, &mut fields);
        let mut out = BTreeMap::new();
        for (key, merged) in fields {
            let Some(field) = merged.first() else {
                continue;
            };
            let value = match of.fields().and_then(|it| it.get(&field.name)) {
                None if field.name == "__typename" => Value::String(of.name.clone()),
                None => Value::Null,
                Some(declared) => {
                    let inner: Vec<Selection> =
                        merged.iter().flat_map(|it| it.inner().to_vec()).collect();
                    let inner_of = self.graph.schema.get(declared.of.id);
                    match (member(&field.name), declared.source.clone()) {
                        // The root of a subscription without an event.
                        (None, FieldSource::Operation(_)) if inner_of.fields().is_some() => {
                            self.standard_object(inner_of, &inner, &|_| None, enums)
                        }
                        (None, _) => Value::Null,
                        (Some(value), _) => self.standard(inner_of, &inner, value, enums),
                    }
                }
            };
            out.insert(key.to_owned(), value);
        }
        Value::Object(out)
    }

    fn standard(
        &self,
        of: &Type,
        selections: &[Selection],
        value: Value,
        enums: Option<&prost_reflect::DescriptorPool>,
    ) -> Value {
        match value {
            Value::Array(all) => Value::Array(
                all.into_iter()
                    .map(|it| self.standard(of, selections, it, enums))
                    .collect(),
            ),
            Value::Object(map) if of.fields().is_some() => {
                self.standard_object(of, selections, &|name| map.get(name).cloned(), enums)
            }
            Value::Int(number) if matches!(of.kind, TypeKind::Enum(_)) => {
                use tower_gwag_schema::graphql::Origin;
                let Origin::Proto(name) = &of.origin else {
                    return Value::Null;
                };
                let found = enums.and_then(|pool| pool.get_enum_by_name(name));
                // Of several names for one number, the last (new-ws-lots).
                let number = i32::try_from(number).ok();
                let named = found.and_then(|it| {
                    let mut values = it.enum_descriptor_proto().value.iter();
                    let named = values.rfind(|it| it.number == number);
                    named.map(|it| it.name().to_owned())
                });
                named.map_or(Value::Null, Value::String)
            }
            // graphql-ws-proto-types: beyond 32 bits it is not an Int.
            Value::Unsigned(number) => {
                i32::try_from(number).map_or(Value::Null, |it| Value::Int(it.into()))
            }
            Value::Float(number) if !number.is_finite() => Value::Null,
            other => other,
        }
    }
}

// === answers of proto services ===

pub(super) fn project_message(
    message: &DynamicMessage,
    selections: &[Selection],
    out: &mut String,
) {
    out.push('{');
    let mut is_first = true;
    project_fields(message, selections, &mut is_first, out);
    out.push('}');
}

/// Writes a comma, unless first, and the key of the field in the answer.
fn begin_member(field: &Field, is_first: &mut bool, out: &mut String) {
    if !std::mem::take(is_first) {
        out.push(',');
    }
    json::quote_with(field.key(), false, out);
    out.push(':');
}

fn project_fields(
    message: &DynamicMessage,
    selections: &[Selection],
    is_first: &mut bool,
    out: &mut String,
) {
    for it in selections {
        match it {
            // What is not a field is not a member (new-graphql-void-void).
            Selection::Field(field) if field.name == "_void" => {}
            Selection::Field(field) => {
                begin_member(field, is_first, out);
                if field.name == "__typename" {
                    // The name of the message, not of its GraphQL type
                    // (graphql-proto-fragment-inline).
                    json::quote_with(message.descriptor().name(), false, out);
                    continue;
                }
                let descriptor = message.descriptor();
                let found = descriptor
                    .fields()
                    .filter(|it| lower_camel(it.name()) == field.name)
                    .last();
                match found {
                    Some(found) => project_field(message, &found, field.inner(), out),
                    None => out.push_str("null"),
                }
            }
            Selection::Inline { selections, .. } => {
                project_fields(message, selections, is_first, out);
            }
            // graphql-proto-fragment-named
            Selection::Spread { .. } => {}
        }
    }
}

fn project_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    inner: &[Selection],
    out: &mut String,
) {
    // An unset field is zero; defaults of proto2 are ignored (graphql-proto2-defaults).
    if !message.has_field(field) && !field.is_list() && !field.is_map() {
        match field.kind() {
            Kind::Message(_) => out.push_str("null"),
            Kind::Enum(of) => match of.get_value(0) {
                Some(it) => json::quote_with(it.name(), false, out),
                None => out.push('0'),
            },
            Kind::Bool => out.push_str("false"),
            Kind::String | Kind::Bytes => out.push_str("\"\""),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                out.push_str("\"0\"");
            }
            _ => out.push('0'),
        }
        return;
    }
    match &*message.get_field(field) {
        prost_reflect::Value::List(all) => {
            out.push('[');
            for (n, it) in all.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                project_value(field, it, inner, out);
            }
            out.push(']');
        }
        prost_reflect::Value::Map(map) => {
            let mut all: Vec<(String, &prost_reflect::Value)> =
                map.iter().map(|(key, it)| (map_key(key), it)).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (n, (key, it)) in all.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                json::quote_with(&key, false, out);
                out.push(':');
                project_value(field, it, inner, out);
            }
            out.push('}');
        }
        one => project_value(field, one, inner, out),
    }
}

fn map_key(key: &prost_reflect::MapKey) -> String {
    match key {
        prost_reflect::MapKey::Bool(it) => it.to_string(),
        prost_reflect::MapKey::I32(it) => it.to_string(),
        prost_reflect::MapKey::I64(it) => it.to_string(),
        prost_reflect::MapKey::U32(it) => it.to_string(),
        prost_reflect::MapKey::U64(it) => it.to_string(),
        prost_reflect::MapKey::String(it) => it.clone(),
    }
}

fn project_value(
    field: &FieldDescriptor,
    value: &prost_reflect::Value,
    inner: &[Selection],
    out: &mut String,
) {
    use base64::Engine;
    let float = |number: f64| {
        if number.is_finite() {
            json::general(number)
        } else {
            "null".to_owned()
        }
    };
    match value {
        prost_reflect::Value::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
        prost_reflect::Value::I32(it) => out.push_str(&it.to_string()),
        prost_reflect::Value::U32(it) => out.push_str(&it.to_string()),
        prost_reflect::Value::I64(it) => out.push_str(&format!("\"{it}\"")),
        prost_reflect::Value::U64(it) => out.push_str(&format!("\"{it}\"")),
        prost_reflect::Value::F32(it) => out.push_str(&float((*it).into())),
        prost_reflect::Value::F64(it) => out.push_str(&float(*it)),
        prost_reflect::Value::String(it) => json::quote_with(it, false, out),
        prost_reflect::Value::Bytes(it) => {
            let text = base64::engine::general_purpose::STANDARD.encode(it);
            json::quote_with(&text, false, out);
        }
        prost_reflect::Value::EnumNumber(number) => {
            let of = match field.kind() {
                Kind::Enum(of) => Some(of),
                _ => None,
            };
            match of.and_then(|of| of.get_value(*number)) {
                Some(it) => json::quote_with(it.name(), false, out),
                None => out.push_str(&number.to_string()),
            }
        }
        prost_reflect::Value::Message(it) => project_message(it, inner, out),
        prost_reflect::Value::List(_) | prost_reflect::Value::Map(_) => out.push_str("null"),
    }
}
