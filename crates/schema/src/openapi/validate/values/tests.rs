use crate::json::json;

use super::super::examples::FUEL;
use super::*;

/// The verdict on a value against a schema with components, in a 3.0 or a newer document.
fn judged(schema: &Value, value: &Value, is_new: bool) -> Verdict {
    let root = json!({"components": {"schemas": {
        "S": schema,
        "Name": {"type": "string", "minLength": 2},
        "Self": {"allOf": [{"$ref": "#/components/schemas/Self"}]},
        "Seen": {"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string", "readOnly": true}, "name": {"$ref": "#/components/schemas/Name"}}},
    }}});
    let mut targets = Targets::new(&root);
    let schema = &root["components"]["schemas"]["S"];
    let schema = MergedSchema::of(&mut targets, schema, is_new).expect("a schema");
    let mut fuel = FUEL;
    match Judgement::new(&mut targets, &mut fuel, is_new, &schema) {
        Some(judgement) => judgement.of(&schema, value),
        None => Verdict::Unsure,
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[test]
fn values_are_judged_in_both_versions() {
    let name = reference("Name");
    for (schema, good, bad) in [
        (json!({"type": "string"}), json!("a"), json!(1)),
        (json!({"type": "integer"}), json!(1.0), json!(1.5)),
        (
            json!({"type": "number", "minimum": 1}),
            json!(1),
            json!(0.5),
        ),
        (
            json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}),
            json!(2),
            json!(1),
        ),
        (
            json!({"type": "number", "exclusiveMaximum": 1}),
            json!(0),
            json!(1),
        ),
        (
            json!({"type": "integer", "multipleOf": 3}),
            json!(9),
            json!(10),
        ),
        (json!({"maxLength": 2}), json!("äö"), json!("abc")),
        (json!({"enum": [1, "a"]}), json!(1.0), json!(2)),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(["a"]),
            json!(["a", 1]),
        ),
        (json!({"uniqueItems": true}), json!([1, 2]), json!([1, 1.0])),
        (json!({"minItems": 1}), json!([1]), json!([])),
        (json!({"required": ["a"]}), json!({"a": 1}), json!({})),
        (
            json!({"properties": {"a": name}}),
            json!({"a": "xy"}),
            json!({"a": "x"}),
        ),
        (
            json!({"additionalProperties": false}),
            json!({}),
            json!({"a": 1}),
        ),
        (
            json!({"additionalProperties": {"type": "string"}}),
            json!({"a": "b"}),
            json!({"a": 1}),
        ),
        (
            json!({"maxProperties": 1}),
            json!({"a": 1}),
            json!({"a": 1, "b": 2}),
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            json!(1),
            json!(true),
        ),
        (
            json!({"oneOf": [{"type": "number"}, {"type": "integer"}]}),
            json!(1.5),
            json!(1),
        ),
        (
            json!({"anyOf": [{"type": "number"}, {"type": "integer"}]}),
            json!(1),
            json!("a"),
        ),
        (
            json!({"allOf": [name, {"maxLength": 3}]}),
            json!("abc"),
            json!("abcd"),
        ),
        (json!({"not": {"type": "string"}}), json!(1), json!("a")),
        (
            json!({"type": "string", "nullable": true}),
            json!(null),
            json!(1),
        ),
        (name.clone(), json!("ab"), json!("a")),
    ] {
        for is_new in [false, true] {
            assert_eq!(judged(&schema, &good, is_new), Verdict::Yes, "{schema}");
            let verdict = judged(&schema, &bad, is_new);
            assert!(
                matches!(verdict, Verdict::No { .. }),
                "{schema}: {verdict:?}"
            );
        }
    }
}

#[test]
fn versions_differ() {
    let (date, any) = (json!({"type": "string", "format": "date"}), json!({}));
    assert!(matches!(
        judged(&date, &json!("x"), false),
        Verdict::No { .. }
    ));
    assert_eq!(judged(&date, &json!("x"), true), Verdict::Yes);
    assert!(matches!(
        judged(&any, &json!(null), false),
        Verdict::No { .. }
    ));
    assert_eq!(judged(&any, &json!(null), true), Verdict::Yes);
    let seen = reference("Seen");
    let value = json!({"name": "ab"});
    assert!(matches!(judged(&seen, &value, false), Verdict::No { .. }));
    assert_eq!(judged(&seen, &value, true), Verdict::Unsure);
}

#[test]
fn nothing_is_said_of_what_is_not_sure() {
    for (schema, value) in [
        (json!({"pattern": "^a"}), json!("b")),
        (reference("Self"), json!(1)),
    ] {
        assert_eq!(judged(&schema, &value, false), Verdict::Unsure, "{schema}");
    }
    let tenths = json!({"multipleOf": 0.1});
    assert_eq!(judged(&tenths, &json!(0.3), false), Verdict::Yes);
    assert_eq!(judged(&tenths, &json!(0.3), true), Verdict::Unsure);
    let contains = json!({"contains": {"type": "string"}});
    assert_eq!(judged(&contains, &json!([1]), true), Verdict::Unsure);
}

#[test]
fn the_place_is_reported() {
    let schema = json!({"properties": {"a": {"items": {"type": "string"}}}});
    let Verdict::No { at, .. } = judged(&schema, &json!({"a": ["x", 1]}), false) else {
        panic!("it fits");
    };
    assert_eq!(at, "/a/1");
}

#[test]
fn discriminators_choose() {
    let schema = json!({"oneOf": [reference("Seen"), reference("Name")],
        "discriminator": {"propertyName": "kind", "mapping": {"s": "#/components/schemas/Seen"}}});
    assert_eq!(
        judged(&schema, &json!({"kind": "s", "id": "x"}), false),
        Verdict::Yes
    );
    for bad in [
        json!({"id": "x"}),
        json!({"kind": "t", "id": "x"}),
        json!({"kind": "s"}),
    ] {
        assert!(
            matches!(judged(&schema, &bad, false), Verdict::No { .. }),
            "{bad}"
        );
    }
}
