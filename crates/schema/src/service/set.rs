//! Several services registered together.

use std::collections::{BTreeSet, HashSet};

#[cfg(feature = "preflight")]
use super::ServiceKind;
#[cfg(feature = "preflight")]
use super::evidence::Parsed;
use super::{Checks, Purpose, Resolved, Service};
use crate::finding::CheckError;
use crate::finding::Finding;
use crate::finding::Findings;
use crate::finding::Rule;
use crate::gateway::GatewayRelease;
use crate::gateway::{MAX_REQUEST_BYTES, MAX_STORED_BYTES, stored_bytes};
#[cfg(feature = "preflight")]
use crate::graphql::{FailureKind, FlawKind, Selection, Source, Sources};

/// Reserved for the address, the instance id and a spelling of the address not known yet.
const REQUEST_SLACK_BYTES: usize = 4_096;

/// Checks services that are registered together, without a network: namespaces, versions and, with
/// the feature `preflight`, the schemas. Reads directories of proto files.
///
/// Returns the warnings.
///
/// # Errors
///
/// At least one finding is an error: a gateway would not serve the services.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::{Service, check};
///
/// let greeter = Service::proto("syntax = \"proto3\"; package greeter.v1;").namespace("greeter");
/// assert!(check(&[greeter])?.is_empty());
/// # Ok::<(), tower_gwag_schema::CheckError>(())
/// ```
pub fn check(given: &[Service]) -> Result<Findings, CheckError> {
    check_for(given, GatewayRelease::default())
}

/// As [`check`], for a given release of the gateway; [`check`] uses the newest known release.
///
/// # Errors
///
/// As [`check`].
pub fn check_for(given: &[Service], release: GatewayRelease) -> Result<Findings, CheckError> {
    let mut found = Findings::default();
    let services = resolve(given, Checks::All(release), Purpose::Check, &mut found);
    found.extend(sizes(&services));
    found.extend(not_allowable(given.iter().flat_map(Service::allowed)));
    found.into_result()
}

/// Every service that resolves to a binding.
#[doc(hidden)]
pub fn resolve(
    services: &[Service],
    checks: Checks,
    purpose: Purpose,
    found: &mut Findings,
) -> Vec<Resolved> {
    let mut names = HashSet::new();
    let mut all = Vec::new();
    // Which services are allowed to share a route with others.
    #[cfg(feature = "preflight")]
    let mut may_share = Vec::new();
    for (given, position) in services.iter().zip(1..) {
        let (resolved, of_service) = given.resolve(position, checks, purpose);
        found.extend(of_service);
        let mut names_of_parts = HashSet::new();
        for service in resolved {
            let name = service.name();
            let is_twice = !names.insert(name.clone());
            if !names_of_parts.insert(name.clone()) {
                found.add(Finding::error(
                    Rule::DuplicateService,
                    format!(
                        "two services of one file become `{name}` when it is split: rename one, or \
                         move it to its own entry file"
                    ),
                ));
            } else if is_twice {
                found.add(Finding::error(
                    Rule::DuplicateService,
                    format!("service `{name}` is given twice: change a namespace or a version"),
                ));
            }
            #[cfg(feature = "preflight")]
            may_share.push(given.allowed().contains(&Rule::CallsSharedRoutes));
            all.push(service);
        }
    }
    #[cfg(feature = "preflight")]
    {
        if let (Checks::All(release), true) = (checks, all.len() > 1) {
            for service in &mut all {
                service.evidence.compile(&service.binding);
            }
            found.extend(together(&all, release));
            found.extend(super::calls::shared_routes(&all, &may_share));
        }
        if purpose != Purpose::Schema {
            for service in &mut all {
                service.evidence.parsed = None;
            }
        }
    }
    all
}

/// The GraphQL schema that a gateway of this release serves for these services if nothing else is
/// registered: what `GET /api/schema/graphql?service=…` returns for all of them.
///
/// # Errors
///
/// The services cannot be registered or their schema cannot be built, with the findings of [`check`];
/// or one is a GraphQL endpoint without its [schema](Service::schema).
#[cfg(feature = "preflight")]
pub fn graphql_schema(
    services: &[Service],
    release: GatewayRelease,
) -> Result<crate::graphql::Schema, CheckError> {
    let mut found = Findings::default();
    let resolved = resolve(services, Checks::All(release), Purpose::Schema, &mut found);
    found.extend(unknown_schemas(&resolved));
    let found = found.into_result()?;
    let failures = match sources(&resolved, release).schema(&Selection::ALL) {
        Ok(schema) => return Ok(schema),
        Err(failures) => failures,
    };
    // These failures were allowed; otherwise the check above would have returned them.
    let mut found = found;
    found.extend(
        failures
            .iter()
            .map(|it| Finding::error(Rule::TypesTogether, it.to_string())),
    );
    Err(CheckError::new(Rule::TypesTogether, found))
}

/// A finding for each service whose schema is known only to the running endpoint.
#[cfg(feature = "preflight")]
pub(crate) fn unknown_schemas<'a>(
    services: impl IntoIterator<Item = &'a Resolved>,
) -> Vec<Finding> {
    let unknown = services
        .into_iter()
        .filter(|it| it.kind == ServiceKind::GraphQl && it.evidence.parsed.is_none());
    let finding = |service: &Resolved| {
        let message = "the schema of a GraphQL endpoint is unknown until it runs";
        let help = "pass it to `Service::schema`, as SDL or as the reply to an introspection query";
        let mut finding = Finding::error(Rule::GraphQlUnchecked, message).help(help);
        finding.name(&service.namespace);
        finding
    };
    unknown.map(finding).collect()
}

