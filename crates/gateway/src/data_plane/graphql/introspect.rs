//! Introspection: `__schema` and `__type`.

use tower_gwag_schema::graphql::{InputValue, Location, Type, TypeKind};
use tower_gwag_schema::sorted::Sorted;

use super::super::json::Value;
use super::document::{Field, LiteralValue};
use super::execute::Execution;
use super::types::{self, META, Meta, OLD_FIELDS, Wrapped};

/// An object of introspection.
#[derive(Clone, Copy)]
pub(super) enum Introspected<'a> {
    Schema,
    Type(&'a Type),
    /// A type, with wrappers still to unwrap.
    Wrapped(Wrapped<'a>),
    Field(&'a str, &'a tower_gwag_schema::graphql::Field),
    Input(&'a str, &'a InputValue),
    EnumValue(&'a str, &'a tower_gwag_schema::graphql::EnumValue),
    /// `include`, `skip` or `deprecated`.
    Directive(&'static str),
    /// The one argument of a directive.
    Condition(&'static str),
    /// A type of introspection itself, its fields and their arguments.
    Meta(&'static Meta),
    MetaField(&'static str, &'static str, bool),
    MetaValue(&'static str),
    IncludeDeprecated,
}

fn text(it: &str) -> Value {
    Value::String(it.to_owned())
}

fn optional(it: Option<&String>) -> Value {
    it.map_or(Value::Null, |it| text(it))
}

/// A missing description is an empty one.
fn described(it: Option<&String>) -> Value {
    text(it.map_or("", |it| it))
}

/// The position of a value in its source: those of OpenAPI values are numbers at the end of
/// pointers.
fn order(location: &Location) -> (Location, usize) {
    match location {
        Location::OpenApi(pointer) => {
            let pointer = pointer.to_string();
            let number = pointer.rsplit('/').next().and_then(|it| it.parse().ok());
            (Location::Nowhere, number.unwrap_or_default())
        }
        other => (other.clone(), 0),
    }
}

impl Introspected<'_> {
    fn type_name(self) -> &'static str {
        match self {
            Self::Schema => "__Schema",
            Self::Type(_) | Self::Wrapped(_) | Self::Meta(_) => "__Type",
            Self::Field(..) | Self::MetaField(..) => "__Field",
            Self::Input(..) | Self::Condition(_) | Self::IncludeDeprecated => "__InputValue",
            Self::EnumValue(..) | Self::MetaValue(_) => "__EnumValue",
            Self::Directive(_) => "__Directive",
        }
    }

    /// The value of one of its fields.
    pub(super) fn field(self, execution: &Execution, field: &Field) -> Value {
        let schema = &execution.graph.schema;
        let one = |it: Introspected<'_>| execution.introspected(it, field.inner());
        let wrapped = |it: Wrapped<'_>| one(Introspected::Wrapped(it));
        let deprecated_too = field.arguments.iter().any(|it| {
            it.name.text == "includeDeprecated"
                && matches!(it.value.value, LiteralValue::Bool(true))
        });
        let inputs = |all: &Sorted<InputValue>| {
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
            (Self::Schema, "types") => {
                let own = schema.types().map(Introspected::Type);
                let metas = META.iter().map(Introspected::Meta);
                Value::Array(own.chain(metas).map(one).collect())
            }
            (Self::Schema, "queryType") => one(Introspected::Type(schema.query())),
            (Self::Schema, "mutationType") => schema
                .mutation()
                .map_or(Value::Null, |it| one(Introspected::Type(it))),
            (Self::Schema, "subscriptionType") => schema
                .subscription()
                .map_or(Value::Null, |it| one(Introspected::Type(it))),
            (Self::Schema, "directives") => Value::Array(
                ["include", "skip", "deprecated"]
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
                types::Named::Known(of) => Self::Type(of).field(execution, field),
                types::Named::Meta(of) => Self::Meta(of).field(execution, field),
            },
            (Self::Type(of), "kind") => text(match of.kind {
                TypeKind::Object(_) => "OBJECT",
                TypeKind::Input(_) => "INPUT_OBJECT",
                TypeKind::Enum(_) => "ENUM",
                TypeKind::Union(_) => "UNION",
                TypeKind::Scalar => "SCALAR",
            }),
            (Self::Type(of), "name") => text(&of.name),
            (Self::Type(of), "description") => described(of.description.as_ref()),
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
                    let mut shown: Vec<_> = shown.collect();
                    // In the order of the source.
                    shown.sort_by_key(|(_, it)| order(&it.location));
                    let shown = shown.into_iter();
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
            (Self::Field(_, it), "description") => described(it.description.as_ref()),
            (Self::Field(_, it), "args") => inputs(&it.arguments),
            (Self::Field(_, it), "type") => wrapped(Wrapped::of(schema, it.of)),
            (Self::Field(_, it), "isDeprecated") => Value::Bool(it.deprecated.is_some()),
            (Self::Field(_, it), "deprecationReason") => optional(it.deprecated.as_ref()),
            (Self::Input(_, it), "description") => described(it.description.as_ref()),
            (Self::Input(_, it), "type") => wrapped(Wrapped::of(schema, it.of)),
            (Self::EnumValue(_, it), "description") => described(it.description.as_ref()),
            (Self::EnumValue(_, it), "isDeprecated") => Value::Bool(it.deprecated.is_some()),
            (Self::EnumValue(_, it), "deprecationReason") => optional(it.deprecated.as_ref()),
            (Self::Directive(name), "locations") => {
                let places: &[&str] = match name {
                    "deprecated" => &["FIELD_DEFINITION", "ENUM_VALUE"],
                    _ => &["FIELD", "FRAGMENT_SPREAD", "INLINE_FRAGMENT"],
                };
                Value::Array(places.iter().map(|it| text(it)).collect())
            }
            (Self::Directive(name), "args") => {
                Value::Array(vec![one(Introspected::Condition(name))])
            }
            (Self::Directive(_), "onOperation") => Value::Bool(false),
            (Self::Directive(name), "onFragment" | "onField") => Value::Bool(name != "deprecated"),
            (Self::Condition("deprecated"), "name") => text("reason"),
            (Self::Condition(_), "name") => text("if"),
            (Self::Condition("deprecated"), "defaultValue") => text("\"No longer supported\""),
            (Self::Condition("deprecated"), "type") => {
                types::wrapped(schema, "String").map_or(Value::Null, wrapped)
            }
            (Self::Condition(_), "type") => {
                types::wrapped(schema, "Boolean!").map_or(Value::Null, wrapped)
            }
            (Self::Meta(of), "kind") => text(match of.fields.is_empty() {
                true => "ENUM",
                false => "OBJECT",
            }),
            (Self::Meta(of), "name") => text(of.name),
            (Self::Meta(of), "fields") if !of.fields.is_empty() => {
                let shown = of.fields.iter();
                let shown = shown.filter(|it| deprecated_too || !OLD_FIELDS.contains(&it.0));
                let shown = shown.map(|it| one(Introspected::MetaField(it.0, it.1, it.2)));
                Value::Array(shown.collect())
            }
            (Self::Meta(of), "interfaces") if !of.fields.is_empty() => Value::Array(Vec::new()),
            (Self::Meta(of), "enumValues") if !of.values.is_empty() => {
                let values = of.values.iter();
                Value::Array(values.map(|it| one(Introspected::MetaValue(it))).collect())
            }
            (Self::MetaField(name, ..) | Self::MetaValue(name), "name") => text(name),
            (Self::MetaField(name, ..), "isDeprecated") => Value::Bool(OLD_FIELDS.contains(&name)),
            (Self::MetaValue(_), "isDeprecated") => Value::Bool(false),
            (Self::MetaField(_, _, takes), "args") => Value::Array(match takes {
                true => vec![one(Introspected::IncludeDeprecated)],
                false => Vec::new(),
            }),
            (Self::MetaField(_, of, _), "type") => {
                types::wrapped(schema, of).map_or(Value::Null, wrapped)
            }
            (Self::IncludeDeprecated, "name") => text("includeDeprecated"),
            (Self::IncludeDeprecated, "type") => {
                types::wrapped(schema, "Boolean").map_or(Value::Null, wrapped)
            }
            (Self::IncludeDeprecated, "defaultValue") => text("false"),
            (_, "description") => text(""),
            _ => Value::Null,
        }
    }
}
