//! OpenAPI documents, more or less.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;

use crate::protos::deep;
use crate::sources::{PETS, PETS_JSON, mutated};

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let keys = &[
        "openapi",
        "info",
        "title",
        "version",
        "paths",
        "/a",
        "/a/{b-c}",
        "get",
        "post",
        "operationId",
        "parameters",
        "in",
        "name",
        "$ref",
        "components",
        "schemas",
        "A",
        "B-C",
        "content",
        "schema",
        "requestBody",
        "responses",
        "200",
        "enum",
        "items",
        "allOf",
        "properties",
        "additionalProperties",
        "default",
        "<<",
        "pathItems",
        "discriminator",
        "mapping",
        "x-e",
    ][..];
    let texts = &[
        "3.0.0",
        "query",
        "path",
        "a-b",
        "v1",
        "stable",
        "#/components/schemas/A",
        "#",
        "#/paths/~1a",
        "x.json",
        "#/components/schemas/A/properties/B-C",
        "#/components/schemas/B%2DC",
        "#/paths/%7E1a/get",
        "#/components/pathItems/A",
        "",
    ][..];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(texts).prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((select(keys), inner), 0..8).prop_map(|entries| {
                Value::Object(
                    entries
                        .into_iter()
                        .map(|(k, v)| (k.to_owned(), v))
                        .collect(),
                )
            }),
        ]
    })
}

/// Anchors that repeat one another.
fn alias_bomb() -> impl Strategy<Value = String> {
    (1_usize..40, 1_usize..12, any::<bool>()).prop_map(|(levels, width, merged)| {
        let mut text = String::from("a0: &a0 {k0: x}\n");
        for n in 1..levels {
            let aliases = format!("*a{}, ", n - 1).repeat(width);
            text.push_str(&match merged {
                true => format!("a{n}: &a{n} {{<<: [{aliases}], k{n}: y, l: *a{}}}\n", n - 1),
                false => format!("a{n}: &a{n} [{aliases}]\n"),
            });
        }
        text
    })
}

/// Whether it is JSON in which all that is called like an operation can be one: what is none has no
/// id, and gets none.
pub(crate) fn has_operations_only(document: &str) -> bool {
    let Ok(root) = serde_json::from_str::<serde_json::Value>(document) else {
        return false;
    };
    let mut open = vec![&root];
    while let Some(value) = open.pop() {
        for method in ["get", "post", "delete"] {
            if value.get(method).is_some_and(|it| !it.is_object()) {
                return false;
            }
        }
        open.extend(value.as_object().into_iter().flatten().map(|(_, it)| it));
        open.extend(value.as_array().into_iter().flatten());
    }
    true
}

pub(crate) fn any_document() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => mutated(&[PETS, PETS_JSON]),
        4 => json().prop_map(|value| value.to_string()),
        2 => (json(), json()).prop_map(|(paths, components)| serde_json::json!({
            "openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": paths}},
            "components": {"schemas": {"A": components}},
        }).to_string()),
        1 => string_regex("(?s).{0,100}").unwrap(),
        1 => deep(),
        1 => alias_bomb(),
    ]
}