/// The schema of resolved services, as far as it can be built.
#[cfg(feature = "preflight")]
pub(crate) fn schema_of(services: &[Resolved], release: GatewayRelease) -> crate::graphql::Schema {
    sources(services, release).judge(&Selection::ALL).0
}

#[cfg(feature = "preflight")]
fn sources(services: &[Resolved], release: GatewayRelease) -> Sources<'_> {
    let mut sources = Sources::of(release);
    for service in services {
        let source = match service.evidence.parsed.as_deref() {
            Some(Parsed::Proto(compiled)) => Source::Proto(compiled),
            Some(Parsed::OpenApi(document)) => Source::OpenApi(document.as_json()),
            Some(Parsed::GraphQl(introspection)) => Source::GraphQl(introspection),
            None => continue,
        };
        sources.add(&service.namespace, service.version, source);
    }
    sources
}

/// Reasons why a gateway cannot serve services together that it can serve alone.
#[cfg(feature = "preflight")]
fn together(services: &[Resolved], release: GatewayRelease) -> Vec<Finding> {
    let all = sources(services, release);
    let (schema, failures) = all.judge(&Selection::ALL);
    if failures.is_empty() && schema.flaws().is_empty() {
        return Vec::new();
    }
    let mut alone = HashSet::new();
    for service in services {
        let one = sources(std::slice::from_ref(service), release);
        let (_, failures) = one.judge(&Selection::ALL);
        alone.extend(failures.into_iter().map(|it| (it.kind, it.name)));
    }
    let new = failures
        .into_iter()
        .filter(|it| !alone.contains(&(it.kind, it.name.clone())));
    let mut told = HashSet::new();
    let mut found: Vec<Finding> = new
        .filter(|it| told.insert(it.name.clone()))
        .map(|it| {
            let name = &it.name;
            let message = match it.kind {
                FailureKind::TypeCollision => format!(
                    "two types are called `{name}` in the schema that gateways make of the services \
                     together"
                ),
                _ => format!(
                    "`{name}` appears twice in the schema that gateways make of the services \
                     together"
                ),
            };
            let help = "change a namespace, a proto package or the name of a component";
            Finding::error(Rule::TypesTogether, message).help(help)
        })
        .collect();
    let twice = schema
        .flaws()
        .iter()
        .filter(|it| it.kind == FlawKind::TwoDefinitions);
    found.extend(twice.map(|it| {
        let message = format!(
            "two services define `{}` differently, and gateways use one of the definitions for \
             both, not always the same one",
            it.name
        );
        let help = "give each version of a service its own proto package";
        Finding::warning(Rule::TypesTogether, message).help(help)
    }));
    found
}

/// Checks that a gateway accepts the size of the request, and that a clustered one can store each service.
#[doc(hidden)]
#[must_use]
pub fn sizes(services: &[Resolved]) -> Vec<Finding> {
    let mut found = Vec::new();
    let size = |service: &Resolved| service.binding.size();
    let bytes = services.iter().map(size).sum::<usize>() + REQUEST_SLACK_BYTES;
    if bytes > MAX_REQUEST_BYTES {
        let largest = services.iter().max_by_key(|service| size(service));
        let name = largest.map(Resolved::name).unwrap_or_default();
        let message = format!(
            "the registration takes about {bytes} bytes, and a gateway accepts at most \
             {MAX_REQUEST_BYTES}; the largest service is `{name}`"
        );
        let help = "send fewer or smaller schemas";
        return vec![Finding::error(Rule::RequestSize, message).help(help)];
    }
    for service in services {
        let binding = &service.binding;
        let imports = binding.proto_imports.iter();
        let imports = imports.map(|(name, text)| (name.len(), text.len()));
        let schemas = [&binding.proto_source, &binding.openapi_spec];
        let schemas = schemas.into_iter().map(|text| (0, text.len()));
        let stored = stored_bytes(imports.chain(schemas));
        if stored > MAX_STORED_BYTES {
            let message = format!(
                "the schema takes about {stored} bytes in a clustered gateway's store, whose limit \
                 is {MAX_STORED_BYTES}: a clustered gateway refuses it, a standalone one does not"
            );
            let mut finding = Finding::warning(Rule::ClusteredSize, message)
                .help("send fewer or smaller files, or split the service");
            finding.name(&service.namespace);
            found.push(finding);
        }
    }
    found
}

/// A warning for each allowed rule that cannot be allowed.
#[doc(hidden)]
pub fn not_allowable<'a>(allowed: impl IntoIterator<Item = &'a Rule>) -> Vec<Finding> {
    let allowed: BTreeSet<Rule> = allowed.into_iter().copied().collect();
    let finding = |rule: Rule| {
        let message =
            format!("`allow` has no effect on `{rule}`, because every gateway enforces it");
        Finding::warning(Rule::NotAllowable, message).help("remove the call")
    };
    let in_vain = allowed.into_iter().filter(|rule| !rule.is_allowable());
    in_vain.map(finding).collect()
}
