//! What the schema says of itself: `__schema` and `__type`.

use std::collections::BTreeMap;

use tower_gwag_schema::graphql::{InputValue, Type, TypeKind};

use super::super::json::Value;
use super::document::{Field, LiteralValue};
use super::execute::Execution;
use super::types::Wrapped;

/// A thing that can be introspected.
#[derive(Clone, Copy)]
pub(super) enum Introspected<'a> {
    Schema,
    Type(&'a Type),
    /// A type with wrappers left to take off.
    Wrapped(Wrapped<'a>),
    Field(&'a str, &'a tower_gwag_schema::graphql::Field),
    Input(&'a str, &'a InputValue),
    EnumValue(&'a str, &'a tower_gwag_schema::graphql::EnumValue),
    /// `skip` or `include`.
    Directive(&'static str),
    /// The argument `if` of a directive.
    Condition,
}

fn text(it: &str) -> Value {
    Value::String(it.to_owned())
}

fn optional(it: Option<&String>) -> Value {
    it.map_or(Value::Null, |it| text(it))
}

impl Introspected<'_> {
    fn type_name(self) -> &'static str {
        match self {
            Self::Schema => "__Schema",
            Self::Type(_) | Self::Wrapped(_) => "__Type",
            Self::Field(..) => "__Field",
            Self::Input(..) | Self::Condition => "__InputValue",
            Self::EnumValue(..) => "__EnumValue",
            Self::Directive(_) => "__Directive",
        }
    }

    /// The value of a field of it.
    pub(super) fn field(self, execution: &Execution, field: &Field) -> Value {
        let schema = &execution.graph.schema;
        let one = |it: Introspected<'_>| execution.introspected(it, field.inner());
        let wrapped = |it: Wrapped<'_>| one(Introspected::Wrapped(it));
        let deprecated_too = field.arguments.iter().any(|it| {
            it.name.text == "includeDeprecated"
                && matches!(it.value.value, LiteralValue::Bool(true))
        });
        let inputs = |all: &BTreeMap<String, InputValue>| {
            Value::Array(
                all.iter()
                    .map(|(name, it)| one(Introspected::Input(name, it)))
                    .collect(),
            )
        };
        let name = field.name.as_str();
        if name == "__typename" {
            return text(self.type_name());
        }
        match (self, name) {
            (Self::Schema, "types") => Value::Array(
                schema
                    .types()
                    .map(|it| one(Introspected::Type(it)))
                    .collect(),
            ),
            (Self::Schema, "queryType") => one(Introspected::Type(schema.query())),
            (Self::Schema, "mutationType") => schema
                .mutation()
                .map_or(Value::Null, |it| one(Introspected::Type(it))),
            (Self::Schema, "subscriptionType") => schema
                .subscription()
                .map_or(Value::Null, |it| one(Introspected::Type(it))),
            (Self::Schema, "directives") => Value::Array(
                ["include", "skip"]
                    .into_iter()
                    .map(|it| one(Introspected::Directive(it)))
                    .collect(),
            ),
            (Self::Wrapped(of), _) if of.non_null || of.is_list => {
                let inner = if of.non_null {
                    of.nullable()
                } else {
                    of.item()
                };
                match name {
                    "kind" => text(if of.non_null { "NON_NULL" } else { "LIST" }),
                    "ofType" => wrapped(inner),
                    _ => Value::Null,
                }
            }
            (Self::Wrapped(of), _) => match of.named {
                super::types::Named::Known(of) => Self::Type(of).field(execution, field),
                super::types::Named::Meta(_) => Value::Null,
            },
            (Self::Type(of), "kind") => text(match of.kind {
                TypeKind::Object(_) => "OBJECT",
                TypeKind::Input(_) => "INPUT_OBJECT",
                TypeKind::Enum(_) => "ENUM",
                TypeKind::Union(_) => "UNION",
                TypeKind::Scalar => "SCALAR",
            }),
            (Self::Type(of), "name") => text(&of.name),
            (Self::Type(of), "description") => optional(of.description.as_ref()),
            (Self::Type(of), "fields") => of.fields().map_or(Value::Null, |fields| {
                let shown = fields
                    .iter()
                    .filter(|(_, it)| deprecated_too || it.deprecated.is_none());
                Value::Array(
                    shown
                        .map(|(name, it)| one(Introspected::Field(name, it)))
                        .collect(),
                )
            }),
            (Self::Type(of), "inputFields") => of.input_fields().map_or(Value::Null, inputs),
            (Self::Type(of), "interfaces") => match of.kind {
                TypeKind::Object(_) => Value::Array(Vec::new()),
                _ => Value::Null,
            },
            (Self::Type(of), "possibleTypes") => match &of.kind {
                TypeKind::Union(members) => {
                    let members = members
                        .iter()
                        .map(|id| one(Introspected::Type(schema.get(*id))));
                    Value::Array(members.collect())
                }
                _ => Value::Null,
            },
            (Self::Type(of), "enumValues") => match &of.kind {
                TypeKind::Enum(values) => {
                    let shown = values
                        .iter()
                        .filter(|(_, it)| deprecated_too || it.deprecated.is_none());
                    Value::Array(
                        shown
                            .map(|(name, it)| one(Introspected::EnumValue(name, it)))
                            .collect(),
                    )
                }
                _ => Value::Null,
            },
            (Self::Field(name, _), "name")
            | (Self::Input(name, _), "name")
            | (Self::EnumValue(name, _), "name")
            | (Self::Directive(name), "name") => text(name),
            (Self::Field(_, it), "description") => optional(it.description.as_ref()),
            (Self::Field(_, it), "args") => inputs(&it.arguments),
            (Self::Field(_, it), "type") => wrapped(Wrapped::of(schema, it.of)),
            (Self::Field(_, it), "isDeprecated") => Value::Bool(it.deprecated.is_some()),
            (Self::Field(_, it), "deprecationReason") => optional(it.deprecated.as_ref()),
            (Self::Input(_, it), "description") => optional(it.description.as_ref()),
            (Self::Input(_, it), "type") => wrapped(Wrapped::of(schema, it.of)),
            (Self::EnumValue(_, it), "description") => optional(it.description.as_ref()),
            (Self::EnumValue(_, it), "isDeprecated") => Value::Bool(it.deprecated.is_some()),
            (Self::EnumValue(_, it), "deprecationReason") => optional(it.deprecated.as_ref()),
            (Self::Directive(_), "locations") => {
                let places = ["FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"];
                Value::Array(places.into_iter().map(text).collect())
            }
            (Self::Directive(_), "args") => Value::Array(vec![one(Introspected::Condition)]),
            (Self::Directive(_), "onOperation") => Value::Bool(false),
            (Self::Directive(_), "onFragment" | "onField") => Value::Bool(true),
            (Self::Condition, "name") => text("if"),
            (Self::Condition, "type") => {
                let of = super::types::named(schema, "Boolean").map(|named| Wrapped {
                    named,
                    is_list: false,
                    items_non_null: false,
                    non_null: true,
                });
                of.map_or(Value::Null, wrapped)
            }
            _ => Value::Null,
        }
    }
}
