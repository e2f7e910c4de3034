//! The types of the served schema, and those of introspection, for validation and execution.

use tower_gwag_schema::graphql::{InputValue, Schema, Type, TypeKind, TypeRef};

/// A named type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'s> {
    Known(&'s Type),
    Meta(&'static Meta),
}

/// A type of introspection.
#[derive(Debug)]
pub(super) struct Meta {
    pub(super) name: &'static str,
    /// Name, type and whether it takes `includeDeprecated`, by name; empty for enums.
    pub(super) fields: &'static [(&'static str, &'static str, bool)],
    pub(super) values: &'static [&'static str],
}

/// A type with its wrappers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrapped<'s> {
    pub(super) named: Named<'s>,
    pub(super) is_list: bool,
    pub(super) items_non_null: bool,
    pub(super) non_null: bool,
}

/// A field, as documents use it.
#[derive(Clone, Debug)]
pub(super) struct FieldOf<'s> {
    pub(super) of: Wrapped<'s>,
    pub(super) arguments: Vec<(&'s str, Wrapped<'s>)>,
}

const fn object(name: &'static str, fields: &'static [(&'static str, &'static str, bool)]) -> Meta {
    let values = &[];
    Meta {
        name,
        fields,
        values,
    }
}

const fn enumeration(name: &'static str, values: &'static [&'static str]) -> Meta {
    let fields = &[];
    Meta {
        name,
        fields,
        values,
    }
}

pub(super) static META: [Meta; 8] = [
    object(
        "__Directive",
        &[
            ("args", "[__InputValue!]!", false),
            ("description", "String", false),
            ("locations", "[__DirectiveLocation!]!", false),
            ("name", "String!", false),
            ("onField", "Boolean!", false),
            ("onFragment", "Boolean!", false),
            ("onOperation", "Boolean!", false),
        ],
    ),
    enumeration(
        "__DirectiveLocation",
        &[
            "QUERY",
            "MUTATION",
            "SUBSCRIPTION",
            "FIELD",
            "FRAGMENT_DEFINITION",
            "FRAGMENT_SPREAD",
            "INLINE_FRAGMENT",
            "SCHEMA",
            "SCALAR",
            "OBJECT",
            "FIELD_DEFINITION",
            "ARGUMENT_DEFINITION",
            "INTERFACE",
            "UNION",
            "ENUM",
            "ENUM_VALUE",
            "INPUT_OBJECT",
            "INPUT_FIELD_DEFINITION",
        ],
    ),
    object(
        "__EnumValue",
        &[
            ("deprecationReason", "String", false),
            ("description", "String", false),
            ("isDeprecated", "Boolean!", false),
            ("name", "String!", false),
        ],
    ),
    object(
        "__Field",
        &[
            ("args", "[__InputValue!]!", false),
            ("deprecationReason", "String", false),
            ("description", "String", false),
            ("isDeprecated", "Boolean!", false),
            ("name", "String!", false),
            ("type", "__Type!", false),
        ],
    ),
    object(
        "__InputValue",
        &[
            ("defaultValue", "String", false),
            ("description", "String", false),
            ("name", "String!", false),
            ("type", "__Type!", false),
        ],
    ),
    object(
        "__Schema",
        &[
            ("directives", "[__Directive!]!", false),
            ("mutationType", "__Type", false),
            ("queryType", "__Type!", false),
            ("subscriptionType", "__Type", false),
            ("types", "[__Type!]!", false),
        ],
    ),
    object(
        "__Type",
        &[
            ("description", "String", false),
            ("enumValues", "[__EnumValue!]", true),
            ("fields", "[__Field!]", true),
            ("inputFields", "[__InputValue!]", false),
            ("interfaces", "[__Type!]", false),
            ("kind", "__TypeKind!", false),
            ("name", "String", false),
            ("ofType", "__Type", false),
            ("possibleTypes", "[__Type!]", false),
        ],
    ),
    enumeration(
        "__TypeKind",
        &[
            "SCALAR",
            "OBJECT",
            "INTERFACE",
            "UNION",
            "ENUM",
            "INPUT_OBJECT",
            "LIST",
            "NON_NULL",
        ],
    ),
];

/// Fields of introspection that are deprecated themselves.
pub(super) const OLD_FIELDS: [&str; 3] = ["onField", "onFragment", "onOperation"];

impl<'s> Named<'s> {
    pub(super) fn name(self) -> &'s str {
        match self {
            Self::Known(it) => &it.name,
            Self::Meta(it) => it.name,
        }
    }

    /// Whether it has fields or members.
    pub(super) fn is_composite(self) -> bool {
        match self {
            Self::Known(it) => matches!(it.kind, TypeKind::Object(_) | TypeKind::Union(_)),
            Self::Meta(it) => !it.fields.is_empty(),
        }
    }

    pub(super) fn is_input(self) -> bool {
        match self {
            Self::Known(it) => {
                matches!(
                    it.kind,
                    TypeKind::Input(_) | TypeKind::Enum(_) | TypeKind::Scalar
                )
            }
            Self::Meta(it) => it.fields.is_empty(),
        }
    }

    pub(super) fn is_object(self) -> bool {
        match self {
            Self::Known(it) => matches!(it.kind, TypeKind::Object(_)),
            Self::Meta(it) => !it.fields.is_empty(),
        }
    }

    /// Whether an object can be of both types.
    pub(super) fn overlaps(self, schema: &Schema, other: Named<'_>) -> bool {
        let names = |it: Named<'_>| match it {
            Named::Known(Type {
                kind: TypeKind::Union(members),
                ..
            }) => members
                .iter()
                .map(|id| schema.get(*id).name.clone())
                .collect(),
            it => vec![it.name().to_owned()],
        };
        let others = names(other);
        names(self).iter().any(|it| others.contains(it))
    }
}

