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

/// The methods that a gateway routes, as `/package.Service/Method`: unary and server-streaming
/// ones. Empty where there are none, for other kinds of services, and without the feature
/// `preflight`.
#[cfg(feature = "preflight")]
pub(crate) fn routes_of(service: &Resolved) -> Vec<String> {
    use super::ServiceKind;
    use crate::rules::proto::path_of;

    if service.kind != ServiceKind::Proto {
        return Vec::new();
    }
    let compiled = compile(service).ok();
    compiled
        .iter()
        .flat_map(|compiled| compiled.routed_methods().map(|method| path_of(&method)))
        .collect()
}

#[cfg(not(feature = "preflight"))]
pub(crate) fn routes_of(_: &Resolved) -> Vec<String> {
    Vec::new()
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
