//! Repairs schemas: component names that are not GraphQL names, if they are used, or not valid for a component at
//! all; and string enums in bodies whose values are not GraphQL names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{FreeNames, walk};
use crate::finding::Rule;
use crate::json::{Map, Value};
use crate::location::{step, unescaped};
use crate::name::{is_name, suggest};
use crate::openapi::keywords::decoded;
use crate::openapi::validate::is_identifier;
use crate::renderable::names;

const SCHEMAS: &str = "/components/schemas";

/// Renames components.
pub(super) fn rename_components(root: &mut Value) -> Vec<String> {
    let Some(Value::Object(schemas)) = root.pointer(SCHEMAS) else {
        return Vec::new();
    };
    if schemas.keys().all(|it| is_name(it) && is_identifier(it)) {
        return Vec::new();
    }
    let found = names(root);
    let is_harmful = found
        .iter()
        .any(|it| it.rule == Rule::OpenApiComponentName && !is_name(&it.name));
    // Renaming one component can reveal further ones.
    let mut used: HashSet<String> = HashSet::new();
    if is_harmful {
        walk::references(root, &mut |target| {
            used.insert(component(target).map_or_else(|| target.to_owned(), |it| it.0));
        });
    }
    // Only whole components: a schema inside one is named after another part.
    let old: Vec<String> = schemas
        .keys()
        .filter(|key| (!is_name(key) && used.contains(*key)) || !is_identifier(key))
        .cloned()
        .collect();
    let mut taken: BTreeSet<String> = schemas.keys().cloned().collect();
    let mut renamed = BTreeMap::new();
    let mut free = FreeNames::default();
    for name in old {
        let new = free.find(&suggest(&name), |it| !taken.contains(it));
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
    walk::references_mut(root, &|target| follow(target, &renamed));
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
    Some((unescaped(name).into_owned(), deeper.to_owned()))
}

/// Without an entry in `mapping`, the name of a component is the value on the wire: adds an entry for
/// each such name.
fn keep_wire_values(root: &mut Value, renamed: &BTreeMap<String, String>) {
    let children = children(root);
    if let Some(Value::Object(schemas)) = root.pointer_mut(SCHEMAS) {
        for (name, schema) in schemas.iter_mut() {
            if let Some(schema) = schema.as_object_mut()
                && schema.contains_key("discriminator")
                && !["oneOf", "anyOf"]
                    .iter()
                    .any(|key| schema.contains_key(key))
            {
                let heirs = heirs(name, &children);
                enter(schema, heirs.iter().map(String::as_str), renamed);
            }
        }
    }
    walk::objects_mut(root, &mut |schema| {
        if !schema.contains_key("discriminator") {
            return;
        }
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
    component_itself(schema.get("$ref")?.as_str()?)
}

/// The component of a reference that leads no deeper.
fn component_itself(reference: &str) -> Option<String> {
    let (name, deeper) = component(reference)?;
    deeper.is_empty().then_some(name)
}

/// The components that extend each component by `allOf`.
fn children(root: &Value) -> HashMap<String, Vec<String>> {
    let schemas = root.pointer(SCHEMAS).and_then(Value::as_object);
    let mut children: HashMap<String, Vec<String>> = HashMap::new();
    for (name, schema) in schemas.into_iter().flatten() {
        let all = schema.get("allOf").and_then(Value::as_array);
        for parent in all.into_iter().flatten().filter_map(component_of) {
            children.entry(parent).or_default().push(name.clone());
        }
    }
    children
}

/// A component and all that extend it.
fn heirs(name: &str, children: &HashMap<String, Vec<String>>) -> BTreeSet<String> {
    let mut found = BTreeSet::from([name.to_owned()]);
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        for heir in children.get(name).into_iter().flatten() {
            if found.insert(heir.clone()) {
                open.push(heir);
            }
        }
    }
    found
}

fn enter<'a>(
    schema: &mut Map,
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
    let mut known = HashSet::new();
    for value in mapping.values().filter_map(Value::as_str) {
        known.insert(value.to_owned());
        known.extend(component_itself(value));
    }
    for name in components.filter(|it| renamed.contains_key(*it)) {
        if !known.contains(name) && !mapping.contains_key(name) {
            mapping.insert(name.to_owned(), reference(name).into());
        }
    }
    if mapping.len() > before {
        discriminator.insert("mapping".to_owned(), mapping.into());
    }
}

// === enums ===

/// How many values of one enum the finding lists; the description has them all.
const MOST_TOLD: usize = 10;

/// Turns enums with such values into plain strings.
pub(super) fn loosen_enums(root: &mut Value) -> Vec<String> {
    let mut has_bad_value = false;
    walk::values(root, &mut |_, object| {
        let values = object.get("enum").and_then(Value::as_array);
        let mut texts = values.into_iter().flatten().filter_map(Value::as_str);
        has_bad_value |= texts.any(|it| !is_name(it));
    });
    if !has_bad_value {
        return Vec::new();
    }
    let found = names(root);
    let of_enums = found
        .into_iter()
        .filter(|it| it.rule == Rule::OpenApiEnumValue);
    let schemas: BTreeSet<String> = of_enums
        .filter_map(|it| {
            Some(
                it.pointer()?
                    .to_string()
                    .rsplit_once("/enum/")?
                    .0
                    .to_owned(),
            )
        })
        .collect();
    let version = root.get("openapi").and_then(Value::as_str);
    let is_3_0 = version.is_some_and(|it| it.starts_with("3.0"));
    let pointers = schemas.into_iter();
    pointers
        .filter_map(|at| loosen_enum(root.pointer_mut(&at)?, &at, is_3_0))
        .collect()
}

fn loosen_enum(schema: &mut Value, at: &str, is_3_0: bool) -> Option<String> {
    let schema = schema.as_object_mut()?;
    let values = schema.get("enum")?.as_array()?;
    // An enum with other values, too, is not a string.
    if !values.iter().all(|it| it.is_string() || it.is_null()) {
        return None;
    }
    let has_null = values.iter().any(Value::is_null);
    let told: Vec<_> = values.iter().filter_map(Value::as_str).collect();
    let quoted: Vec<_> = told.iter().map(|it| format!("`{it}`")).collect();
    let told = quoted.join(", ");
    schema.remove("enum");
    if !schema.contains_key("type") {
        let is_list = has_null && !is_3_0;
        let kind = if is_list {
            vec!["string".into(), "null".into()].into()
        } else {
            "string".into()
        };
        schema.insert("type".to_owned(), kind);
        if has_null && is_3_0 {
            schema.insert("nullable".to_owned(), true.into());
        }
    }
    let old = schema.get("description").and_then(Value::as_str);
    let description = match old.map(str::trim_end).filter(|it| !it.is_empty()) {
        Some(old) => format!("{old}\n\nOne of: {told}."),
        None => format!("One of: {told}."),
    };
    schema.insert("description".to_owned(), description.into());
    let more = match quoted.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = quoted.into_iter().take(MOST_TOLD);
    let first = first.collect::<Vec<_>>().join(", ");
    Some(format!(
        "the enum at `#{at}` became a plain string; its description lists the values {first}{more}"
    ))
}
