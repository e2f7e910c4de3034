//! What happens to the calls of a service, and which services receive each other's calls.

use std::collections::{BTreeMap, HashMap};

use super::evidence::Parsed;
use super::{Checks, Purpose, Resolved, Service};
use crate::calls::{Calls, CallsOf, of_graphql, of_openapi, of_proto};
use crate::finding::{CheckError, Finding, Rule};
use crate::gateway::GatewayRelease;
use crate::openapi::Document;
use crate::proto::{Compiled, path_of};

impl Service {
    /// What happens to the calls of this service behind a gateway: for each operation and each ingress,
    /// what is carried, changed or lost, and what fails. Reads directories of proto files.
    ///
    /// The rules `calls-…` of [`check`](crate::check) refuse or warn of the worst cases; the table lists
    /// all of them, allowed or not.
    ///
    /// # Errors
    ///
    /// The service cannot be registered for other reasons, with the findings of [`check`](crate::check); or
    /// it is a GraphQL endpoint without [`schema`](Self::schema).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag_schema::Service;
    /// use tower_gwag_schema::calls::{Fate, Ingress};
    ///
    /// let pets = Service::proto(
    ///     "syntax = \"proto3\"; package pets.v1;
    ///      service Pets { rpc GetPet(Id) returns (Pet); }
    ///      message Id { string pet_id = 1; } message Pet { string name = 1; }",
    /// );
    /// let calls = pets.namespace("pets").calls()?;
    /// println!("{calls}");
    /// let get_pet = calls.operations().next().expect("one");
    /// assert_eq!(get_pet.by(Ingress::Grpc).fate(), Fate::Carried);
    /// // GraphQL callers cannot set `pet_id`.
    /// assert_eq!(get_pet.by(Ingress::GraphQl).fate(), Fate::Lost);
    /// # Ok::<(), tower_gwag_schema::CheckError>(())
    /// ```
    pub fn calls(&self) -> Result<Calls, CheckError> {
        let checks = Checks::All(GatewayRelease::default());
        let (resolved, mut found) = self.resolve(1, checks, Purpose::Schema);
        found.allow(Rule::ALL.iter().filter(|rule| rule.is_about_calls()));
        found.extend(super::unknown_schemas(&resolved));
        found.into_result()?;
        Ok(Calls::of(resolved.iter().flat_map(calls_of).collect()))
    }
}

fn calls_of(service: &Resolved) -> Vec<CallsOf> {
    let Some(parsed) = service.evidence.parsed() else {
        return Vec::new();
    };
    let release = GatewayRelease::default();
    let schema = super::schema_of(std::slice::from_ref(service), release);
    let version = service.version.to_string();
    let operations = match parsed {
        Parsed::Proto(compiled) => of_proto(compiled, &schema),
        Parsed::OpenApi(document) => {
            of_openapi((&service.namespace, &version), document, &schema, release)
        }
        Parsed::GraphQl(it) => of_graphql((&service.namespace, &version), it, &schema),
    };
    let of = |operation| CallsOf::new(service.name(), operation);
    operations.into_iter().map(of).collect()
}

// === shared routes: gateways route by path, without version or service ===

/// If more templates have the same length, the rest are not compared.
const MOST_TEMPLATES: usize = 2_000;

/// Each pair of services that share a route; services marked in `may_share` are skipped.
pub(super) fn shared_routes(services: &[Resolved], may_share: &[bool]) -> Vec<Finding> {
    let mut shared: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let mut fixed: HashMap<(String, String), Vec<usize>> = HashMap::new();
    // By method and number of segments; each template with the index of its service.
    type Owned = (usize, Vec<String>);
    let mut templates: HashMap<(String, usize), Vec<Owned>> = HashMap::new();
    for (number, service) in services.iter().enumerate() {
        if may_share.get(number) == Some(&true) {
            continue;
        }
        for (method, path) in routes(service) {
            if !path.contains('{') {
                let owners = fixed.entry((method, path)).or_default();
                if owners.last() != Some(&number) {
                    owners.push(number);
                }
                continue;
            }
            let segments: Vec<String> = path.split('/').map(normal).collect();
            let known = templates.entry((method, segments.len())).or_default();
            known.push((number, segments));
        }
    }
    for ((method, path), owners) in fixed {
        for (first, second) in pairs(&owners) {
            let shown = format!("{method}{path}");
            shared.entry((first, second)).or_default().push(shown);
        }
    }
    for ((method, _), known) in templates {
        let known = known
            .get(..MOST_TEMPLATES.min(known.len()))
            .unwrap_or_default();
        for (at, (first, one)) in known.iter().enumerate() {
            for (second, other) in known.iter().skip(at + 1) {
                if first != second && meet(one, other) {
                    let shown = format!("{method}{}", one.join("/"));
                    let pair = (*first.min(second), *first.max(second));
                    let all = shared.entry(pair).or_default();
                    if !all.contains(&shown) {
                        all.push(shown);
                    }
                }
            }
        }
    }
    let finding = |((first, second), mut routes): ((usize, usize), Vec<String>)| {
        routes.sort();
        let (one, other) = (services.get(first)?, services.get(second)?);
        let example = routes.first()?;
        let more = match routes.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!(
            "`{}` and `{}` share the route `{example}`{more}: gateways (1.1 and 1.4) send all its \
             calls to one of the two, and choose anew whenever any service registers",
            one.name(),
            other.name()
        );
        let help = "give each its own path: with the version in the paths of an OpenAPI document, \
                    or in the package of a proto";
        Some(Finding::warning(Rule::CallsSharedRoutes, message).help(help))
    };
    shared.into_iter().filter_map(finding).collect()
}

fn pairs(owners: &[usize]) -> Vec<(usize, usize)> {
    let firsts = owners.iter().enumerate();
    firsts
        .flat_map(|(at, first)| owners.iter().skip(at + 1).map(|second| (*first, *second)))
        .collect()
}

/// A segment, with the name of its parameter removed.
fn normal(segment: &str) -> String {
    match segment.contains('{') {
        true => "{}".to_owned(),
        false => segment.to_owned(),
    }
}

/// Whether any path matches both.
fn meet(one: &[String], other: &[String]) -> bool {
    let both = one.iter().zip(other);
    one.len() == other.len()
        && both
            .into_iter()
            .all(|(a, b)| a == b || a == "{}" || b == "{}")
}

/// The routes of a service, as method and path; gRPC routes have an empty method.
fn routes(service: &Resolved) -> Vec<(String, String)> {
    match service.evidence.parsed() {
        Some(Parsed::Proto(compiled)) => routes_of_proto(compiled),
        Some(Parsed::OpenApi(document)) => routes_of_document(document),
        // Their routes include the namespace and the version.
        Some(Parsed::GraphQl(_)) | None => Vec::new(),
    }
}

fn routes_of_proto(compiled: &Compiled) -> Vec<(String, String)> {
    let methods = compiled.routed_methods();
    methods.map(|it| (String::new(), path_of(&it))).collect()
}

fn routes_of_document(document: &Document) -> Vec<(String, String)> {
    let operations = document.operations().into_iter();
    operations
        .filter(|it| crate::calls::is_served(&it.method))
        .map(|it| (format!("{} ", it.method), it.path))
        .collect()
}
