use crate::json::json;

use super::*;

const SCHEMA: &str = "/components/schemas/S";
const OPERATION: &str = "/paths/~1p~1{id}/get";

/// A valid document with one value replaced.
fn with(version: &str, pointer: &str, value: Value) -> Value {
    let mut root = json!({
        "openapi": version,
        "info": {"title": "T", "version": "1"},
        "paths": {"/p/{id}": {"get": {
            "operationId": "get",
            "parameters": [{"name": "id", "in": "path", "required": true, "schema": {}}],
            "responses": {"200": {"description": "ok"}},
        }}},
        "components": {"schemas": {"S": {}, "T": {"type": "string"}}},
    });
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = root.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items.push(value),
        parent => parent[&*key.replace("~1", "/")] = value,
    }
    root
}

fn told(faults: &[Fault]) -> Vec<(Rule, String)> {
    let place = |it: &Fault| match &it.location {
        Location::OpenApi(pointer) => (it.rule, pointer.to_string()),
        other => panic!("{other:?}"),
    };
    faults.iter().map(place).collect()
}

/// The rule and the place of the only fault, below `at`.
#[track_caller]
fn assert_invalid(version: &str, at: &str, value: &Value, rule: Rule, place: &str) {
    let found = faults(&with(version, at, value.clone()));
    assert_eq!(told(&found.unreadable), [], "{value}");
    assert_eq!(
        told(&found.invalid),
        [(rule, format!("{at}{place}"))],
        "{value}"
    );
    assert!(found.invalid.iter().all(|it| it.help.is_some()), "{value}");
}

#[track_caller]
fn assert_unreadable(at: &str, value: &Value, rule: Rule, place: &str) {
    let found = faults(&with("3.0.3", at, value.clone()));
    assert_eq!(
        told(&found.unreadable),
        [(rule, format!("{at}{place}"))],
        "{value}"
    );
}

#[track_caller]
fn assert_good(version: &str, at: &str, value: &Value) {
    let found = faults(&with(version, at, value.clone()));
    assert_eq!(found, Faults::default(), "{version} {at} {value}");
}

#[test]
fn schemas_have_types_items_and_known_fields() {
    use Rule::{OpenApiPattern as Pattern, OpenApiRequired as Required, OpenApiShape as Shape};
    for (schema, rule, place) in [
        (json!({"type": "file"}), Shape, "/type"),
        (json!({"type": "array"}), Required, ""),
        (
            json!({"properties": {"a": {"foo": 1}}}),
            Shape,
            "/properties/a/foo",
        ),
        (
            json!({"readOnly": true, "writeOnly": true}),
            Shape,
            "/readOnly",
        ),
        (
            json!({"type": "string", "pattern": "(?=a)"}),
            Pattern,
            "/pattern",
        ),
        (
            json!({"allOf": [{"externalDocs": {}}]}),
            Required,
            "/allOf/0/externalDocs",
        ),
        (
            json!({"type": "integer", "default": "x"}),
            Rule::OpenApiExample,
            "/default",
        ),
    ] {
        assert_invalid("3.0.3", SCHEMA, &schema, rule, place);
    }
    for schema in [
        json!({"type": ["string", "integer"]}),
        json!({"x-foo": 1, "discriminator": {"foo": 1}, "xml": {"foo": 1}}),
        json!({"pattern": "(?=a)"}),
        json!({"$defs": {}, "examples": [], "$comment": ""}),
        json!({"type": null, "items": null, "minimum": 1.5}),
    ] {
        assert_good("3.0.3", SCHEMA, &schema);
    }
}

#[test]
fn what_3_1_brought_is_there_from_3_1_on() {
    for (schema, place) in [
        (json!({"const": 1}), "/const"),
        (json!({"type": "null"}), "/type"),
        (json!({"examples": [1]}), "/examples"),
        (json!({"$defs": {"A": {}}}), "/$defs"),
    ] {
        assert_invalid("3.0.3", SCHEMA, &schema, Rule::OpenApiShape, place);
        assert_good("3.1.0", SCHEMA, &schema);
    }
    assert_good("3.1.0", SCHEMA, &json!({"type": "array"}));
    let hooks = with("3.0.3", "/webhooks", json!({}));
    assert_eq!(
        told(&faults(&hooks).invalid),
        [(Rule::OpenApiShape, "/webhooks".to_owned())]
    );
    let mut only = with("3.1.0", "/webhooks", json!({}));
    only["paths"] = Value::Null;
    assert_eq!(faults(&only), Faults::default());
}

#[test]
fn values_of_another_type_cannot_be_read() {
    for (at, value, place) in [
        (SCHEMA, json!({"type": 5}), "/type"),
        (SCHEMA, json!({"minLength": -1}), "/minLength"),
        (
            SCHEMA,
            json!({"properties": {"a": "string"}}),
            "/properties/a",
        ),
        (SCHEMA, json!({"oneOf": [null]}), "/oneOf/0"),
        (SCHEMA, json!({"Items": []}), "/Items"),
        ("/info", json!({"title": "T", "version": 1}), "/version"),
        ("/components/responses", json!({"R": null}), "/R"),
    ] {
        assert_unreadable(at, &value, Rule::OpenApiShape, place);
    }
}

