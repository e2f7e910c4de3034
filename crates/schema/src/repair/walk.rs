//! Walks a document, skipping user data.

use crate::json::{Map, Value};
use crate::openapi::keywords::{is_data, is_map};

/// Calls `visit` with every object whose keys are keywords, as a value and as a map.
pub(super) fn values<'a>(root: &'a Value, visit: &mut impl FnMut(&'a Value, &'a Map)) {
    each(root, false, visit);
}

/// Calls `visit` with every object whose keys are keywords, so that it can change them.
pub(super) fn objects_mut(root: &mut Value, visit: &mut impl FnMut(&mut Map)) {
    each_mut(root, false, visit);
}

/// Calls `visit` with the value of each of these keywords, unless it is inside another one.
pub(super) fn topmost<'a>(root: &'a Value, keywords: &[&str], visit: &mut impl FnMut(&'a Value)) {
    fn each<'a>(
        value: &'a Value,
        in_map: bool,
        keywords: &[&str],
        visit: &mut impl FnMut(&'a Value),
    ) {
        match value {
            Value::Object(entries) => {
                for (key, inner) in entries {
                    if !in_map && keywords.contains(&key.as_str()) {
                        visit(inner);
                    } else if in_map || !is_data(key) {
                        each(inner, !in_map && is_map(key), keywords, visit);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|it| each(it, false, keywords, visit)),
            _ => {}
        }
    }
    each(root, false, keywords, visit);
}

/// Visits every reference of the document.
pub(super) fn references<'a>(root: &'a Value, visit: &mut impl FnMut(&'a str)) {
    each(root, false, &mut |_, object| {
        for key in ["$ref", "operationRef"] {
            object.get(key).and_then(Value::as_str).map(&mut *visit);
        }
        let mapping = object.get("discriminator");
        let mapping = mapping.and_then(|it| it.get("mapping"));
        let mapping = mapping.and_then(Value::as_object);
        for (_, target) in mapping.into_iter().flatten() {
            target.as_str().map(&mut *visit);
        }
    });
}

/// Visits every reference of the document; `change` returns the replacement.
pub(super) fn references_mut(root: &mut Value, change: &impl Fn(&str) -> Option<String>) {
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

fn each<'a>(value: &'a Value, in_map: bool, visit: &mut impl FnMut(&'a Value, &'a Map)) {
    match value {
        Value::Object(entries) => {
            if !in_map {
                visit(value, entries);
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

fn each_mut(value: &mut Value, in_map: bool, visit: &mut impl FnMut(&mut Map)) {
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
