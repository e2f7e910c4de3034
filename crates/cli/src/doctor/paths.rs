//! Services that share an HTTP path or a gRPC route: a gateway sends all calls to one of them.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::{Pages, Slot};

/// The methods that gateways route.
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
/// The most templates that are compared with each other.
const MOST: usize = 2_000;

/// A path or route, and the services that have it.
pub(crate) fn shared(pages: &Pages) -> Vec<(String, BTreeSet<Slot>)> {
    let mut owners: BTreeMap<String, BTreeSet<Slot>> = BTreeMap::new();
    let mut templates: Vec<(String, Vec<String>, String, Slot)> = Vec::new();
    for (slot, document) in &pages.documents {
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS.iter().filter(|it| item.get(**it).is_some()) {
                let name = format!("{} {path}", method.to_ascii_uppercase());
                if path.contains('{') && templates.len() < MOST {
                    let parts = path.split('/').map(str::to_owned).collect();
                    templates.push(((*method).to_owned(), parts, name, slot.clone()));
                } else {
                    owners.entry(name).or_default().insert(slot.clone());
                }
            }
        }
    }
    for (slot, set) in &pages.protos {
        for file in &set.file {
            let package = file.package();
            let dot = if package.is_empty() { "" } else { "." };
            for service in &file.service {
                for method in service.method.iter().filter(|it| !it.client_streaming()) {
                    let route = format!("gRPC /{package}{dot}{}/{}", service.name(), method.name());
                    owners.entry(route).or_default().insert(slot.clone());
                }
            }
        }
    }
    let mut found: Vec<(String, BTreeSet<Slot>)> =
        owners.into_iter().filter(|(_, it)| it.len() > 1).collect();
    for (at, (method, parts, name, slot)) in templates.iter().enumerate() {
        for (other_method, other_parts, other_name, other) in &templates[at + 1..] {
            if method == other_method && slot != other && overlap(parts, other_parts) {
                let both = match name == other_name {
                    true => name.clone(),
                    false => format!("{name} and {other_name}"),
                };
                let owners = BTreeSet::from([slot.clone(), other.clone()]);
                match found.iter_mut().find(|(it, _)| *it == both) {
                    Some((_, all)) => all.extend(owners),
                    None => found.push((both, owners)),
                }
            }
        }
    }
    found
}

/// Whether a path can match both templates.
fn overlap(one: &[String], other: &[String]) -> bool {
    let is_open = |part: &String| part.starts_with('{') && part.ends_with('}');
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(a, b)| a == b || is_open(a) || is_open(b))
}