#[test]
fn references_lead_to_what_is_wanted() {
    let to = |target: &str| json!({"items": {"$ref": target}});
    for target in ["#/nope", "#/info", "#/paths/~1p~1{id}/get", "#anchor"] {
        assert_unreadable(SCHEMA, &to(target), Rule::OpenApiSyntax, "/items/$ref");
    }
    let external = Rule::OpenApiExternalReference;
    assert_unreadable(SCHEMA, &to("a.json"), external, "/items/$ref");
    let mapping = json!({"discriminator": {"mapping": {"a": "./a.json"}}});
    assert_unreadable(SCHEMA, &mapping, external, "/discriminator/mapping/a");
    for target in [
        "#/components/schemas/T",
        "#/components/schemas/%54",
        "#/components/schemas/S",
    ] {
        assert_good("3.0.3", SCHEMA, &to(target));
    }
    let circle = json!({"$ref": "#/components/schemas/S"});
    assert_invalid("3.0.3", SCHEMA, &circle, Rule::OpenApiSyntax, "/$ref");
    // A value with no kind of its own is read as the kind that the reference expects.
    let mut root = with("3.0.3", SCHEMA, to("#/x-more/A"));
    root["x-more"] = json!({"A": {"type": "foo"}});
    let place = "/x-more/A/type".to_owned();
    assert_eq!(told(&faults(&root).invalid), [(Rule::OpenApiShape, place)]);
}

#[test]
fn siblings_of_references_count_from_3_1_on() {
    let beside = |key: &str, value: Value| json!({"properties": {"a": {"$ref": "#/components/schemas/T", key: value}}});
    let described = beside("description", json!("x"));
    let place = "/properties/a/description";
    assert_invalid("3.0.3", SCHEMA, &described, Rule::OpenApiShape, place);
    assert_good("3.1.0", SCHEMA, &described);
    assert_good(
        "3.0.3",
        SCHEMA,
        &json!({"oneOf": [described["properties"]["a"]]}),
    );
    let default = beside("default", json!(5));
    let place = "/properties/a/default";
    assert_invalid("3.1.0", SCHEMA, &default, Rule::OpenApiExample, place);
    // Siblings that cannot be read are dropped.
    assert_good("3.1.0", SCHEMA, &beside("title", json!(5)));
}

#[test]
fn parameters_fit_their_path_and_place() {
    let rule = Rule::OpenApiParameter;
    let parameters = &format!("{OPERATION}/parameters");
    let own = json!({"name": "id", "in": "path", "required": true, "schema": {}});
    for (parameter, place) in [
        (json!({"name": "a", "in": "body", "schema": {}}), "/1/in"),
        (json!({"name": "a", "in": "query"}), "/1"),
        (
            json!({"name": "a", "in": "query", "style": "simple", "schema": {}}),
            "/1/style",
        ),
        (
            json!({"name": "a", "in": "query", "content": {"a/b": {}, "c/d": {}}}),
            "/1/content",
        ),
    ] {
        let both = json!([own, parameter]);
        assert_invalid("3.0.3", parameters, &both, rule, place);
    }
    let query = json!({"name": "a", "in": "query", "schema": {}});
    assert_invalid("3.0.3", parameters, &json!([own, query, query]), rule, "/2");
    let found = faults(&with("3.0.3", parameters, json!([query])));
    assert_eq!(told(&found.invalid), [(rule, OPERATION.to_owned())]);
    let found = faults(&with(
        "3.0.3",
        parameters,
        json!([own, query, {"$ref": "#/nope"}]),
    ));
    assert_eq!(found.invalid, []);
    assert_eq!(found.unreadable.len(), 1);
}

