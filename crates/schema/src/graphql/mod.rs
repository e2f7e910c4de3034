//! The GraphQL schema that a gateway serves, built from the sources of its services as the gateway
//! builds it: equal byte for byte to `GET /api/schema/graphql`, without a gateway.
//!
//! One model answers all questions: what an API will look like, why a gateway cannot serve it and which
//! part of the source is at fault, which call is behind a field, and what a change breaks.

mod assemble;
mod descriptions;
mod failure;
mod ir;
mod model;
mod names;
mod openapi;
mod openapi_as_grpc;
mod proto;
mod sdl_parser;
mod sdl_printer;
#[cfg(test)]
mod tests;
mod types;
mod upstream;

use std::collections::BTreeMap;

use crate::gateway::GatewayRelease;
use crate::json::Value;
use crate::name::reserved_character;
use crate::proto::Compiled;
use crate::version::{Version, VersionFault};

pub use crate::location::{Location, Pointer};
pub use descriptions::{Annotation, AnnotationValue};
pub use failure::{Failure, FailureKind};
pub use model::{
    Destination, EnumValue, Field, FieldSource, Flaw, FlawKind, InputValue, Operation,
    OperationKind, Origin, Schema, Target, Type, TypeId, TypeKind, TypeRef,
};
#[doc(hidden)]
pub use openapi_as_grpc::{GrpcMethod, grpc_methods};
pub use sdl_parser::SdlError;
pub use upstream::Introspection;

/// The services registered with a gateway, from which it builds its schemas.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    release: GatewayRelease,
    sources: Vec<Registered<'a>>,
    stable: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
struct Registered<'a> {
    namespace: &'a str,
    version: Version,
    deprecated: Option<&'a str>,
    source: Source<'a>,
}

/// The schema of a service.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// A compiled proto.
    Proto(&'a Compiled),
    /// An OpenAPI document.
    OpenApi(&'a Value),
    /// The introspection of a GraphQL upstream.
    GraphQl(&'a Introspection),
}

impl<'a> Sources<'a> {
    /// No services yet, for a release of the gateway.
    #[must_use]
    pub fn of(release: GatewayRelease) -> Self {
        Self {
            release,
            ..Self::default()
        }
    }

    /// Adds a service.
    pub fn add(&mut self, namespace: &'a str, version: Version, source: Source<'a>) {
        self.sources.push(Registered {
            namespace,
            version,
            deprecated: None,
            source,
        });
    }

    /// Sets an operator's reason for deprecating a version.
    pub fn deprecate(&mut self, namespace: &str, version: Version, reason: &'a str) {
        let mut sources = self.sources.iter_mut();
        let found = sources.find(|it| it.namespace == namespace && it.version == version);
        if let Some(it) = found {
            it.deprecated = Some(reason);
        }
    }

    /// Sets the vN behind a namespace's `stable`; default: the highest one.
    pub fn stable(&mut self, namespace: impl Into<String>, number: u64) {
        self.stable.insert(namespace.into(), number);
    }

    /// The schema that the gateway serves for a selection.
    ///
    /// # Errors
    ///
    /// The gateway cannot build it: all known failures. The gateway itself reports one of the first.
    pub fn schema(&self, selection: &Selection) -> Result<Schema, Vec<Failure>> {
        match self.judge(selection) {
            (schema, failures) if failures.is_empty() => Ok(schema),
            (_, failures) => Err(failures),
        }
    }

    /// The schema of a selection as far as it can be built, and the failures of a gateway.
    pub(crate) fn judge(&self, selection: &Selection) -> (Schema, Vec<Failure>) {
        let mut pool = proto::Pool::default();
        let mut two_definitions = Vec::new();
        let mut chosen = Vec::new();
        for it in &self.sources {
            // The pool has the types of all services, whatever is selected.
            let number = match it.source {
                Source::Proto(compiled) => {
                    two_definitions.extend(pool.add(proto::Comments::new(compiled)));
                    Some(pool.sources().len() - 1)
                }
                _ => None,
            };
            if !it.namespace.starts_with('_') && selection.has(it.namespace, it.version) {
                chosen.push((it, number));
            }
        }
        chosen.sort_by_key(|(it, _)| assemble::order(it.namespace, it.version));
        let mut services = Vec::new();
        for (it, number) in chosen {
            let (namespace, version, deprecated) = (it.namespace, it.version, it.deprecated);
            match it.source {
                Source::Proto(_) => {
                    let comments = number.and_then(|number| pool.sources().get(number));
                    if let Some(comments) = comments {
                        services.extend(proto::services(namespace, version, deprecated, comments));
                    }
                }
                Source::OpenApi(root) => {
                    let release = self.release;
                    let service = openapi::service(namespace, version, deprecated, root, release);
                    services.push(service);
                }
                Source::GraphQl(it) => {
                    services.push(upstream::service(namespace, version, deprecated, it));
                }
            }
        }
        let assembled = assemble::assemble(&services, &pool, &self.stable_numbers());
        let (mut schema, failures) = failure::judge(assembled, &services);
        for (name, location) in two_definitions {
            schema.flaws.push(Flaw {
                kind: FlawKind::TwoDefinitions,
                name,
                location,
            });
        }
        (schema, failures)
    }

    fn stable_numbers(&self) -> BTreeMap<String, u64> {
        let mut stable = BTreeMap::new();
        for it in &self.sources {
            if let Some(number) = it.version.number() {
                let highest = stable.entry(it.namespace.to_owned()).or_insert(number);
                *highest = number.max(*highest);
            }
        }
        stable.extend(self.stable.clone());
        stable
    }
}

/// Namespaces, or single versions of them; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<(String, Option<Version>)>);

impl Selection {
    /// Everything that is registered.
    pub const ALL: Self = Self(Vec::new());

    /// Adds a namespace with all its versions, or one version.
    #[must_use]
    pub fn with(mut self, namespace: impl Into<String>, version: Option<Version>) -> Self {
        self.0.push((namespace.into(), version));
        self
    }

    /// Parses `ns,other:v2` as the schema endpoint does.
    ///
    /// # Errors
    ///
    /// The endpoint's error message for an invalid text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut selection = Self::ALL;
        for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let fault = |why: &str| format!("service selector {part:?}: {why}");
            let (namespace, version) = match part.split_once(':') {
                Some((namespace, version)) => (namespace.trim(), Some(version.trim())),
                None => (part, None),
            };
            if reserved_character(namespace).is_some() {
                let why = format!("namespace {namespace:?} contains reserved character");
                return Err(fault(&why));
            }
            let version = version.map(|it| {
                Version::parse(it).map_err(|why| match why {
                    VersionFault::StableAlias => fault(&format!(
                        "version {it:?}: stable is a computed alias; register vN instead"
                    )),
                    VersionFault::Syntax => fault(&format!("version {it:?}: no vN or unstable")),
                })
            });
            let version = version.transpose()?;
            selection = selection.with(namespace, version);
        }
        Ok(selection)
    }

    /// Whether it selects a version of a namespace.
    #[must_use]
    pub fn has(&self, namespace: &str, version: Version) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|(name, only)| name == namespace && only.is_none_or(|only| only == version))
    }
}
