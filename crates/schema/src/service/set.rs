//! Several services that are registered together.

use std::collections::{BTreeSet, HashSet};

use super::{Checks, Purpose, Resolved, Service};
use crate::finding::CheckError;
use crate::finding::Finding;
use crate::finding::Findings;
use crate::finding::Rule;
use crate::size::{MAX_REQUEST_BYTES, MAX_STORED_BYTES, stored_bytes};

/// Room for the address, the instance id and a spelling of the address not known yet.
const REQUEST_SLACK_BYTES: usize = 4_096;

/// Checks services that are registered together, without a network: namespaces, versions and, with
/// the feature `preflight`, the schemas. Directories of proto files are read.
///
/// Returns the warnings.
///
/// # Errors
///
/// There is at least one finding that would keep a gateway from serving.
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
    let mut found = Findings::default();
    let services = resolve(given, Checks::All, Purpose::Check, &mut found);
    found.extend(sizes(&services));
    found.extend(not_allowable(given.iter().flat_map(Service::allowed)));
    found.into_result()
}

/// Every service of which there is a binding.
#[doc(hidden)]
pub fn resolve(
    services: &[Service],
    checks: Checks,
    purpose: Purpose,
    found: &mut Findings,
) -> Vec<Resolved> {
    let mut names = HashSet::new();
    let mut all = Vec::new();
    for (service, position) in services.iter().zip(1..) {
        let (resolved, of_service) = service.resolve(position, checks, purpose);
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
                         give it an entry file of its own"
                    ),
                ));
            } else if is_twice {
                found.add(Finding::error(
                    Rule::DuplicateService,
                    format!("service `{name}` is given twice: change a namespace or a version"),
                ));
            }
            all.push(service);
        }
    }
    all
}

/// The request must be one that a gateway receives, each service one that a clustered one stores.
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
            "the registration takes about {bytes} bytes, and a gateway receives at most \
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
                "the schema takes about {stored} bytes in a clustered gateway's store, which takes \
                 at most {MAX_STORED_BYTES}: such a gateway refuses it, a standalone one does not"
            );
            let mut finding = Finding::warning(Rule::ClusteredSize, message)
                .help("send fewer or smaller files, or split the service");
            finding.name(&service.namespace);
            found.push(finding);
        }
    }
    found
}

/// What was allowed and cannot be.
#[doc(hidden)]
pub fn not_allowable<'a>(allowed: impl IntoIterator<Item = &'a Rule>) -> Vec<Finding> {
    let allowed: BTreeSet<Rule> = allowed.into_iter().copied().collect();
    let finding = |rule: Rule| {
        let message = format!("`allow` has no effect on `{rule}`, which no gateway lets pass");
        Finding::warning(Rule::NotAllowable, message).help("remove the call")
    };
    let in_vain = allowed.into_iter().filter(|rule| !rule.is_allowable());
    in_vain.map(finding).collect()
}
