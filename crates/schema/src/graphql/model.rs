//! A GraphQL schema as a gateway serves it, and what is behind each of its fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pointer::Pointer;
use super::text::Annotation;
use crate::version::Version;

/// The GraphQL schema that a gateway serves.
///
/// `Display` prints it as `GET /api/schema/graphql` does, byte for byte.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Every type that was made, reachable or not.
    pub(super) all: Vec<Type>,
    /// What can be reached from the root types, by name.
    pub(super) by_name: BTreeMap<String, TypeId>,
    pub(super) query: TypeId,
    pub(super) mutation: Option<TypeId>,
    pub(super) subscription: Option<TypeId>,
    /// The directives that printed elements carry, with the types of their arguments.
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
    /// The name; empty where the source has one that is none in GraphQL and that gateways do not
    /// notice.
    pub name: String,
    /// What it consists of.
    pub kind: TypeKind,
    /// The text above it.
    pub description: Option<String>,
    /// Directives behind its name.
    pub annotations: Vec<Annotation>,
    /// Where it comes from.
    pub origin: Origin,
    /// Where its declaration is.
    pub place: Place,
    /// Names that GraphQL does not have: its own or those of enum values.
    pub(super) bad_names: Vec<(String, Place)>,
}

/// What a type consists of.
#[derive(Clone, Debug)]
pub enum TypeKind {
    /// Fields, by name.
    Object(BTreeMap<String, Field>),
    /// Input fields, by name.
    Input(BTreeMap<String, InputValue>),
    /// Values, by name.
    Enum(BTreeMap<String, EnumValue>),
    /// Object types, in the order of the source; one may be there more than once.
    Union(Vec<TypeId>),
    /// A scalar.
    Scalar,
}

/// Where a type comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The gateway itself: root types, containers of namespaces, versions and groups, scalars.
    Gateway,
    /// A message or enum, by its full name.
    Proto(String),
    /// A component schema, or an inline schema under the name made for it.
    OpenApi {
        /// Of the service.
        namespace: String,
        /// Of the service.
        version: Version,
        /// The name without the prefix of the namespace.
        name: String,
    },
    /// A type of a GraphQL upstream.
    GraphQl {
        /// Of the service.
        namespace: String,
        /// Of the service.
        version: Version,
        /// The name that the upstream has for it.
        name: String,
    },
}

/// A place in a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// No place in a source.
    #[default]
    Nowhere,
    /// A file, and a path into its FileDescriptorProto.
    Proto(Arc<str>, Vec<i32>),
    /// A JSON pointer into an OpenAPI document.
    OpenApi(Pointer),
    /// A line and column of an SDL text, both from 1; 0 and 0 for an introspection.
    GraphQl(usize, usize),
}

/// A type with its wrappers: `T`, `T!`, `[T]`, `[T!]`, `[T]!` or `[T!]!`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeRef {
    /// The named type.
    pub id: TypeId,
    /// `!` at the end.
    pub non_null: bool,
    /// Whether it is a list.
    pub is_list: bool,
    /// `!` within the list.
    pub items_non_null: bool,
}

/// A field of an object type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its arguments, by name.
    pub arguments: BTreeMap<String, InputValue>,
    /// The type of its value.
    pub of: TypeRef,
    /// The text above it.
    pub description: Option<String>,
    /// The reason, where it is deprecated.
    pub deprecated: Option<String>,
    /// Directives behind it.
    pub annotations: Vec<Annotation>,
    /// Where its value comes from.
    pub source: FieldSource,
    /// Where its declaration is.
    pub place: Place,
}

/// Where the value of a field comes from.
#[derive(Clone, Debug)]
pub enum FieldSource {
    /// A container that the gateway adds: of a namespace, a version, `stable` or a group.
    Container,
    /// A call of a service.
    Operation(Arc<Operation>),
    /// A part of the value around it, under the name that the source has for it.
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
    /// The text above it.
    pub description: Option<String>,
    /// Directives behind it; arguments have none.
    pub annotations: Vec<Annotation>,
    /// The name that the source has for it; empty for `_void`.
    pub source: String,
    /// Where an argument goes.
    pub location: Location,
    /// Where its declaration is.
    pub place: Place,
}

/// Where an argument goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Location {
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
    /// The text above it.
    pub description: Option<String>,
    /// The reason, where it is deprecated.
    pub deprecated: Option<String>,
    /// Where its declaration is.
    pub place: Place,
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
    /// The name of the field, without what a subscription has in front of it.
    pub name: String,
    /// What is called.
    pub target: Target,
    /// Where its declaration is.
    pub place: Place,
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
        /// Whether the client streams: then gateways have no route for it.
        is_client_streaming: bool,
        /// Whether the server streams.
        is_server_streaming: bool,
    },
    /// An operation of an OpenAPI document.
    Http {
        /// In upper case.
        method: &'static str,
        /// As in the document, with its `{parameters}`.
        path: String,
    },
    /// A field of a GraphQL upstream: the groups around it, and its own name.
    GraphQl {
        /// From the root type down.
        path: Vec<String>,
    },
}

/// What is wrong with a schema that gateways serve all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flaw {
    /// What it is.
    pub kind: FlawKind,
    /// The name at fault.
    pub name: String,
    /// Where it comes from.
    pub place: Place,
}

/// What sort of flaw it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlawKind {
    /// The text has nothing where the name of a type should be, because the source's is no name.
    NamelessType,
    /// An input type is printed under a name that GraphQL does not have.
    InputTypeName,
    /// An enum has lost its values, all of which are no names.
    EmptyEnum,
    /// An enum may have lost values, because one is no name.
    EnumLosesValues,
    /// An enum has `true`, `false` or `null` as a value.
    ReservedEnumValue,
    /// A description ends such that its block string does not.
    Description,
    /// A directive is printed under a name that GraphQL does not have.
    DirectiveName,
    /// Two services define one full name differently, and a gateway draws lots.
    TwoDefinitions,
}

impl FlawKind {
    /// Whether the schema as text is no GraphQL.
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

    /// Every type that can be reached, by name, built-in scalars included.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.by_name.values().map(|id| self.get(*id))
    }

    /// The same with their ids.
    pub(crate) fn types_with_ids(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.by_name.values().map(|id| (*id, self.get(*id)))
    }

    /// The type `Query`.
    #[must_use]
    pub fn query(&self) -> &Type {
        self.get(self.query)
    }

    /// The type `Mutation`, if there is an operation of it.
    #[must_use]
    pub fn mutation(&self) -> Option<&Type> {
        self.mutation.map(|id| self.get(id))
    }

    /// The type `Subscription`, if there is an operation of it.
    #[must_use]
    pub fn subscription(&self) -> Option<&Type> {
        self.subscription.map(|id| self.get(id))
    }

    /// What is wrong with the schema although it is served.
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
    pub fn fields(&self) -> Option<&BTreeMap<String, Field>> {
        match &self.kind {
            TypeKind::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// The fields of an input object.
    #[must_use]
    pub fn input_fields(&self) -> Option<&BTreeMap<String, InputValue>> {
        match &self.kind {
            TypeKind::Input(fields) => Some(fields),
            _ => None,
        }
    }
}

// === impl Field ===

impl Field {
    /// The call behind it, if it is an operation.
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

    /// Neither `!` nor a list around it.
    pub(super) fn is_bare(self) -> bool {
        !self.non_null && !self.is_list
    }
}
