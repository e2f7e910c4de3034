//! The GraphQL schema of a gateway, and what is behind each of its fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::descriptions::Annotation;
use crate::location::Location;
use crate::sorted::Sorted;
use crate::version::Version;

/// The GraphQL schema that a gateway serves.
///
/// `Display` prints it as `GET /api/schema/graphql` does, byte for byte.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Every generated type, reachable or not.
    pub(super) all: Vec<Type>,
    /// The types reachable from the root types, by name.
    pub(super) by_name: BTreeMap<String, TypeId>,
    pub(super) query: TypeId,
    pub(super) mutation: Option<TypeId>,
    pub(super) subscription: Option<TypeId>,
    /// The directives of printed elements, with the types of their arguments.
    pub(super) directives: BTreeMap<String, BTreeMap<String, &'static str>>,
    pub(super) flaws: Vec<Flaw>,
}

/// One type of a [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub(super) usize);

/// A type: an object, an input object, an enum, a union or a scalar.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Type {
    /// The name; empty if the source's name is not a GraphQL name and gateways do not notice.
    pub name: String,
    /// The contents of the type.
    pub kind: TypeKind,
    /// The description.
    pub description: Option<String>,
    /// The directives after its name.
    pub annotations: Vec<Annotation>,
    /// The origin of the type.
    pub origin: Origin,
    /// The location of its declaration.
    pub location: Location,
    /// Names that are not GraphQL names: its own or those of enum values.
    pub(super) bad_names: Vec<(String, Location)>,
}

/// The contents of a [`Type`].
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// Fields, by name.
    Object(Sorted<Field>),
    /// Input fields, by name.
    Input(Sorted<InputValue>),
    /// Values, by name.
    Enum(Sorted<EnumValue>),
    /// Object types, in the order of the source; a type may appear more than once.
    Union(Vec<TypeId>),
    /// A scalar.
    Scalar,
}

/// The origin of a [`Type`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The gateway itself: root types, containers of namespaces, versions and groups, scalars.
    Gateway,
    /// A message or enum, by its full name.
    Proto(String),
    /// A component schema, or an inline schema under its generated name.
    OpenApi {
        /// The namespace of the service.
        namespace: String,
        /// The version of the service.
        version: Version,
        /// The name without the prefix of the namespace.
        name: String,
    },
    /// A type of a GraphQL upstream.
    GraphQl {
        /// The namespace of the service.
        namespace: String,
        /// The version of the service.
        version: Version,
        /// The name in the upstream.
        name: String,
    },
}

/// A type with its wrappers: `T`, `T!`, `[T]`, `[T!]`, `[T]!` or `[T!]!`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef {
    /// The named type.
    pub id: TypeId,
    /// Whether `!` is at the end.
    pub non_null: bool,
    /// Whether it is a list.
    pub is_list: bool,
    /// Whether `!` is inside the list.
    pub items_non_null: bool,
}

/// A field of an object type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its arguments, by name.
    pub arguments: Sorted<InputValue>,
    /// The type of its value.
    pub of: TypeRef,
    /// The description.
    pub description: Option<String>,
    /// The reason, if deprecated.
    pub deprecated: Option<String>,
    /// The directives after it.
    pub annotations: Vec<Annotation>,
    /// The source of its value.
    pub source: FieldSource,
    /// The location of its declaration.
    pub location: Location,
}

/// The source of a field's value.
#[derive(Clone, Debug)]
pub enum FieldSource {
    /// A container that the gateway adds: of a namespace, a version, `stable` or a group.
    Container,
    /// A call of a service.
    Operation(Arc<Operation>),
    /// A part of the enclosing value, by its name in the source.
    Property(String),
    /// Nothing: `_status`, and `_void` of empty objects.
    Nothing,
}

/// An argument, or a field of an input object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InputValue {
    /// Its type.
    pub of: TypeRef,
    /// The description.
    pub description: Option<String>,
    /// The directives after it; arguments have none.
    pub annotations: Vec<Annotation>,
    /// The name in the source; empty for `_void`.
    pub source: String,
    /// The destination of an argument.
    pub destination: Destination,
    /// The location of its declaration.
    pub location: Location,
}

/// The destination of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A field of the request message, an argument of the upstream, a field of an input object.
    Message,
    /// A part of the path.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// A cookie.
    Cookie,
    /// The JSON body.
    Body,
    /// A part of a `multipart/form-data` body.
    Form,
}

/// A value of an enum.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EnumValue {
    /// The description.
    pub description: Option<String>,
    /// The reason, if deprecated.
    pub deprecated: Option<String>,
    /// The location of its declaration.
    pub location: Location,
}

/// A call of a service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Operation {
    /// The namespace of the service.
    pub namespace: String,
    /// The version of the service.
    pub version: Version,
    /// The root type that has it.
    pub kind: OperationKind,
    /// The name of the field, without the prefix of subscriptions.
    pub name: String,
    /// The call itself.
    pub target: Target,
    /// The location of its declaration.
    pub location: Location,
}

