//! Parameters of a path become those of its operations: gateways do not look at the former, so that
//! callers could not give them, and `/books/{id}` would be called as it stands.

use std::collections::HashSet;

use serde_json::Value;

use super::walk;
use crate::name::is_name;
use crate::openapi::METHODS;
use crate::openapi::references::{decoded, path_item, target};

/// What parameters may grow by, in number: a path has few operations, but documents are made.
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
    // What others refer to stays where it is.
    let mut referred = Vec::new();
    walk::objects(root, &mut |object| {
        let reference = object.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|it| decoded(it.strip_prefix('#')?));
        referred.extend(pointer.filter(|it| it.contains("/parameters/")));
    });
    referred.retain(|it| !it.starts_with("/components/parameters/"));
    for path in names {
        let Some(item) = root.get("paths").and_then(|it| it.get(&path)) else {
            continue;
        };
        let (item, pointer) = path_item(root, &path, item);
        let parameters = format!("{pointer}/parameters/");
        if referred.iter().any(|it| it.starts_with(&parameters)) {
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

/// A path item whose operations have its parameters, and how many that are.
fn handed_down(root: &Value, item: &Value, left: &mut usize) -> Option<(Value, usize)> {
    let shared = item
        .get("parameters")?
        .as_array()
        .filter(|it| !it.is_empty())?;
    let methods = METHODS
        .iter()
        .filter(|it| item.get(**it).is_some_and(Value::is_object));
    let methods: Vec<_> = methods.collect();
    // Nobody uses them.
    if methods.is_empty() {
        return None;
    }
    *left = left.checked_sub(shared.len().saturating_mul(methods.len()))?;
    // One that is no parameter is told by the check.
    shared.iter().try_for_each(|it| key(root, it).map(|_| ()))?;
    // What would be refused in an operation does no harm where it is.
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
        let operation = changed.get_mut(*method)?.as_object_mut()?;
        let own = match operation.get("parameters") {
            None | Some(Value::Null) => Vec::new(),
            Some(own) => own.as_array()?.clone(),
        };
        let told: HashSet<_> = own.iter().filter_map(|it| key(root, it)).collect();
        // Those of the operation stand for those of the path, and keep their places in the list.
        let more = shared
            .iter()
            .copied()
            .filter(|it| key(root, it).is_none_or(|it| !told.contains(&it)));
        let all: Vec<Value> = own.iter().chain(more).cloned().collect();
        operation.insert("parameters".to_owned(), all.into());
    }
    Some((changed.into(), shared.len()))
}

/// Whether gateways can make an argument of a parameter: of a good name, and no union.
fn can_be_argument(root: &Value, parameter: &Value) -> bool {
    let reference = |it: &Value| Some(it.get("$ref")?.as_str()?.to_owned());
    let found = |it: Value| match reference(&it) {
        Some(reference) => target(root, &reference).map(|(it, _)| it.clone()),
        None => Some(it),
    };
    let Some(parameter) = found(parameter.clone()) else {
        return false;
    };
    let schema = parameter.get("schema").cloned().and_then(found);
    let is_union = |it: &Value| ["oneOf", "anyOf"].iter().any(|key| it.get(*key).is_some());
    key(root, &parameter).is_some_and(|(_, name)| is_name(name))
        && !schema.is_some_and(|it| is_union(&it))
}

/// What tells parameters apart.
fn key<'a>(root: &'a Value, parameter: &'a Value) -> Option<(&'a str, &'a str)> {
    let reference = parameter.get("$ref").and_then(Value::as_str);
    let parameter = match reference {
        Some(reference) => target(root, reference)?.0,
        None => parameter,
    };
    Some((
        parameter.get("in")?.as_str()?,
        parameter.get("name")?.as_str()?,
    ))
}
