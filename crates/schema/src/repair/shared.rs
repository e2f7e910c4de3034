//! Moves the parameters of a path to its operations: gateways ignore those of the path, so callers could
//! not send them, and `/books/{id}` would be called literally.

use std::collections::{BTreeSet, HashSet};

use crate::json::Value;

use super::walk;
use crate::name::is_name;
use crate::openapi::METHODS;
use crate::openapi::references::{decoded, path_item, target};

/// The most copies of parameters: a path has few operations, but documents can be generated.
const MOST_COPIES: usize = 100_000;

pub(super) fn hand_down(root: &mut Value) -> Vec<String> {
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
                "{count} {parameters} of the path `{path}` became those of its operations"
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
