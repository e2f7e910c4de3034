//! Turns string enums in bodies whose values are not GraphQL names into plain strings.

use std::collections::BTreeSet;

use crate::json::Value;

use crate::finding::Rule;
use crate::name::is_name;
use crate::renderable::names;

use super::walk;

/// How many values of one enum the finding lists; the description has them all.
const MOST_TOLD: usize = 10;

pub(super) fn loosen(root: &mut Value) -> Vec<String> {
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
        .filter_map(|at| loosen_one(root.pointer_mut(&at)?, &at, is_3_0))
        .collect()
}

fn loosen_one(schema: &mut Value, at: &str, is_3_0: bool) -> Option<String> {
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
        "the enum at `#{at}` became a plain string; its description tells the values {first}{more}"
    ))
}
