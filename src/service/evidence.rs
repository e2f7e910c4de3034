//! What can be known of a service's schema without asking a gateway.

use super::Resolved;
use crate::rules::schema_hash::SchemaHash;

/// The canonical hash of a service; `None` for GraphQL, whose hash is that of the introspection
/// reply, and without the feature `preflight`.
#[cfg(feature = "preflight")]
pub(crate) fn hash_of(service: &Resolved) -> Option<SchemaHash> {
    use super::ServiceKind;
    use crate::rules::hash;

    match service.kind {
        ServiceKind::Proto => Some(match compile(service) {
            Ok(compiled) => hash::of_proto(&compiled),
            Err(fault) => SchemaHash::unsure(None, fault.text),
        }),
        ServiceKind::OpenApi => {
            let document = &service.binding.openapi_spec;
            Some(SchemaHash::exact(hash::of_bytes(document)))
        }
        ServiceKind::GraphQl => None,
    }
}

#[cfg(not(feature = "preflight"))]
pub(crate) fn hash_of(_: &Resolved) -> Option<SchemaHash> {
    None
}

#[cfg(feature = "preflight")]
fn compile(
    service: &Resolved,
) -> Result<crate::rules::proto::Compiled, crate::rules::proto::CompileFault> {
    let binding = &service.binding;
    crate::rules::proto::compile(
        &service.namespace,
        &binding.proto_source,
        &binding.proto_imports,
    )
}
