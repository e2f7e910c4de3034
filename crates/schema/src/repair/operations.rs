//! Generates operationIds that are missing or unusable from method and path.

use std::collections::{HashMap, HashSet};

use crate::json::Value;

use super::{FreeNames, walk};
use crate::name::{is_name, suggest};
use crate::openapi::{Operation, operations};

pub(super) fn name(version: &str, root: &mut Value) -> Vec<String> {
    let mut taken = HashSet::from([version.to_owned(), "stable".to_owned()]);
    let mut kept = HashSet::new();
    let mut open = Vec::new();
    // Valid ids are collected first, so that no generated one collides with them.
    for operation in operations(root) {
        match &operation.id {
            // Gateways do not serve such operations, but refuse two with the same id.
            None if !is_served(&operation) => {}
            Some(id) if (is_name(id) || !is_served(&operation)) && taken.insert(id.clone()) => {
                kept.insert(id.clone());
            }
            _ => open.push(operation),
        }
    }
    let mut done = Vec::new();
    let mut renamed = HashMap::new();
    let mut free = FreeNames::default();
    for operation in open {
        let made = free.find(&made_name(&operation), |it| !taken.contains(it));
        let found = root.pointer_mut(&operation.pointer);
        let Some(object) = found.and_then(Value::as_object_mut) else {
            continue;
        };
        object.insert("operationId".to_owned(), made.clone().into());
        taken.insert(made.clone());
        let place = format!("{} {}", operation.method, operation.path);
        done.push(match operation.id {
            None => format!("the operationId `{made}` was made for {place}"),
            Some(id) => {
                let text = format!("the operationId `{id}` of {place} became `{made}`");
                // If several operations share an id, links refer to the first.
                if !kept.contains(&id) {
                    renamed.entry(id).or_insert(made);
                }
                text
            }
        });
    }
    if !renamed.is_empty() {
        follow_links(root, &renamed);
    }
    done
}

fn is_served(operation: &Operation) -> bool {
    !matches!(operation.method.as_str(), "HEAD" | "OPTIONS" | "TRACE")
}

/// `GET /pets/{pet_id}/toys` is `get_pets_by_pet_id_toys`.
fn made_name(operation: &Operation) -> String {
    let method = operation.method.to_ascii_lowercase();
    let parts = operation.path.split('/').filter(|part| !part.is_empty());
    let parts = parts.map(|part| {
        let inner = part.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        inner.map_or_else(|| part.to_owned(), |name| format!("by_{name}"))
    });
    let name: Vec<_> = std::iter::once(method).chain(parts).collect();
    suggest(&name.join("_"))
}

fn follow_links(root: &mut Value, renamed: &HashMap<String, String>) {
    walk::objects_mut(root, &mut |object| {
        let links = object.get_mut("links").and_then(Value::as_object_mut);
        for (_, link) in links.into_iter().flatten() {
            if let Some(Value::String(id)) = link.get_mut("operationId")
                && let Some(made) = renamed.get(id)
            {
                id.clone_from(made);
            }
        }
    });
}