#[test]
fn other_objects_have_what_they_must_have() {
    use Rule::{OpenApiRequired as Required, OpenApiShape as Shape};
    let scheme = |value: Value| json!({"k": value});
    for (at, value, rule, place) in [
        (
            OPERATION,
            json!({"parameters": [{"name": "id", "in": "path", "required": true,
            "schema": {}}]}),
            Required,
            "",
        ),
        ("/paths/~1p~1{id}/get/responses", json!({}), Required, ""),
        (
            "/paths/~1p~1{id}/get/responses",
            json!({"200": {}}),
            Required,
            "/200",
        ),
        ("/paths/~1p~1{id}/get/requestBody", json!({}), Required, ""),
        ("/paths/p", json!({}), Shape, ""),
        ("/paths/~1q", json!({"query": {}}), Shape, "/query"),
        ("/servers", json!([{"url": "/{a}"}]), Shape, "/0/url"),
        ("/externalDocs", json!({"url": "::"}), Shape, "/url"),
        (
            "/components/securitySchemes",
            scheme(json!({"type": "foo"})),
            Shape,
            "/k/type",
        ),
        (
            "/components/securitySchemes",
            scheme(json!({"type": "oauth2"})),
            Required,
            "/k",
        ),
        ("/components/links", scheme(json!({})), Shape, "/k"),
        (
            "/components/headers",
            scheme(json!({})),
            Rule::OpenApiParameter,
            "/k",
        ),
        (
            "/components/examples",
            scheme(json!({})),
            Rule::OpenApiExample,
            "/k",
        ),
        (
            "/components/schemas/a b",
            json!({}),
            Rule::OpenApiComponentName,
            "",
        ),
    ] {
        assert_invalid("3.0.3", at, &value, rule, place);
    }
    // Read, but not checked.
    for (at, value) in [
        ("/paths/~1p~1{id}/get/servers", json!([{}])),
        (
            "/paths/~1p~1{id}/get/callbacks",
            json!({"c": {"u": {"post": {}}}}),
        ),
        (
            "/components/headers",
            scheme(json!({"schema": {}, "foo": 1})),
        ),
        ("/security", json!([{"nope": []}])),
    ] {
        assert_good("3.0.3", at, &value);
    }
}

#[test]
fn swagger_is_reported_once() {
    let root = json!({"swagger": "2.0", "info": {}, "definitions": {}});
    let place = "/openapi".to_owned();
    assert_eq!(
        told(&faults(&root).invalid),
        [(Rule::OpenApiRequired, place)]
    );
}

/// Schemas that refer to one another many times do not take longer to check.
#[test]
fn many_references_and_examples_end() {
    let mut root = with("3.0.3", SCHEMA, json!({"type": "string", "example": 1}));
    for n in 0..40 {
        let next = json!({"$ref": format!("#/components/schemas/A{}", n + 1)});
        root["components"]["schemas"][&*format!("A{n}")] =
            json!({"allOf": [next, next], "example": "x"});
    }
    root["components"]["schemas"]["A40"] = json!({});
    let begun = std::time::Instant::now();
    let found = faults(&root);
    assert_eq!(
        told(&found.invalid),
        [(Rule::OpenApiExample, format!("{SCHEMA}/example"))]
    );
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

/// A 3.1 document with an example in the request or response, and with components.
fn with_example(part: &str, schema: &Value, example: &Value) -> Value {
    let media = json!({"content": {"application/json": {"schema": schema, "example": example}}});
    let media = match part {
        "requestBody" => media,
        _ => json!({"200": {"description": "ok", "content": media["content"]}}),
    };
    let mut root = with("3.1.0", &format!("{OPERATION}/{part}"), media);
    root["components"]["schemas"]["S"] = json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "string", "readOnly": true},
            "secret": {"type": "string", "writeOnly": true},
        },
    });
    root
}

#[test]
fn examples_of_requests_have_nothing_read_only_and_of_answers_nothing_write_only() {
    let (request, answer) = ("requestBody", "responses");
    let flat = json!({"$ref": "#/components/schemas/S"});
    let nested = json!({"allOf": [&flat]});
    let inline = json!({"type": "object", "properties": {"of": &nested}});
    for (part, schema, example, is_good) in [
        (request, &nested, json!({"id": "a"}), false),
        (request, &nested, json!({"secret": "a"}), true),
        (answer, &nested, json!({"id": "a"}), true),
        (answer, &nested, json!({"secret": "a", "id": "a"}), false),
        (answer, &nested, json!({}), false),
        (request, &inline, json!({"of": {"id": "a"}}), false),
        // Without references it is validated as JSON Schema.
        (request, &flat, json!({"id": "a", "secret": "a"}), true),
    ] {
        let found = faults(&with_example(part, schema, &example));
        assert_eq!(
            found.invalid.is_empty(),
            is_good,
            "{part} {schema} {example}: {found:?}"
        );
    }
    // The example of a referenced schema is checked where the schema is used.
    let used = json!({"$ref": "#/components/schemas/U"});
    for (part, is_good) in [(request, false), (answer, true)] {
        let mut root = with_example(part, &used, &json!({"id": "a"}));
        root["components"]["schemas"]["U"] = json!({"allOf": [&flat], "example": {"id": "a"}});
        let media = match part {
            "requestBody" => &mut root["paths"]["/p/{id}"]["get"]["requestBody"],
            _ => &mut root["paths"]["/p/{id}"]["get"]["responses"]["200"],
        };
        let media = media["content"]["application/json"]
            .as_object_mut()
            .unwrap();
        media.remove("example");
        let told = told(&faults(&root).invalid);
        let place = "/components/schemas/U/example".to_owned();
        let wanted = if is_good {
            vec![]
        } else {
            vec![(Rule::OpenApiExample, place)]
        };
        assert_eq!(told, wanted, "{part}");
    }
}
