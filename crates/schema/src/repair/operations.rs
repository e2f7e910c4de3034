//! Repairs operations: ids that are missing or unusable, operations that paths share, and parameters of paths.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{FreeNames, walk};
use crate::json::Value;
use crate::name::{is_name, suggest};
use crate::openapi::keywords::{decoded, path_item, target};
use crate::openapi::{METHODS, Operation, operations};

/// Generates operationIds that are missing or unusable from method and path.
pub(super) fn name_operations(version: &str, root: &mut Value) -> Vec<String> {
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
            None => format!("the operationId `{made}` was generated for {place}"),
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

// === paths that share operations ===

/// Gives paths that share their operations with another path by `$ref` their own copy, because operations
/// are identified by their ids.
pub(super) fn part_twins(root: &mut Value) -> Vec<String> {
    let mut held = BTreeSet::new();
    let mut twins = Vec::new();
    let Some(Value::Object(paths)) = root.get("paths") else {
        return Vec::new();
    };
    // Paths with operations of their own keep them.
    let (own, shared): (Vec<_>, Vec<_>) = paths
        .iter()
        .map(|(path, item)| (path, item, path_item(root, path, item)))
        .partition(|(_, item, (target, _))| std::ptr::eq(*item, *target));
    held.extend(own.into_iter().map(|(_, _, (_, pointer))| pointer));
    for (path, _, (target, pointer)) in shared {
        if !held.insert(pointer) {
            twins.push((path.clone(), target.clone()));
        }
    }
    let Some(Value::Object(paths)) = root.get_mut("paths") else {
        return Vec::new();
    };
    let parted = twins.into_iter().map(|(path, item)| {
        let told = format!(
            "the path `{path}` got its own copy of its operations, which it shared with another \
             path"
        );
        paths.insert(path, item);
        told
    });
    parted.collect()
}

// === parameters of paths ===

/// The most copies of parameters: a path has few operations, but documents can be generated.
const MOST_COPIES: usize = 100_000;

/// Moves the parameters of a path to its operations: gateways ignore those of the path, so callers could
/// not send them, and `/books/{id}` would be called literally.
pub(super) fn hand_down_parameters(root: &mut Value) -> Vec<String> {
    let mut left = MOST_COPIES;
    let mut done = Vec::new();
    let paths = root.get("paths").and_then(Value::as_object);
    let names: Vec<String> = paths
        .into_iter()
        .flatten()
        .map(|(path, _)| path.clone())
        .collect();
    // Path items that others refer to stay unchanged.
    let mut referred = BTreeSet::new();
    walk::values(root, &mut |_, object| {
        let reference = object.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|it| decoded(it.strip_prefix('#')?));
        let pointer = pointer.filter(|it| it.contains("/parameters/"));
        referred.extend(pointer.filter(|it| !it.starts_with("/components/parameters/")));
    });
    for path in names {
        let Some(item) = root.get("paths").and_then(|it| it.get(&path)) else {
            continue;
        };
        let (item, pointer) = path_item(root, &path, item);
        let parameters = format!("{pointer}/parameters/");
        let first = referred.range(parameters.clone()..).next();
        if first.is_some_and(|it| it.starts_with(&parameters)) {
            continue;
        }
        let Some((item, count)) = handed_down(root, item, &mut left) else {
            continue;
        };
        if let Some(place) = root.pointer_mut(&pointer) {
            *place = item;
            let parameters = if count == 1 {
                "parameter"
            } else {
                "parameters"
            };
            done.push(format!(
                "{count} {parameters} of the path `{path}` moved to its operations"
            ));
        }
    }
    done
}

/// A path item with its parameters moved to the operations, and the number of parameters moved.
fn handed_down(root: &Value, item: &Value, left: &mut usize) -> Option<(Value, usize)> {
    let shared = item
        .get("parameters")?
        .as_array()
        .filter(|it| !it.is_empty())?;
    let methods = METHODS
        .iter()
        .filter(|it| item.get(it).is_some_and(Value::is_object));
    let methods: Vec<_> = methods.collect();
    // The parameters are unused.
    if methods.is_empty() {
        return None;
    }
    *left = left.checked_sub(shared.len().saturating_mul(methods.len()))?;
    // The check reports an invalid parameter.
    shared.iter().try_for_each(|it| key(root, it).map(|_| ()))?;
    // A parameter that would be refused in an operation is harmless in the path.
    let (shared, stays): (Vec<&Value>, Vec<&Value>) =
        shared.iter().partition(|it| can_be_argument(root, it));
    if shared.is_empty() {
        return None;
    }
    let mut changed = item.as_object()?.clone();
    changed.remove("parameters");
    if !stays.is_empty() {
        let stays: Vec<Value> = stays.into_iter().cloned().collect();
        changed.insert("parameters".to_owned(), stays.into());
    }
    for method in methods {
        let operation = changed.get_mut(method)?.as_object_mut()?;
        let own = match operation.get("parameters") {
            None | Some(Value::Null) => Vec::new(),
            Some(own) => own.as_array()?.clone(),
        };
        let told: HashSet<_> = own.iter().filter_map(|it| key(root, it)).collect();
        // The operation's parameters override those of the path, and keep their positions.
        let more = shared
            .iter()
            .copied()
            .filter(|it| key(root, it).is_none_or(|it| !told.contains(&it)));
        let all: Vec<Value> = own.iter().chain(more).cloned().collect();
        operation.insert("parameters".to_owned(), all.into());
    }
    Some((changed.into(), shared.len()))
}

/// Whether gateways can turn a parameter into an argument: its name is valid and it is not a union.
fn can_be_argument(root: &Value, parameter: &Value) -> bool {
    let found = |it| found(root, it);
    let Some(parameter) = found(parameter) else {
        return false;
    };
    let schema = parameter.get("schema").and_then(found);
    let is_union = |it: &Value| ["oneOf", "anyOf"].iter().any(|key| it.get(key).is_some());
    key(root, parameter).is_some_and(|(_, name)| is_name(name)) && !schema.is_some_and(is_union)
}

/// A value, or the target of the reference that it is.
fn found<'a>(root: &'a Value, value: &'a Value) -> Option<&'a Value> {
    match value.get("$ref").and_then(Value::as_str) {
        Some(reference) => target(root, reference).map(|it| it.0),
        None => Some(value),
    }
}

/// The identity of a parameter: its name and location.
fn key<'a>(root: &'a Value, parameter: &'a Value) -> Option<(&'a str, &'a str)> {
    let parameter = found(root, parameter)?;
    Some((
        parameter.get("in")?.as_str()?,
        parameter.get("name")?.as_str()?,
    ))
}
