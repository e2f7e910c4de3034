//! The checks that both profiles make before they register anything, in the gateway's order.

use std::collections::HashSet;

use tokio::time::Instant;
use tonic::Status;

use super::binding::{Binding, Caps, Kind, Schema};
use super::introspect::introspect;
use crate::builder::Tier;
use crate::freeze::Gate;
use tower_gwag::control::proto::{RegisterRequest, ServiceBinding};
use tower_gwag_schema::gateway::stored_bytes;
use tower_gwag_schema::version::{Version, VersionFault};
use tower_gwag_schema::{hash, name, openapi, proto};

/// A checked Register request.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) addr: String,
    pub(crate) instance_id: String,
    pub(crate) ttl_seconds: u32,
    pub(crate) bindings: Vec<Binding>,
}

/// What the checks need besides the request.
pub(crate) struct Conditions<'a> {
    /// The accepted versions; empty means all.
    pub(crate) tiers: &'a [Tier],
    pub(crate) gate: &'a Gate,
    pub(crate) deadline: Option<Instant>,
}

/// The lease of a registration that asks for none.
const DEFAULT_TTL_SECONDS: u32 = 30;

fn refuse(text: impl std::fmt::Display) -> Status {
    Status::unknown(format!("controlplane: {text}"))
}

/// Checks a Register, and introspects its GraphQL endpoints.
///
/// # Errors
///
/// The first refusal; nothing was changed.
pub(crate) async fn prepare(
    request: RegisterRequest,
    conditions: &Conditions<'_>,
) -> Result<Prepared, Status> {
    if request.addr.is_empty() {
        return Err(refuse("addr is required"));
    }
    if request.services.is_empty() {
        return Err(refuse("at least one ServiceBinding is required"));
    }
    let mut taken = HashSet::new();
    let mut bindings = Vec::with_capacity(request.services.len());
    for service in request.services {
        bindings.push(prepare_binding(service, &mut taken, conditions).await?);
    }
    Ok(Prepared {
        addr: request.addr,
        instance_id: request.instance_id,
        ttl_seconds: match request.ttl_seconds {
            0 => DEFAULT_TTL_SECONDS,
            seconds => seconds,
        },
        bindings,
    })
}

async fn prepare_binding(
    service: ServiceBinding,
    taken: &mut HashSet<(String, String)>,
    conditions: &Conditions<'_>,
) -> Result<Binding, Status> {
    let stored_size = stored_size(&service);
    let caps = Caps {
        total: service.max_concurrency,
        per_instance: service.max_concurrency_per_instance,
    };
    let forms = [
        !service.proto_source.is_empty(),
        !service.openapi_spec.is_empty(),
        !service.graphql_endpoint.is_empty(),
    ];
    let mut claim = |namespace: String| -> Result<(String, String), Status> {
        let key = (
            check_namespace(namespace)?,
            check_version(&service.version, conditions.tiers)?,
        );
        if !taken.insert(key.clone()) {
            let (namespace, version) = key;
            return Err(refuse(format_args!(
                "duplicate (namespace={namespace}, version={version}) in request"
            )));
        }
        Ok(key)
    };
    let (key, kind, hash, schema) = match forms {
        [true, false, false] => {
            let namespace = match service.namespace.as_str() {
                "" => proto::UNNAMED.to_owned(),
                namespace => namespace.to_owned(),
            };
            let compiled =
                proto::compile(&namespace, &service.proto_source, &service.proto_imports).map_err(
                    |fault| {
                        let note = match fault.unsupported {
                            true => " (a real gateway compiles editions, the embedded one cannot)",
                            false => "",
                        };
                        refuse(format_args!(
                            "compile proto: compile {namespace}.proto: {}{note}",
                            fault.text
                        ))
                    },
                )?;
            let hash = hash::of_proto(&compiled);
            // A compiled source has a hash.
            let hash = hash.hex().unwrap_or_default().to_owned();
            let key = claim(namespace)?;
            (key, Kind::Proto, hash, Schema::Proto(compiled))
        }
        [false, true, false] => {
            let document = openapi::parse(&service.openapi_spec)
                .map_err(|reason| refuse(format_args!("parse openapi spec: {reason}")))?;
            let namespace = match service.namespace.as_str() {
                "" => name::fold_title(document.title()),
                namespace => namespace.to_owned(),
            };
            let hash = hash::of_bytes(&service.openapi_spec);
            let key = claim(namespace)?;
            (key, Kind::OpenApi, hash, Schema::OpenApi(document))
        }
        [false, false, true] => {
            if service.namespace.is_empty() {
                return Err(refuse(
                    "a graphql_endpoint binding requires an explicit namespace",
                ));
            }
            let key = claim(service.namespace)?;
            let endpoint = service.graphql_endpoint;
            let data = introspect(&endpoint, conditions.gate, conditions.deadline).await?;
            let hash = hash::of_bytes(data.as_deref().unwrap_or_default().as_bytes());
            (key, Kind::GraphQl, hash, Schema::GraphQl { endpoint, data })
        }
        [false, false, false] => {
            return Err(refuse(
                "a ServiceBinding must set proto_source, openapi_spec or graphql_endpoint",
            ));
        }
        _ => {
            return Err(refuse(
                "a ServiceBinding may set only one of proto_source, openapi_spec and graphql_endpoint",
            ));
        }
    };
    Ok(Binding::new(key, kind, hash, caps, schema, stored_size))
}

fn check_namespace(namespace: String) -> Result<String, Status> {
    match name::reserved_character(&namespace) {
        None => Ok(namespace),
        Some(found) => Err(refuse(format_args!(
            "namespace {namespace:?} contains reserved character {found:?}"
        ))),
    }
}

fn check_version(text: &str, tiers: &[Tier]) -> Result<String, Status> {
    let version = Version::parse(text).map_err(|fault| {
        refuse(match fault {
            VersionFault::StableAlias => format!(
                "version {text:?}: stable is a computed alias; register a vN instead"
            ),
            VersionFault::Syntax => format!(
                "version {text:?}: must be \"unstable\" or \"vN\" with N at least 1 and no leading zeros"
            ),
        })
    })?;
    let tier = if version.is_unstable() {
        Tier::Unstable
    } else {
        Tier::Numbered
    };
    if !tiers.is_empty() && !tiers.contains(&tier) {
        let allowed: Vec<String> = tiers.iter().map(ToString::to_string).collect();
        return Err(refuse(format_args!(
            "tier {:?} is not in --allow-tier policy (allowed: {})",
            tier.to_string(),
            allowed.join(", ")
        )));
    }
    Ok(version.to_string())
}

/// The size of a binding in a cluster's store.
fn stored_size(service: &ServiceBinding) -> usize {
    let imports = service.proto_imports.iter();
    let imports = imports.map(|(name, text)| (name.len(), text.len()));
    let schemas = [&service.proto_source, &service.openapi_spec];
    stored_bytes(imports.chain(schemas.into_iter().map(|text| (0, text.len()))))
}
