//! Keywords of an OpenAPI document: references and where they lead, types, and keys whose values are the user's.

use crate::json::Value;
use crate::location::step;
use crate::openapi::METHODS;

/// Keys whose values are user data.
const DATA: [&str; 5] = ["default", "enum", "const", "example", "examples"];

/// Keys whose values are maps keyed by the user's names instead of keywords.
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

/// Whether the value of a keyword is user data, which contains no references.
pub(crate) fn is_data(keyword: &str) -> bool {
    DATA.contains(&keyword)
}

/// Whether the value of a keyword is a map keyed by the user's names.
pub(crate) fn is_map(keyword: &str) -> bool {
    MAPS.contains(&keyword)
}

/// The target of a reference into this document, and the target's JSON pointer.
pub(crate) fn target<'a>(root: &'a Value, reference: &str) -> Option<(&'a Value, String)> {
    let pointer = decoded(reference.strip_prefix('#')?)?;
    Some((root.pointer(&pointer)?, pointer))
}

/// Longer chains of references are not followed.
const MAX_REFERENCES: usize = 64;

/// The target of a value's references, and its JSON pointer; `None` if it is not a reference that
/// resolves.
pub(crate) fn followed<'a>(root: &'a Value, value: &'a Value) -> Option<(&'a Value, String)> {
    let mut found: Option<(&Value, String)> = None;
    for _ in 0..MAX_REFERENCES {
        let at = found.as_ref().map_or(value, |it| it.0);
        match at
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|it| target(root, it))
        {
            Some(next) => found = Some(next),
            None => break,
        }
    }
    found
}

/// A path item, or the one that it refers to, and its JSON pointer.
pub(crate) fn path_item<'a>(root: &'a Value, path: &str, item: &'a Value) -> (&'a Value, String) {
    // Gateways follow the reference of a path item only if it has nothing else.
    let others = ["connect", "summary", "description", "servers", "parameters"];
    let mut keys = METHODS.iter().chain(&others);
    let has_its_own = keys.any(|key| item.get(key).is_some_and(says_anything));
    let reference = item.get("$ref").and_then(Value::as_str);
    let reference = reference.filter(|_| !has_its_own);
    let found = reference.and_then(|reference| target(root, reference));
    found.unwrap_or_else(|| (item, step("/paths", path)))
}

/// Empty values count as missing; operations never do.
fn says_anything(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// A reference is a URL: its fragment may contain `%7B` for `{`.
pub(crate) fn decoded(fragment: &str) -> Option<String> {
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

/// The names in `type`, which OpenAPI 3.1 allows to be several; `null` is one of them.
pub(crate) fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let of = schema.get("type");
    let several = of.and_then(Value::as_array).into_iter().flatten();
    of.and_then(Value::as_str)
        .into_iter()
        .chain(several.filter_map(Value::as_str))
}

/// The names of the required properties.
pub(crate) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use crate::json::json;

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
}
