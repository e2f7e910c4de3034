//! A service, prepared from one binding of a Register.

use std::fmt;

use prost_reflect::MethodDescriptor;

use tower_gwag_schema::openapi::Document;
use tower_gwag_schema::proto::{Compiled, path_of};
use tower_gwag_schema::renderable::{self, Unrenderable};

/// The namespace and the version, both as text: the key of a slot.
pub(crate) type Key = (String, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Proto,
    OpenApi,
    GraphQl,
    /// Built into the gateway itself.
    Internal,
}

impl Kind {
    /// The prefix of a real gateway's refusals of this kind.
    pub(super) fn speaker(self) -> &'static str {
        match self {
            Self::OpenApi => "openapi",
            Self::GraphQl => "graphql",
            Self::Proto | Self::Internal => "gateway",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proto => "proto",
            Self::OpenApi => "openapi",
            Self::GraphQl => "graphql",
            Self::Internal => "internalproto",
        })
    }
}

/// Concurrency caps; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) total: u32,
    pub(crate) per_instance: u32,
}

/// One service of a registration, checked as far as Register checks in both profiles.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) key: Key,
    pub(crate) kind: Kind,
    pub(crate) hash: String,
    pub(crate) caps: Caps,
    pub(crate) schema: Schema,
    /// Its size in a cluster's store, in bytes.
    pub(crate) stored_size: usize,
    /// Why it cannot be rendered, if so.
    pub(crate) unrenderable: Option<Unrenderable>,
}

#[derive(Debug)]
pub(crate) enum Schema {
    Proto(Compiled),
    OpenApi(Document),
    GraphQl {
        endpoint: String,
        /// The `data` member of the introspection reply, unchanged, if there was one.
        data: Option<String>,
    },
    Internal,
}

impl Binding {
    pub(crate) fn new(
        key: Key,
        kind: Kind,
        hash: String,
        caps: Caps,
        schema: Schema,
        stored_size: usize,
    ) -> Self {
        let unrenderable = unrenderable(&key, &schema);
        Self {
            key,
            kind,
            hash,
            caps,
            schema,
            stored_size,
            unrenderable,
        }
    }

    /// `namespace/version`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    /// The routed methods with their paths: unary and server-streaming ones of a public namespace.
    pub(crate) fn methods(&self) -> Vec<(String, MethodDescriptor)> {
        let Schema::Proto(compiled) = &self.schema else {
            return Vec::new();
        };
        if self.key.0.starts_with('_') {
            return Vec::new();
        }
        compiled
            .routed_methods()
            .map(|method| (path_of(&method), method))
            .collect()
    }

    /// The URL of a GraphQL service.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        match &self.schema {
            Schema::GraphQl { endpoint, .. } => Some(endpoint),
            _ => None,
        }
    }
}

/// The first thing in it that cannot be rendered.
fn unrenderable((namespace, version): &Key, schema: &Schema) -> Option<Unrenderable> {
    let of_schema = || match schema {
        Schema::Proto(compiled) => renderable::proto(namespace, version, compiled)
            .into_iter()
            .next(),
        Schema::OpenApi(document) => renderable::openapi(namespace, version, document)
            .into_iter()
            .next(),
        Schema::GraphQl { .. } | Schema::Internal => None,
    };
    renderable::namespace(namespace).or_else(of_schema)
}
