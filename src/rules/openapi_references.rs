//! References of an OpenAPI document: where they lead, and those that a gateway does not follow.

use serde_json::Value;

use super::openapi::{Fault, METHODS, step};
use super::render::Site;
use super::rule::Rule;

/// Keys whose values are data of the user.
const DATA: [&str; 5] = ["default", "enum", "const", "example", "examples"];

/// Keys whose values are maps from the user's own names, which are no keywords.
const MAPS: [&str; 18] = [
    "$defs",
    "callbacks",
    "content",
    "definitions",
    "dependentSchemas",
    "encoding",
    "headers",
    "links",
    "parameters",
    "pathItems",
    "paths",
    "patternProperties",
    "properties",
    "requestBodies",
    "responses",
    "schemas",
    "securitySchemes",
    "webhooks",
];

/// Whether the value of a keyword is data of the user, where nothing is a reference.
pub(super) fn is_data(keyword: &str) -> bool {
    DATA.contains(&keyword)
}

/// Whether the value of a keyword is a map from the user's own names.
pub(super) fn is_map(keyword: &str) -> bool {
    MAPS.contains(&keyword)
}

/// What a reference into this document leads to, and the JSON pointer of that.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<(&'a Value, String)> {
    let fragment = reference.strip_prefix('#')?;
    if let Some(found) = root.pointer(fragment) {
        return Some((found, fragment.to_owned()));
    }
    let pointer = decoded(fragment)?;
    Some((root.pointer(&pointer)?, pointer))
}

/// A path item, or the one that stands for it, and the JSON pointer of that.
pub(super) fn path_item<'a>(root: &'a Value, path: &str, item: &'a Value) -> (&'a Value, String) {
    let has_its_own = METHODS
        .iter()
        .any(|method| item.get(*method).is_some_and(|it| !it.is_null()));
    let reference = item.get("$ref").and_then(Value::as_str);
    let reference = reference.filter(|_| !has_its_own);
    let found = reference.and_then(|reference| target(root, reference));
    found.unwrap_or_else(|| (item, step("/paths", path)))
}

/// A reference is a URL: its fragment may have `%7B` for `{`.
pub(super) fn decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => 16 * hex_digit(rest.next()?)? + hex_digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

/// Finds references that a gateway does not follow or that lead nowhere.
pub(super) fn faults(root: &Value) -> Vec<Fault> {
    let mut found = Vec::new();
    walk(root, root, false, "", &mut found);
    found
}

/// Calls nest as deep as the document, which its reader limits.
fn walk(root: &Value, value: &Value, in_map: bool, pointer: &str, found: &mut Vec<Fault>) {
    match value {
        Value::Object(entries) => {
            if let Some(Value::String(target)) = entries.get("$ref") {
                found.extend(bad_reference(root, target, pointer));
            }
            for (key, inner) in entries {
                // Extensions mean nothing to a gateway, and data of the user is no document.
                if in_map || !(is_data(key) || key.starts_with("x-")) {
                    let is_map = !in_map && is_map(key);
                    walk(root, inner, is_map, &step(pointer, key), found);
                }
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                walk(root, inner, false, &format!("{pointer}/{at}"), found);
            }
        }
        _ => {}
    }
}

fn bad_reference(root: &Value, reference: &str, pointer: &str) -> Option<Fault> {
    let site = || Site::OpenApi(step(pointer, "$ref"));
    if !reference.starts_with('#') {
        let text = format!("disallowed external reference {reference:?}");
        return Some(Fault::new(Rule::OpenApiExternalReference, text, site()));
    }
    target(root, reference).is_none().then(|| {
        let text = format!("the reference {reference:?} leads nowhere");
        Fault::new(Rule::OpenApiSyntax, text, site())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_urls_with_a_json_pointer() {
        let root =
            json!({"paths": {"/a/{b}": {"get": 1}}, "components": {"schemas": {"My Type": 2}}});
        for (reference, pointer) in [
            ("#/paths/~1a~1{b}/get", "/paths/~1a~1{b}/get"),
            ("#/paths/~1a~1%7Bb%7D/get", "/paths/~1a~1{b}/get"),
            ("#/paths/%7E1a%7e1%7bb%7d/get", "/paths/~1a~1{b}/get"),
            (
                "#/components/schemas/My%20Type",
                "/components/schemas/My Type",
            ),
            (
                "#/components/schemas/My Type",
                "/components/schemas/My Type",
            ),
            ("#", ""),
        ] {
            let found = target(&root, reference).map(|it| it.1);
            assert_eq!(found.as_deref(), Some(pointer), "{reference}");
        }
        for reference in [
            "#/paths/~1a~1%7",
            "#/%FF",
            "#anchor",
            "/paths",
            "other.json#/paths",
        ] {
            assert_eq!(target(&root, reference), None, "{reference}");
        }
    }

    #[test]
    fn only_what_is_a_reference_is_followed() {
        let bad = json!({"$ref": "other.json"});
        for fine in [
            json!({"x-origin": bad}),
            json!({"schemas": {"A": {"x-origin": {"a": [bad]}, "enum": [bad], "const": bad}}}),
            json!({"properties": {"$ref": {"type": "string"}}}),
            json!({"parameters": [{"example": bad, "default": bad}]}),
        ] {
            assert_eq!(faults(&fine), [], "{fine}");
        }
        // Names of the user look like keywords.
        for map in ["properties", "headers", "schemas"] {
            for name in ["x-rate", "example", "default", "enum"] {
                let document = json!({map: {name: bad}});
                assert_eq!(faults(&document).len(), 1, "{document}");
            }
        }
    }
}
