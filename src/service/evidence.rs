//! What is known of a service's schema without asking a gateway.

use super::Resolved;
use crate::rules::schema_hash::SchemaHash;

/// What the compiled schema tells; nothing without the feature `preflight`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// `None` for GraphQL, whose hash is that of the introspection reply.
    hash: Option<SchemaHash>,
    /// `/package.Service/Method` of the methods that a gateway routes.
    routes: Vec<String>,
}

/// The canonical hash of a service; `None` where only a gateway can know it.
#[allow(dead_code, reason = "for the read-back")]
pub(crate) fn hash_of(service: &Resolved) -> Option<&SchemaHash> {
    service.evidence.hash.as_ref()
}

/// The methods that a gateway routes, as `/package.Service/Method`: unary and server-streaming
/// ones of a proto binding.
#[allow(dead_code, reason = "for the route probe")]
pub(crate) fn routes_of(service: &Resolved) -> &[String] {
    &service.evidence.routes
}

#[cfg(feature = "preflight")]
pub(super) use inspect::inspect;

#[cfg(feature = "preflight")]
mod inspect {
    use super::Evidence;
    use crate::control::proto::ServiceBinding;
    use crate::rules::finding::Finding;
    use crate::rules::schema_hash::SchemaHash;
    use crate::rules::{hash, openapi_check, proto, proto_check};
    use crate::service::ServiceKind;

    /// Compiles or reads the schema of a binding once, for all that is to be known of it. `entry`
    /// is what the user calls the entry file of a proto.
    pub(in crate::service) fn inspect(
        binding: &ServiceBinding,
        kind: ServiceKind,
        entry: &str,
    ) -> (Vec<Finding>, Evidence) {
        match kind {
            ServiceKind::Proto => of_proto(binding, entry),
            ServiceKind::OpenApi => {
                let document = &binding.openapi_spec;
                let (found, _) = openapi_check::check(&binding.version, document);
                let evidence = Evidence {
                    hash: Some(SchemaHash::exact(hash::of_bytes(document))),
                    routes: Vec::new(),
                };
                (found, evidence)
            }
            ServiceKind::GraphQl => (Vec::new(), Evidence::default()),
        }
    }

    fn of_proto(binding: &ServiceBinding, entry: &str) -> (Vec<Finding>, Evidence) {
        let namespace = match binding.namespace.as_str() {
            "" => proto::UNNAMED,
            namespace => namespace,
        };
        let outcome = proto::compile(namespace, &binding.proto_source, &binding.proto_imports);
        let found = proto_check::check(namespace, &binding.version, entry, &outcome);
        let evidence = match &outcome {
            Ok(compiled) => Evidence {
                hash: Some(hash::of_proto(compiled)),
                routes: compiled
                    .routed_methods()
                    .map(|it| proto::path_of(&it))
                    .collect(),
            },
            Err(fault) => Evidence {
                hash: Some(SchemaHash::unsure(None, &*fault.text)),
                routes: Vec::new(),
            },
        };
        (found, evidence)
    }
}
