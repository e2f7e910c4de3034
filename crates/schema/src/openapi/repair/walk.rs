//! Walks a document, skipping user data.

use serde_json::{Map, Value};

use crate::openapi::references::{is_data, is_map};

/// Calls `visit` with every object whose keys are keywords.
pub(super) fn objects(root: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
    each(root, false, visit);
}

/// Calls `visit` with every object whose keys are keywords, so that it can change them.
pub(super) fn objects_mut(root: &mut Value, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    each_mut(root, false, visit);
}

/// Visits every reference of the document; `change` returns the replacement.
pub(super) fn references(root: &mut Value, change: &impl Fn(&str) -> Option<String>) {
    objects_mut(root, &mut |object| {
        for key in ["$ref", "operationRef"] {
            if let Some(target) = object.get_mut(key) {
                replace(target, change);
            }
        }
        let mapping = object.get_mut("discriminator");
        let mapping = mapping.and_then(|it| it.get_mut("mapping"));
        let mapping = mapping.and_then(Value::as_object_mut);
        for (_, target) in mapping.into_iter().flatten() {
            replace(target, change);
        }
    });
}

fn replace(value: &mut Value, change: &impl Fn(&str) -> Option<String>) {
    if let Value::String(text) = value
        && let Some(changed) = change(text)
    {
        *text = changed;
    }
}

fn each(value: &Value, in_map: bool, visit: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(entries) => {
            if !in_map {
                visit(entries);
            }
            for (key, inner) in entries {
                if in_map || !is_data(key) {
                    each(inner, !in_map && is_map(key), visit);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| each(it, false, visit)),
        _ => {}
    }
}

fn each_mut(value: &mut Value, in_map: bool, visit: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(entries) => {
            if !in_map {
                visit(entries);
            }
            for (key, inner) in entries.iter_mut() {
                if in_map || !is_data(key) {
                    each_mut(inner, !in_map && is_map(key), visit);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|it| each_mut(it, false, visit)),
        _ => {}
    }
}
