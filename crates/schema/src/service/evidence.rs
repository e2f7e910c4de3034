//! What is known of a service's schema without asking a gateway.

use super::{Resolved, ServiceKind};
use crate::schema_hash::SchemaHash;

/// What the compiled schema tells; nothing without the feature `preflight`.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// `None` for GraphQL, whose hash is that of the introspection reply.
    hash: Option<SchemaHash>,
    /// `/package.Service/Method` of a method that a gateway routes.
    route: Option<String>,
    /// Some operations of an OpenAPI document, by their ids: gateways give most documents gRPC
    /// routes, too.
    operations: Vec<String>,
    /// A gateway's schema must show something of it.
    has_operations: bool,
}

/// The canonical hash of a service; `None` where only a gateway can know it.
#[must_use]
pub fn hash_of(service: &Resolved) -> Option<&SchemaHash> {
    service.evidence.hash.as_ref()
}

/// Methods that a gateway routes, as `/package.Service/Method`, or may route where this is no proto.
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

/// Whether a gateway's schema must show something of it; false where that is not known.
#[must_use]
pub fn has_operations(service: &Resolved) -> bool {
    service.kind == ServiceKind::GraphQl || service.evidence.has_operations
}

/// The encoded FileDescriptorSet that a gateway makes of a proto; compiled anew.
#[cfg(feature = "preflight")]
#[must_use]
pub fn descriptors_of(service: &Resolved) -> Option<Vec<u8>> {
    use crate::hash;
    use crate::proto;

    if service.kind != ServiceKind::Proto {
        return None;
    }
    let binding = &service.binding;
    let (source, imports) = (&binding.proto_source, &binding.proto_imports);
    let compiled = proto::compile(&service.namespace, source, imports).ok()?;
    Some(hash::descriptor_set(&compiled).0)
}

#[cfg(feature = "preflight")]
pub(super) use inspect::inspect;

#[cfg(feature = "preflight")]
mod inspect {
    use super::Evidence;
    use crate::finding::Finding;
    use crate::hash;
    use crate::name::is_name;
    use crate::openapi;
    use crate::openapi::Operation;
    use crate::proto;
    use crate::schema_hash::SchemaHash;
    use crate::service::Binding;
    use crate::service::{Purpose, ServiceKind};

    const MOST_PROBED: usize = 3;
    const SERVED: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

    /// Compiles or reads the schema of a binding once, for all that is to be known of it. `entry`
    /// is what the user calls the entry file of a proto, `given` the document before any repair.
    pub(in crate::service) fn inspect(
        binding: &Binding,
        kind: ServiceKind,
        entry: &str,
        given: &[u8],
        purpose: Purpose,
    ) -> (Vec<Finding>, Evidence) {
        match kind {
            ServiceKind::Proto => of_proto(binding, entry, purpose),
            ServiceKind::OpenApi => {
                let document = &binding.openapi_spec;
                let (found, read) = openapi::check::check(&binding.version, document, given);
                let mut operations = read.map(|it| it.operations()).unwrap_or_default();
                // Gateways look at no others.
                operations.retain(|it| SERVED.contains(&&*it.method));
                let evidence = Evidence {
                    hash: Some(SchemaHash::exact(hash::of_bytes(document))),
                    route: None,
                    has_operations: !operations.is_empty(),
                    operations: probed(&operations),
                };
                (found, evidence)
            }
            ServiceKind::GraphQl => (Vec::new(), Evidence::default()),
        }
    }

    /// A few of them: whether an operation has a route hangs on its schemas, too.
    fn probed(operations: &[Operation]) -> Vec<String> {
        let ids = operations.iter().filter_map(|it| it.id.clone());
        ids.filter(|id| is_name(id)).take(MOST_PROBED).collect()
    }

    fn of_proto(binding: &Binding, entry: &str, purpose: Purpose) -> (Vec<Finding>, Evidence) {
        let namespace = match binding.namespace.as_str() {
            "" => proto::UNNAMED,
            namespace => namespace,
        };
        let outcome = proto::compile(namespace, &binding.proto_source, &binding.proto_imports);
        let found = proto::check::check(namespace, &binding.version, entry, &outcome);
        let evidence = match &outcome {
            Ok(compiled) => Evidence {
                // It takes nearly as long as all the rest.
                hash: (purpose == Purpose::Register).then(|| hash::of_proto(compiled)),
                route: compiled
                    .routed_methods()
                    .next()
                    .map(|it| proto::path_of(&it)),
                has_operations: compiled.routed_methods().next().is_some(),
                operations: Vec::new(),
            },
            Err(fault) => Evidence {
                hash: Some(SchemaHash::unsure(None, &*fault.text)),
                route: None,
                has_operations: false,
                operations: Vec::new(),
            },
        };
        (found, evidence)
    }
}
