//! Renames path parameters whose names are not GraphQL names: their names are never sent over HTTP.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{free_name, walk};
use crate::name::{is_name, suggest};
use crate::openapi::METHODS;
use crate::openapi::references::{decoded, path_item, target};

pub(super) fn rename(root: &mut Value) -> Vec<String> {
    let mut done = Vec::new();
    let paths: Vec<String> = paths(root).map(|(path, _)| path.clone()).collect();
    let names: BTreeSet<String> = paths
        .iter()
        .flat_map(|path| template_names(path))
        .filter(|name| !is_name(name))
        .map(str::to_owned)
        .collect();
    for old in names {
        // The check accepts a template without its parameter.
        if !is_declared(root, &old) || is_fixed(root, &old) {
            continue;
        }
        let taken = neighbours(root, &old);
        let new = free_name(&suggest(&old), |new| {
            !taken.contains(new) && !makes_paths_equal(root, &old, new)
        });
        let mut renamed = root.clone();
        rename_parameter(&mut renamed, &old, &new);
        // It may also be declared in a place that is not renamed.
        if is_declared(&renamed, &old) {
            continue;
        }
        rename_paths(&mut renamed, &old, &new);
        *root = renamed;
        done.push(format!("the path parameter `{old}` became `{new}`"));
    }
    done
}

fn paths(root: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let paths = root.get("paths").and_then(Value::as_object);
    let paths = paths.into_iter().flatten();
    paths.map(move |(path, item)| (path, path_item(root, path, item).0))
}

/// The names in braces.
fn template_names(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('{').skip(1);
    parts.filter_map(|part| Some(part.split_once('}')?.0))
}

fn renamed_path(path: &str, old: &str, new: &str) -> String {
    path.replace(&format!("{{{old}}}"), &format!("{{{new}}}"))
}

fn is_path_parameter(parameter: &Map<String, Value>, name: &str) -> bool {
    let is = |key: &str, text: &str| parameter.get(key).and_then(Value::as_str) == Some(text);
    is("in", "path") && is("name", name)
}

/// Whether the name is used beyond template and parameter: as part of the URL, or in links, runtime
/// expressions or templates that are not renamed here.
fn is_fixed(root: &Value, name: &str) -> bool {
    let template = format!("{{{name}}}");
    let expression = format!("$request.path.{name}");
    let qualified = format!("path.{name}");
    let mut is_fixed = mentions(root, &expression);
    walk::objects(root, &mut |object| {
        let style = object.get("style").and_then(Value::as_str);
        is_fixed |= is_path_parameter(object, name) && matches!(style, Some("matrix" | "label"));
        for key in ["callbacks", "webhooks", "pathItems"] {
            is_fixed |= object.get(key).is_some_and(|it| mentions(it, &template));
        }
        let links = object.get("links").and_then(Value::as_object);
        for (_, link) in links.into_iter().flatten() {
            let parameters = link.get("parameters").and_then(Value::as_object);
            is_fixed |=
                parameters.is_some_and(|it| it.contains_key(name) || it.contains_key(&qualified));
        }
    });
    is_fixed
}

/// Whether a key or a string contains this text.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(it) => it.contains(text),
        Value::Array(items) => items.iter().any(|it| mentions(it, text)),
        Value::Object(entries) => entries
            .iter()
            .any(|(key, it)| key.contains(text) || mentions(it, text)),
        _ => false,
    }
}

/// The parameters of a path and of its operations.
fn parameters<'a>(root: &'a Value, item: &'a Value) -> impl Iterator<Item = &'a Value> {
    let operations = METHODS.iter().filter_map(|method| item.get(*method));
    std::iter::once(item)
        .chain(operations)
        .filter_map(|holder| holder.get("parameters")?.as_array())
        .flatten()
        .map(|parameter| {
            let reference = parameter.get("$ref").and_then(Value::as_str);
            let found = reference.and_then(|it| target(root, it));
            found.map_or(parameter, |(parameter, _)| parameter)
        })
}

/// Whether a path has a path parameter of this name.
fn is_declared(root: &Value, name: &str) -> bool {
    paths(root)
        .flat_map(|(_, item)| parameters(root, item))
        .filter_map(Value::as_object)
        .any(|it| is_path_parameter(it, name))
}

/// The names of all parameters of the paths that have this one.
fn neighbours(root: &Value, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, item) in paths(root) {
        if !template_names(path).any(|it| it == name) {
            continue;
        }
        found.extend(template_names(path).map(str::to_owned));
        for parameter in parameters(root, item) {
            let name = parameter.get("name").and_then(Value::as_str);
            found.extend(name.map(str::to_owned));
        }
    }
    found
}

fn makes_paths_equal(root: &Value, old: &str, new: &str) -> bool {
    let mut seen = BTreeSet::new();
    paths(root).any(|(path, _)| !seen.insert(renamed_path(path, old, new)))
}

fn rename_parameter(root: &mut Value, old: &str, new: &str) {
    walk::objects_mut(root, &mut |object| {
        if is_path_parameter(object, old) {
            object.insert("name".to_owned(), new.into());
        }
    });
}

fn rename_paths(root: &mut Value, old: &str, new: &str) {
    if let Some(Value::Object(paths)) = root.get_mut("paths") {
        let entries = std::mem::take(paths).into_iter();
        *paths = entries
            .map(|(path, item)| (renamed_path(&path, old, new), item))
            .collect();
    }
    // References may lead through paths, too.
    let escaped = old.replace('~', "~0").replace('/', "~1");
    walk::references(root, &|reference| {
        let fragment = reference.strip_prefix('#')?;
        let plain = decoded(fragment).unwrap_or_else(|| fragment.to_owned());
        let renamed = renamed_path(&plain, &escaped, new);
        (plain.starts_with("/paths/") && renamed != plain).then(|| format!("#{renamed}"))
    });
}