/// The root type of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// Of `Query`.
    Query,
    /// Of `Mutation`.
    Mutation,
    /// Of `Subscription`.
    Subscription,
}

/// What an operation calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A gRPC method.
    Grpc {
        /// `/package.Service/Method`.
        path: String,
        /// The full name of the request message.
        request: String,
        /// The full name of the response message.
        response: String,
        /// Whether the client streams; gateways have no route for that.
        is_client_streaming: bool,
        /// Whether the server streams.
        is_server_streaming: bool,
    },
    /// An operation of an OpenAPI document.
    Http {
        /// In upper case.
        method: &'static str,
        /// The path in the document, with its `{parameters}`.
        path: String,
    },
    /// A field of a GraphQL upstream, with the groups around it.
    GraphQl {
        /// From the root type down.
        path: Vec<String>,
    },
}

/// A defect of a schema that gateways serve all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flaw {
    /// The kind of defect.
    pub kind: FlawKind,
    /// The name at fault.
    pub name: String,
    /// The location at fault.
    pub location: Location,
}

/// The kind of a [`Flaw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlawKind {
    /// The text lacks the name of a type, because the name in the source is not a GraphQL name.
    NamelessType,
    /// An input type is printed under a name that is not a GraphQL name.
    InputTypeName,
    /// An enum has lost all its values, because none is a GraphQL name.
    EmptyEnum,
    /// An enum may have lost values, because one is not a GraphQL name.
    EnumLosesValues,
    /// An enum has the value `true`, `false` or `null`.
    ReservedEnumValue,
    /// A description ends in a way that leaves its block string open.
    Description,
    /// A directive is printed under a name that is not a GraphQL name.
    DirectiveName,
    /// Two services define the same full name differently, and a gateway picks one at random.
    TwoDefinitions,
}

impl FlawKind {
    /// Whether the schema as text is not valid GraphQL.
    #[must_use]
    pub fn breaks_text(self) -> bool {
        !matches!(self, Self::EnumLosesValues | Self::TwoDefinitions)
    }
}

// === impl Schema ===

impl Schema {
    /// The type behind an id.
    ///
    /// # Panics
    ///
    /// The id is of another schema.
    #[must_use]
    pub fn get(&self, id: TypeId) -> &Type {
        &self.all[id.0]
    }

    /// A type by its name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// Every reachable type, by name, built-in scalars included.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.by_name.values().map(|id| self.get(*id))
    }

    /// As [`types`](Self::types), with ids.
    pub(crate) fn types_with_ids(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.by_name.values().map(|id| (*id, self.get(*id)))
    }

    /// The type `Query`.
    #[must_use]
    pub fn query(&self) -> &Type {
        self.get(self.query)
    }

    /// The type `Mutation`, if any operation needs it.
    #[must_use]
    pub fn mutation(&self) -> Option<&Type> {
        self.mutation.map(|id| self.get(id))
    }

    /// The type `Subscription`, if any operation needs it.
    #[must_use]
    pub fn subscription(&self) -> Option<&Type> {
        self.subscription.map(|id| self.get(id))
    }

    /// The defects of the schema, although it is served.
    #[must_use]
    pub fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    /// A type with its wrappers, as it is printed.
    #[must_use]
    pub fn show(&self, of: TypeRef) -> String {
        let name = &self.get(of.id).name;
        let mut shown = match (of.is_list, of.items_non_null) {
            (false, _) => name.clone(),
            (true, false) => format!("[{name}]"),
            (true, true) => format!("[{name}!]"),
        };
        if of.non_null {
            shown.push('!');
        }
        shown
    }
}

// === impl Type ===

impl Type {
    /// The fields of an object type.
    #[must_use]
    pub fn fields(&self) -> Option<&Sorted<Field>> {
        match &self.kind {
            TypeKind::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The fields of an input object.
    #[must_use]
    pub fn input_fields(&self) -> Option<&Sorted<InputValue>> {
        match &self.kind {
            TypeKind::Input(fields) => Some(fields),
            _ => None,
        }
    }
}

// === impl Field ===

impl Field {
    /// The call behind it, if the field is an operation.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        match &self.source {
            FieldSource::Operation(operation) => Some(operation),
            _ => None,
        }
    }
}

// === impl TypeRef ===

impl TypeRef {
    pub(super) fn plain(id: TypeId) -> Self {
        Self {
            id,
            non_null: false,
            is_list: false,
            items_non_null: false,
        }
    }

    pub(super) fn required(id: TypeId) -> Self {
        let non_null = true;
        Self {
            non_null,
            ..Self::plain(id)
        }
    }

    /// Whether it has neither `!` nor a list.
    pub(super) fn is_bare(self) -> bool {
        !self.non_null && !self.is_list
    }
}
