//! The content of a source, before namespaces and versions are turned into a schema.

use std::collections::HashMap;

use super::descriptions::Annotation;
use super::model::{Destination, OperationKind, Target};
use crate::location::Location;
use crate::version::Version;

/// One service of a source; a proto file with two `service`s yields two.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) version: Version,
    /// The operator's reason.
    pub(super) deprecated: Option<String>,
    pub(super) types: Types,
    pub(super) entries: Vec<Entry>,
}

/// Where the types of a service are declared.
#[derive(Debug)]
pub(super) enum Types {
    /// In the pool of all proto types, by full name.
    Pool,
    OpenApi(HashMap<String, Declared>),
    GraphQl(HashMap<String, Declared>),
}

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Operation(Operation),
    Group(Group),
}

/// A field of a GraphQL upstream that leads to operations.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) kind: OperationKind,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) result: Ref,
    pub(super) description: Option<String>,
    pub(super) deprecated: Option<String>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) target: Target,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) of: Ref,
    pub(super) description: Option<String>,
    pub(super) destination: Destination,
    pub(super) location: Location,
}

/// A reference to a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ref {
    pub(super) to: To,
    pub(super) non_null: bool,
    pub(super) is_list: bool,
    pub(super) items_non_null: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    Scalar(Scalar),
    Named(String),
}

/// The scalars that every gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scalar {
    Int,
    Float,
    /// The same type in the schema; gRPC distinguishes them.
    Single,
    String,
    Boolean,
    Id,
    Upload,
    Long,
    /// For OpenAPI and GraphQL sources.
    Json,
    /// The same type in the schema, for OpenAPI objects with free property names; gRPC distinguishes them.
    JsonMap,
    /// For proto maps: a different type of the same name.
    ProtoJson,
}

/// A type declared by a source.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) kind: DeclaredKind,
    pub(super) description: Option<String>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) enum DeclaredKind {
    /// In order: a later field replaces an earlier one of the same name.
    Object(Vec<DeclaredField>),
    /// An input object of a GraphQL upstream.
    Input(Vec<DeclaredField>),
    Enum(Vec<DeclaredValue>),
    Union(Vec<String>),
    Scalar,
}

#[derive(Clone, Debug)]
pub(super) struct DeclaredField {
    /// The name in the schema.
    pub(super) name: String,
    /// The name in the source.
    pub(super) source: String,
    pub(super) of: Ref,
    pub(super) description: Option<String>,
    pub(super) deprecated: Option<String>,
    pub(super) annotations: Vec<Annotation>,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) struct DeclaredValue {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) deprecated: Option<String>,
    pub(super) location: Location,
}

impl Ref {
    pub(super) fn scalar(scalar: Scalar) -> Self {
        Self::to(To::Scalar(scalar))
    }

    pub(super) fn named(name: impl Into<String>) -> Self {
        Self::to(To::Named(name.into()))
    }

    fn to(to: To) -> Self {
        Self {
            to,
            non_null: false,
            is_list: false,
            items_non_null: false,
        }
    }

    /// The type without `!` and list.
    pub(super) fn bare(self) -> Self {
        Self::to(self.to)
    }
}
