//! What this crate knows about a service's schema without asking a gateway.

#[cfg(feature = "preflight")]
use super::bundle::Checked;
use super::{Resolved, ServiceKind};
use crate::hash::SchemaHash;

/// Facts taken from the compiled schema; empty without the feature `preflight`.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// `None` for GraphQL, whose hash is that of the introspection reply.
    hash: Option<SchemaHash>,
    /// `/package.Service/Method` of a method that a gateway routes.
    route: Option<String>,
    /// The ids of some operations of an OpenAPI document: gateways give most documents gRPC routes,
    /// too.
    operations: Vec<String>,
    /// Whether a gateway's schema must show an operation of this service.
    has_operations: bool,
    /// The parsed schema, for checks that span several services.
    #[cfg(feature = "preflight")]
    pub(super) parsed: Option<std::sync::Arc<Parsed>>,
}

/// The part that a bundle stores, if the hash is known.
#[cfg(feature = "preflight")]
pub(super) fn to_bundle(service: &Resolved) -> Option<Checked> {
    let evidence = &service.evidence;
    let hash = evidence.hash.as_ref()?;
    Some(Checked {
        namespace: service.namespace.clone(),
        hash: hash.hex()?.to_owned(),
        doubt: hash.doubt().map(str::to_owned),
        route: evidence.route.clone(),
        has_operations: evidence.has_operations,
    })
}

#[cfg(feature = "preflight")]
impl Evidence {
    /// Restores what a bundle stores about a service that was checked before.
    pub(super) fn of_bundle(checked: &Checked) -> Self {
        let hex = checked.hash.clone();
        let hash = match &checked.doubt {
            None => SchemaHash::exact(hex),
            Some(doubt) => SchemaHash::unsure(Some(hex), doubt),
        };
        Self {
            hash: Some(hash),
            route: checked.route.clone(),
            has_operations: checked.has_operations,
            ..Self::default()
        }
    }

    /// Compiles a proto that was not compiled because its bundle was already checked.
    pub(super) fn compile(&mut self, binding: &super::Binding) {
        if self.parsed.is_none() && !binding.proto_source.is_empty() {
            let (source, imports) = (&binding.proto_source, &binding.proto_imports);
            let compiled = crate::proto::compile(&binding.namespace, source, imports);
            self.parsed = compiled.ok().map(|it| Parsed::Proto(it).into());
        }
    }
}

/// A parsed schema.
#[cfg(feature = "preflight")]
#[derive(Debug)]
pub(crate) enum Parsed {
    Proto(crate::proto::Compiled),
    OpenApi(crate::openapi::Document),
    GraphQl(crate::graphql::Introspection),
}

#[cfg(feature = "preflight")]
impl Evidence {
    pub(crate) fn parsed(&self) -> Option<&Parsed> {
        self.parsed.as_deref()
    }
}

/// The canonical hash of a service; `None` if only a gateway can know it.
#[must_use]
pub fn hash_of(service: &Resolved) -> Option<&SchemaHash> {
    service.evidence.hash.as_ref()
}

/// Methods that a gateway routes, as `/package.Service/Method`, or may route if this is not a proto.
#[must_use]
pub fn routes_of(service: &Resolved) -> Vec<String> {
    let (namespace, version) = (&service.namespace, &service.version);
    let of_operation = |id: &String| format!("/{namespace}.{version}.Service/{id}");
    let operations = service.evidence.operations.iter().map(of_operation);
    service
        .evidence
        .route
        .iter()
        .cloned()
        .chain(operations)
        .collect()
}

/// Whether a gateway's schema must show an operation of this service; false if unknown.
#[must_use]
pub fn has_operations(service: &Resolved) -> bool {
    service.kind == ServiceKind::GraphQl || service.evidence.has_operations
}

/// The encoded FileDescriptorSet that a gateway builds from a proto; compiles it anew.
#[cfg(feature = "preflight")]
#[must_use]
pub fn descriptors_of(service: &Resolved) -> Option<Vec<u8>> {
    use crate::{hash, proto};

    if service.kind != ServiceKind::Proto {
        return None;
    }
    let binding = &service.binding;
    let (source, imports) = (&binding.proto_source, &binding.proto_imports);
    let compiled = proto::compile(&service.namespace, source, imports).ok()?;
    Some(hash::descriptor_set(&compiled).0)
}

#[cfg(feature = "preflight")]
pub(super) use inspect::{Reading, Subject, inspect};