impl<'s> Wrapped<'s> {
    pub(super) fn of(schema: &'s Schema, of: TypeRef) -> Self {
        Self {
            named: Named::Known(schema.get(of.id)),
            is_list: of.is_list,
            items_non_null: of.items_non_null,
            non_null: of.non_null,
        }
    }

    /// The type of an item of a list; another type without its own `!`.
    pub(super) fn item(self) -> Self {
        Self {
            is_list: false,
            items_non_null: false,
            non_null: self.items_non_null,
            ..self
        }
    }

    pub(super) fn nullable(self) -> Self {
        Self {
            non_null: false,
            ..self
        }
    }

    pub(super) fn show(self) -> String {
        let name = self.named.name();
        let mut out = match (self.is_list, self.items_non_null) {
            (false, _) => name.to_owned(),
            (true, false) => format!("[{name}]"),
            (true, true) => format!("[{name}!]"),
        };
        if self.non_null {
            out.push('!');
        }
        out
    }
}

/// The type with this name.
pub(super) fn named<'s>(schema: &'s Schema, name: &str) -> Option<Named<'s>> {
    match schema.by_name(name) {
        Some(it) => Some(Named::Known(it)),
        None => META.iter().find(|it| it.name == name).map(Named::Meta),
    }
}

pub(super) fn wrapped<'s>(schema: &'s Schema, text: &str) -> Option<Wrapped<'s>> {
    let (text, non_null) = match text.strip_suffix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let (name, is_list) = (inner.unwrap_or(text), inner.is_some());
    let (name, items_non_null) = match name.strip_suffix('!') {
        Some(name) => (name, true),
        None => (name, false),
    };
    Some(Wrapped {
        named: named(schema, name)?,
        is_list,
        items_non_null,
        non_null,
    })
}

/// The field of a type.
pub(super) fn field<'s>(schema: &'s Schema, of: Named<'s>, name: &str) -> Option<FieldOf<'s>> {
    let plain = |text: &str| {
        Some(FieldOf {
            of: wrapped(schema, text)?,
            arguments: Vec::new(),
        })
    };
    let is_query = matches!(of, Named::Known(it) if std::ptr::eq(it, schema.query()));
    match name {
        "__typename" if of.is_composite() => return plain("String!"),
        "__schema" if is_query => return plain("__Schema!"),
        "__type" if is_query => {
            let arguments = vec![("name", wrapped(schema, "String!")?)];
            return Some(FieldOf {
                of: wrapped(schema, "__Type")?,
                arguments,
            });
        }
        _ => {}
    }
    match of {
        Named::Known(it) => {
            let field = it.fields()?.get(name)?;
            let arguments = field.arguments.iter();
            let arguments = arguments.map(|(name, it): (&String, &InputValue)| {
                (name.as_str(), Wrapped::of(schema, it.of))
            });
            Some(FieldOf {
                of: Wrapped::of(schema, field.of),
                arguments: arguments.collect(),
            })
        }
        Named::Meta(it) => {
            let (_, text, takes) = it.fields.iter().find(|(known, ..)| *known == name)?;
            let arguments = match takes {
                true => vec![("includeDeprecated", wrapped(schema, "Boolean")?)],
                false => Vec::new(),
            };
            Some(FieldOf {
                of: wrapped(schema, text)?,
                arguments,
            })
        }
    }
}

/// The names of all fields of a type.
pub(super) fn field_names<'s>(of: Named<'s>) -> Vec<&'s str> {
    match of {
        Named::Known(it) => it
            .fields()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect(),
        Named::Meta(it) => it.fields.iter().map(|(name, ..)| *name).collect(),
    }
}
