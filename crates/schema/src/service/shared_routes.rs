//! Services that receive each other's calls: gateways route by path, without version or service.

use std::collections::{BTreeMap, HashMap};

use crate::finding::{Finding, Rule};
use crate::openapi::Document;
use crate::proto::{Compiled, path_of};
use crate::service::Resolved;
use crate::service::evidence::Parsed;

/// If more templates have the same length, the rest are not compared.
const MOST_TEMPLATES: usize = 2_000;

/// Each pair of services that share a route; services marked in `may_share` are skipped.
pub(crate) fn findings(services: &[Resolved], may_share: &[bool]) -> Vec<Finding> {
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
            "`{}` and `{}` share the route `{example}`{more}: gateways (1.1 and 1.4) send all calls of \
             it to one of the two, and choose again whenever anybody registers",
            one.name(),
            other.name()
        );
        let help = "give each a path of its own: a version in the path of an OpenAPI document, a \
                    package for each version of a proto";
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
        Some(Parsed::Proto(compiled)) => of_proto(compiled),
        Some(Parsed::OpenApi(document)) => of_document(document),
        // Their routes include the namespace and the version.
        Some(Parsed::GraphQl(_)) | None => Vec::new(),
    }
}

fn of_proto(compiled: &Compiled) -> Vec<(String, String)> {
    let methods = compiled.routed_methods();
    methods.map(|it| (String::new(), path_of(&it))).collect()
}

fn of_document(document: &Document) -> Vec<(String, String)> {
    let operations = document.operations().into_iter();
    operations
        .filter(|it| crate::calls::is_served(&it.method))
        .map(|it| (format!("{} ", it.method), it.path))
        .collect()
}
