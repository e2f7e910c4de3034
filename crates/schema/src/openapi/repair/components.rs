//! Renames component schemas whose names are not GraphQL names, if they are used; renames them in any
//! case if the name is not valid for a component.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{free_name, walk};
use crate::finding::Rule;
use crate::name::{is_name, suggest};
use crate::openapi::references::decoded;
use crate::openapi::validate::is_identifier;
use crate::openapi::{Document, step};
use crate::render::names;

const SCHEMAS: &str = "/components/schemas";

pub(super) fn rename(root: &mut Value) -> Vec<String> {
    let found = names(&Document::of(root.clone()));
    let is_harmful = found
        .iter()
        .any(|it| it.rule == Rule::OpenApiComponentName && !is_name(&it.name));
    // Renaming one component can reveal further ones.
    let used_names = RefCell::new(BTreeSet::new());
    if is_harmful {
        let mut walked = root.clone();
        walk::references(&mut walked, &|target| {
            let name = component(target).map_or_else(|| target.to_owned(), |it| it.0);
            used_names.borrow_mut().insert(name);
            None
        });
    }
    let used = used_names.into_inner();
    let Some(Value::Object(schemas)) = root.pointer(SCHEMAS) else {
        return Vec::new();
    };
    // Only whole components: a schema inside one is named after another part.
    let old: Vec<String> = schemas
        .keys()
        .filter(|key| (!is_name(key) && used.contains(*key)) || !is_identifier(key))
        .cloned()
        .collect();
    let mut taken: BTreeSet<String> = schemas.keys().cloned().collect();
    let mut renamed = BTreeMap::new();
    for name in old {
        let new = free_name(&suggest(&name), |it| !taken.contains(it));
        taken.insert(new.clone());
        renamed.insert(name, new);
    }
    if renamed.is_empty() {
        return Vec::new();
    }
    keep_wire_values(root, &renamed);
    if let Some(Value::Object(schemas)) = root.pointer_mut(SCHEMAS) {
        let entries = std::mem::take(schemas).into_iter();
        *schemas = entries
            .map(|(key, schema)| (renamed.get(&key).cloned().unwrap_or(key), schema))
            .collect();
    }
    walk::references(root, &|target| follow(target, &renamed));
    let told = renamed.iter();
    told.map(|(old, new)| format!("the component `{old}` became `{new}`"))
        .collect()
}

fn reference(name: &str) -> String {
    format!("#{}", step(SCHEMAS, name))
}

/// The new text of a reference, or of a bare name in a discriminator's mapping.
fn follow(target: &str, renamed: &BTreeMap<String, String>) -> Option<String> {
    if let Some(new) = renamed.get(target) {
        return Some(new.clone());
    }
    let (name, deeper) = component(target)?;
    Some(format!("{}{deeper}", reference(renamed.get(&name)?)))
}

/// The component of a reference, and the rest of the path inside it.
fn component(reference: &str) -> Option<(String, String)> {
    let plain = decoded(reference).unwrap_or_else(|| reference.to_owned());
    let rest = plain.strip_prefix("#/components/schemas/")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, deeper) = rest.split_at(end);
    let name = name.replace("~1", "/").replace("~0", "~");
    Some((name, deeper.to_owned()))
}

/// Without an entry in `mapping`, the name of a component is the value on the wire: adds an entry for
/// each such name.
fn keep_wire_values(root: &mut Value, renamed: &BTreeMap<String, String>) {
    let parents = parents(root);
    if let Some(Value::Object(schemas)) = root.pointer_mut(SCHEMAS) {
        for (name, schema) in schemas.iter_mut() {
            let heirs = heirs(name, &parents);
            if let Some(schema) = schema.as_object_mut()
                && !["oneOf", "anyOf"]
                    .iter()
                    .any(|key| schema.contains_key(*key))
            {
                enter(schema, heirs.iter().map(String::as_str), renamed);
            }
        }
    }
    walk::objects_mut(root, &mut |schema| {
        let mut choices = Vec::new();
        for key in ["oneOf", "anyOf"] {
            let items = schema.get(key).and_then(Value::as_array);
            choices.extend(items.into_iter().flatten().filter_map(component_of));
        }
        enter(schema, choices.iter().map(String::as_str), renamed);
    });
}

/// The component that a schema refers to.
fn component_of(schema: &Value) -> Option<String> {
    let (name, deeper) = component(schema.get("$ref")?.as_str()?)?;
    deeper.is_empty().then_some(name)
}

/// The components that each component extends by `allOf`.
fn parents(root: &Value) -> BTreeMap<String, Vec<String>> {
    let schemas = root.pointer(SCHEMAS).and_then(Value::as_object);
    let schemas = schemas.into_iter().flatten();
    schemas
        .map(|(name, schema)| {
            let all = schema.get("allOf").and_then(Value::as_array);
            let parents = all.into_iter().flatten().filter_map(component_of);
            (name.clone(), parents.collect())
        })
        .collect()
}

/// A component and all that extend it.
fn heirs(name: &str, parents: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::from([name.to_owned()]);
    loop {
        let more: Vec<_> = parents
            .iter()
            .filter(|(heir, of)| !found.contains(*heir) && of.iter().any(|it| found.contains(it)))
            .map(|(heir, _)| heir.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn enter<'a>(
    schema: &mut Map<String, Value>,
    components: impl Iterator<Item = &'a str>,
    renamed: &BTreeMap<String, String>,
) {
    let found = schema.get_mut("discriminator");
    let Some(discriminator) = found.and_then(Value::as_object_mut) else {
        return;
    };
    let mapping = discriminator.get("mapping").and_then(Value::as_object);
    let mut mapping = mapping.cloned().unwrap_or_default();
    let before = mapping.len();
    for name in components.filter(|it| renamed.contains_key(*it)) {
        let target = reference(name);
        let mut values = mapping.values().filter_map(Value::as_str);
        let is_there = values.any(|it| it == name || component(it) == component(&target));
        if !is_there && !mapping.contains_key(name) {
            mapping.insert(name.to_owned(), target.into());
        }
    }
    if mapping.len() > before {
        discriminator.insert("mapping".to_owned(), mapping.into());
    }
}