#[cfg(feature = "preflight")]
mod inspect {
    use super::{Evidence, Parsed};
    use crate::finding::{Finding, Rule};
    use crate::gateway::GatewayRelease;
    use crate::hash::SchemaHash;
    use crate::name::is_name;
    use crate::openapi::{Document, Operation};
    use crate::service::Binding;
    use crate::service::{Purpose, ServiceKind};
    use crate::{checks, hash, openapi, proto};

    /// An OpenAPI document as it was read, or why it cannot be read.
    pub(in crate::service) type Reading = Result<Document, openapi::Fault>;

    const MOST_PROBED: usize = 3;
    const SERVED: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    /// The schema to inspect.
    pub(in crate::service) struct Subject<'a> {
        pub(in crate::service) binding: &'a Binding,
        pub(in crate::service) kind: ServiceKind,
        /// The user's name for the entry file of a proto.
        pub(in crate::service) entry: &'a str,
        /// The text of an OpenAPI document before any repair.
        pub(in crate::service) given: &'a [u8],
        /// The rules that the user allows.
        pub(in crate::service) allowed: &'a [Rule],
        /// The schema of a GraphQL endpoint, if given.
        pub(in crate::service) introspection: Option<&'a [u8]>,
    }

    /// Compiles or reads the schema of a binding once, for everything that is derived from it.
    pub(in crate::service) fn inspect(
        subject: &Subject<'_>,
        document: Option<Reading>,
        purpose: Purpose,
        release: GatewayRelease,
    ) -> (Vec<Finding>, Evidence) {
        let binding = subject.binding;
        let (namespace, version) = (&binding.namespace, &binding.version);
        match subject.kind {
            ServiceKind::Proto => of_proto(subject, purpose, release),
            ServiceKind::OpenApi => {
                let text = &binding.openapi_spec;
                let document = document.unwrap_or_else(|| openapi::read(text));
                let (given, allowed) = (subject.given, subject.allowed);
                let checked =
                    checks::openapi::check(namespace, version, document, given, allowed, release);
                let operations = checked.document.as_ref().map(Document::operations);
                let mut operations = operations.unwrap_or_default();
                // Gateways ignore all other methods.
                operations.retain(|it| SERVED.contains(&&*it.method));
                let evidence = Evidence {
                    hash: Some(SchemaHash::exact(hash::of_bytes(text))),
                    route: None,
                    has_operations: checked.has_operations,
                    operations: probed(&operations),
                    parsed: checked.document.map(|it| Parsed::OpenApi(it).into()),
                };
                (checked.found, evidence)
            }
            ServiceKind::GraphQl => {
                let (found, read) =
                    checks::graphql::check(namespace, version, subject.introspection, release);
                let evidence = Evidence {
                    parsed: read.map(|it| Parsed::GraphQl(it).into()),
                    ..Evidence::default()
                };
                (found, evidence)
            }
        }
    }

    /// A few operations only: whether an operation has a route depends on its schemas, too.
    fn probed(operations: &[Operation]) -> Vec<String> {
        let ids = operations.iter().filter_map(|it| it.id.clone());
        ids.filter(|id| is_name(id)).take(MOST_PROBED).collect()
    }

    fn of_proto(
        subject: &Subject<'_>,
        purpose: Purpose,
        release: GatewayRelease,
    ) -> (Vec<Finding>, Evidence) {
        let binding = subject.binding;
        let namespace = match binding.namespace.as_str() {
            "" => proto::UNNAMED,
            namespace => namespace,
        };
        let outcome = proto::compile(namespace, &binding.proto_source, &binding.proto_imports);
        let (found, has_operations) = checks::proto::check(
            namespace,
            &binding.version,
            subject.entry,
            &outcome,
            release,
        );
        let evidence = match outcome {
            Ok(compiled) => {
                let route = compiled.routed_methods().next();
                Evidence {
                    // Hashing takes nearly as long as everything else together.
                    hash: (purpose == Purpose::Register).then(|| hash::of_proto(&compiled)),
                    route: route.map(|it| proto::path_of(&it)),
                    has_operations,
                    operations: Vec::new(),
                    parsed: Some(Parsed::Proto(compiled).into()),
                }
            }
            Err(fault) => Evidence {
                hash: Some(SchemaHash::unsure(None, &*fault.text)),
                ..Evidence::default()
            },
        };
        (found, evidence)
    }
}
