//! Pairs of schemas, judged by hand: by graphql-inspector, buf (its categories WIRE for breaking, and
//! WIRE_JSON and FILE for dangerous) and common sense.

use super::*;

fn proto(body: &str) -> Service {
    proto_as("s.v1", body)
}

fn proto_as(package: &str, body: &str) -> Service {
    let source = format!("syntax = \"proto3\"; package {package}; {body}");
    Service::proto(source).namespace("s")
}

fn graphql(sdl: &str) -> Service {
    Service::graphql("/graphql").namespace("s").schema(sdl)
}

fn openapi(operation: &str, schemas: &str) -> Service {
    openapi_at("/a", "get", operation, schemas)
}

fn openapi_at(path: &str, method: &str, operation: &str, schemas: &str) -> Service {
    let document = format!(
        r#"{{"openapi": "3.0.3", "info": {{"title": "T", "version": "1"}},
            "paths": {{"{path}": {{"{method}": {{"operationId": "op", {operation}}}}}}},
            "components": {{"schemas": {{{schemas}}}}}}}"#
    );
    Service::openapi(document).namespace("s")
}

const OK: &str = r#""responses": {"200": {"description": "ok"}}"#;

fn answering(schema: &str) -> String {
    format!(
        r#""responses": {{"200": {{"description": "ok",
            "content": {{"application/json": {{"schema": {schema}}}}}}}}}"#
    )
}

fn taking(required: bool, schema: &str) -> String {
    format!(
        r#""requestBody": {{"required": {required},
            "content": {{"application/json": {{"schema": {schema}}}}}}}, {OK}"#
    )
}

fn parameters(list: &str) -> String {
    format!(r#""parameters": [{list}], {OK}"#)
}

fn parameter(name: &str, required: bool, schema: &str) -> String {
    format!(r#"{{"name": "{name}", "in": "query", "required": {required}, "schema": {schema}}}"#)
}

fn greeter(request: &str, response: &str, more: &str) -> Service {
    proto(&format!(
        "service S {{ rpc Get(Q) returns (R); }} message Q {{ {request} }} message R {{ {response} }} {more}"
    ))
}

/// The most severe change for each protocol; a protocol not listed is not affected.
struct Judged {
    graphql: Option<Level>,
    grpc: Option<Level>,
    http: Option<Level>,
}

const fn judged(graphql: Option<Level>, grpc: Option<Level>, http: Option<Level>) -> Judged {
    Judged {
        graphql,
        grpc,
        http,
    }
}

const SAFE: Option<Level> = Some(Level::Safe);
const DANGEROUS: Option<Level> = Some(Level::Dangerous);
const BREAKING: Option<Level> = Some(Level::Breaking);

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn pairs_are_judged_as_by_hand() {
    let r = "string a = 1;";
    let string = r#"{"type": "string"}"#;
    let pairs: Vec<(&str, Vec<Service>, Vec<Service>, Judged)> = vec![
        // graphql-inspector: OBJECT_TYPE_ADDED and FIELD_ADDED are safe.
        (
            "gql field added",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a: Int b: Int }")],
            judged(SAFE, None, None),
        ),
        (
            "gql field removed",
            vec![graphql("type Query { a: Int b: Int }")],
            vec![graphql("type Query { a: Int }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql field type",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a: String }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql field non-null",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a: Int! }")],
            judged(SAFE, None, None),
        ),
        (
            "gql field nullable",
            vec![graphql("type Query { a: Int! }")],
            vec![graphql("type Query { a: Int }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql items non-null",
            vec![graphql("type Query { a: [Int] }")],
            vec![graphql("type Query { a: [Int!] }")],
            judged(SAFE, None, None),
        ),
        (
            "gql list",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a: [Int] }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql argument added",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a(x: Int): Int }")],
            judged(DANGEROUS, None, None),
        ),
        (
            "gql required argument added",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a(x: Int!): Int }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql argument removed",
            vec![graphql("type Query { a(x: Int): Int }")],
            vec![graphql("type Query { a: Int }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql argument optional",
            vec![graphql("type Query { a(x: Int!): Int }")],
            vec![graphql("type Query { a(x: Int): Int }")],
            judged(SAFE, None, None),
        ),
        (
            "gql argument required",
            vec![graphql("type Query { a(x: Int): Int }")],
            vec![graphql("type Query { a(x: Int!): Int }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql enum value added",
            vec![graphql("type Query { a: E } enum E { A }")],
            vec![graphql("type Query { a: E } enum E { A B }")],
            judged(DANGEROUS, None, None),
        ),
        (
            "gql enum value removed",
            vec![graphql("type Query { a: E } enum E { A B }")],
            vec![graphql("type Query { a: E } enum E { A }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql union member added",
            vec![graphql(
                "type Query { a: U b: B } union U = A type A { x: Int } type B { y: Int }",
            )],
            vec![graphql(
                "type Query { a: U b: B } union U = A | B type A { x: Int } type B { y: Int }",
            )],
            judged(DANGEROUS, None, None),
        ),
        (
            "gql union member removed",
            vec![graphql(
                "type Query { a: U b: B } union U = A | B type A { x: Int } type B { y: Int }",
            )],
            vec![graphql(
                "type Query { a: U b: B } union U = A type A { x: Int } type B { y: Int }",
            )],
            judged(BREAKING, None, None),
        ),
        (
            "gql input field added",
            vec![graphql("type Query { a(i: I): Int } input I { x: Int }")],
            vec![graphql(
                "type Query { a(i: I): Int } input I { x: Int y: Int }",
            )],
            judged(DANGEROUS, None, None),
        ),
        (
            "gql required input field added",
            vec![graphql("type Query { a(i: I): Int } input I { x: Int }")],
            vec![graphql(
                "type Query { a(i: I): Int } input I { x: Int y: Int! }",
            )],
            judged(BREAKING, None, None),
        ),
        (
            "gql kind",
            vec![graphql("type Query { a: T } type T { x: Int }")],
            vec![graphql("type Query { a: T } enum T { X }")],
            judged(BREAKING, None, None),
        ),
        (
            "gql deprecated",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { a: Int @deprecated }")],
            judged(SAFE, None, None),
        ),
        (
            "gql description",
            vec![graphql("type Query { a: Int }")],
            vec![graphql("type Query { \"A.\" a: Int }")],
            judged(SAFE, None, None),
        ),
        // A field that leads to arguments becomes a group, so its type disappears.
        (
            "gql group",
            vec![graphql("type Query { a: T } type T { x: Int }")],
            vec![graphql("type Query { a: T } type T { x(y: Int): Int }")],
            judged(BREAKING, None, None),
        ),
        // buf: FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED and the like.
        (
            "proto field added",
            vec![greeter("", r, "")],
            vec![greeter("", "string a = 1; string b = 2;", "")],
            judged(SAFE, SAFE, None),
        ),
        (
            "proto field removed",
            vec![greeter("", "string a = 1; string b = 2;", "")],
            vec![greeter("", r, "")],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto field reserved",
            vec![greeter("", "string a = 1; string b = 2;", "")],
            vec![greeter("", "string a = 1; reserved 2;", "")],
            judged(BREAKING, DANGEROUS, None),
        ),
        (
            "proto field renamed",
            vec![greeter("", r, "")],
            vec![greeter("", "string b = 1;", "")],
            judged(BREAKING, DANGEROUS, None),
        ),
        (
            "proto field renumbered",
            vec![greeter("", r, "")],
            vec![greeter("", "string a = 2;", "")],
            judged(None, BREAKING, None),
        ),
        (
            "proto incompatible type",
            vec![greeter("", "int32 a = 1;", "")],
            vec![greeter("", "string a = 1;", "")],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto compatible type",
            vec![greeter("", "int32 a = 1;", "")],
            vec![greeter("", "uint32 a = 1;", "")],
            judged(None, DANGEROUS, None),
        ),
        (
            "proto wider type",
            vec![greeter("", "int32 a = 1;", "")],
            vec![greeter("", "int64 a = 1;", "")],
            judged(BREAKING, DANGEROUS, None),
        ),
        (
            "proto repeated",
            vec![greeter("", r, "")],
            vec![greeter("", "repeated string a = 1;", "")],
            judged(BREAKING, BREAKING, None),
        ),
        // GraphQL callers see lists in a request as single values.
        (
            "proto repeated in request",
            vec![greeter(r, "", "")],
            vec![greeter("repeated string a = 1;", "", "")],
            judged(None, BREAKING, None),
        ),
        (
            "proto optional",
            vec![greeter("", r, "")],
            vec![greeter("", "optional string a = 1;", "")],
            judged(None, DANGEROUS, None),
        ),
        (
            "proto oneof",
            vec![greeter("", r, "")],
            vec![greeter("", "oneof o { string a = 1; }", "")],
            judged(None, BREAKING, None),
        ),
        (
            "proto enum value removed",
            vec![greeter("", "E e = 1;", "enum E { A = 0; B = 1; }")],
            vec![greeter("", "E e = 1;", "enum E { A = 0; }")],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto enum value added",
            vec![greeter("", "E e = 1;", "enum E { A = 0; }")],
            vec![greeter("", "E e = 1;", "enum E { A = 0; B = 1; }")],
            judged(DANGEROUS, DANGEROUS, None),
        ),
        (
            "proto enum value renamed",
            vec![greeter("", "E e = 1;", "enum E { A = 0; }")],
            vec![greeter("", "E e = 1;", "enum E { B = 0; }")],
            judged(BREAKING, DANGEROUS, None),
        ),
        (
            "proto method removed",
            vec![proto(
                "service S { rpc A(Q) returns (Q); rpc B(Q) returns (Q); } message Q { string a = 1; }",
            )],
            vec![proto(
                "service S { rpc A(Q) returns (Q); } message Q { string a = 1; }",
            )],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto method added",
            vec![proto(
                "service S { rpc A(Q) returns (Q); } message Q { string a = 1; }",
            )],
            vec![proto(
                "service S { rpc A(Q) returns (Q); rpc B(Q) returns (Q); } message Q { string a = 1; }",
            )],
            judged(SAFE, SAFE, None),
        ),
        (
            "proto streaming",
            vec![proto(
                "service S { rpc A(Q) returns (Q); } message Q { string a = 1; }",
            )],
            vec![proto(
                "service S { rpc A(Q) returns (stream Q); } message Q { string a = 1; }",
            )],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto package",
            vec![greeter("", r, "")],
            vec![proto_as(
                "s.v2",
                "service S { rpc Get(Q) returns (R); } message Q {} message R { string a = 1; }",
            )],
            judged(BREAKING, BREAKING, None),
        ),
        (
            "proto comment",
            vec![greeter("", r, "")],
            vec![greeter("", "\n// Text.\nstring a = 1;", "")],
            judged(SAFE, None, None),
        ),
        // HTTP.
        (
            "http path removed",
            vec![openapi(OK, "")],
            vec![openapi_at("/b", "get", OK, "")],
            judged(None, None, BREAKING),
        ),
        (
            "http method",
            vec![openapi(OK, "")],
            vec![openapi_at("/a", "post", OK, "")],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http optional parameter added",
            vec![openapi(OK, "")],
            vec![openapi(&parameters(&parameter("q", false, string)), "")],
            judged(DANGEROUS, None, SAFE),
        ),
        (
            "http required parameter added",
            vec![openapi(OK, "")],
            vec![openapi(&parameters(&parameter("q", true, string)), "")],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http parameter removed",
            vec![openapi(&parameters(&parameter("q", false, string)), "")],
            vec![openapi(OK, "")],
            judged(BREAKING, None, DANGEROUS),
        ),
        (
            "http parameter required",
            vec![openapi(&parameters(&parameter("q", false, string)), "")],
            vec![openapi(&parameters(&parameter("q", true, string)), "")],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http parameter type",
            vec![openapi(&parameters(&parameter("q", false, string)), "")],
            vec![openapi(
                &parameters(&parameter("q", false, r#"{"type": "integer"}"#)),
                "",
            )],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http enum value removed from a request",
            vec![openapi(
                &parameters(&parameter(
                    "q",
                    false,
                    r#"{"type": "string", "enum": ["a", "b"]}"#,
                )),
                "",
            )],
            vec![openapi(
                &parameters(&parameter(
                    "q",
                    false,
                    r#"{"type": "string", "enum": ["a"]}"#,
                )),
                "",
            )],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http length",
            vec![openapi(&parameters(&parameter("q", false, string)), "")],
            vec![openapi(
                &parameters(&parameter(
                    "q",
                    false,
                    r#"{"type": "string", "maxLength": 3}"#,
                )),
                "",
            )],
            judged(None, None, BREAKING),
        ),
        (
            "http required body added",
            vec![openapi_at("/a", "post", OK, "")],
            vec![openapi_at("/a", "post", &taking(true, string), "")],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http required property of a body",
            vec![openapi_at(
                "/a",
                "post",
                &taking(
                    true,
                    r#"{"type": "object", "properties": {"a": {"type": "string"}}}"#,
                ),
                "",
            )],
            vec![openapi_at(
                "/a",
                "post",
                &taking(
                    true,
                    r#"{"type": "object", "required": ["b"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}"#,
                ),
                "",
            )],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http property of a response added",
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
            )],
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}"#,
            )],
            judged(SAFE, None, SAFE),
        ),
        (
            "http required property of a response removed",
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}"#,
            )],
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "properties": {"b": {"type": "string"}}}"#,
            )],
            judged(BREAKING, None, BREAKING),
        ),
        (
            "http component renamed",
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
            )],
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/U"}"##),
                r#""U": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
            )],
            judged(BREAKING, None, None),
        ),
        (
            "http name of a path parameter",
            vec![openapi_at(
                "/a/{x}",
                "get",
                &parameters(
                    r#"{"name": "x", "in": "path", "required": true, "schema": {"type": "string"}}"#,
                ),
                "",
            )],
            vec![openapi_at(
                "/a/{y}",
                "get",
                &parameters(
                    r#"{"name": "y", "in": "path", "required": true, "schema": {"type": "string"}}"#,
                ),
                "",
            )],
            judged(BREAKING, None, None),
        ),
        // Registering v2 renames the types of v1.
        (
            "v2 beside v1",
            vec![openapi(
                &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                r#""T": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
            )],
            vec![
                openapi(
                    &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                    r#""T": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
                ),
                openapi(
                    &answering(r##"{"$ref": "#/components/schemas/T"}"##),
                    r#""T": {"type": "object", "properties": {"a": {"type": "string"}}}"#,
                )
                .version("v2"),
            ],
            judged(BREAKING, None, None),
        ),
        (
            "nothing",
            vec![greeter(r, r, "")],
            vec![greeter(r, r, "")],
            judged(None, None, None),
        ),
    ];
    let mut wrong = Vec::new();
    for (name, old, new, judged) in &pairs {
        let changes = match diff(old, new, GatewayRelease::default()) {
            Ok(changes) => changes,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        let worst = |protocol: Protocol| {
            let of = changes.iter().filter(|it| it.protocol() == protocol);
            of.map(Change::level).max()
        };
        let found = [Protocol::GraphQl, Protocol::Grpc, Protocol::Http].map(worst);
        if found != [judged.graphql, judged.grpc, judged.http] {
            let told: Vec<_> = changes.iter().map(ToString::to_string).collect();
            wrong.push(format!("{name}: {found:?}\n{}", told.join("\n")));
        }
        // Each change that is not safe has a place.
        let lost = changes.iter().find(|it| {
            let is_container = it.subject().contains("Namespace") && it.file().is_none();
            it.level() == Level::Breaking && it.file().is_none() && !is_container
        });
        if let Some(change) = lost {
            wrong.push(format!("{name}: no place: {change}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(pairs.len() >= 40, "{}", pairs.len());
}

#[test]
fn a_change_is_shown_with_its_place() {
    let old = [greeter("", "string a = 1;\nint32 b = 2;", "")];
    let new = [greeter("", "string a = 1;\nstring b = 2;", "")];
    let changes = diff(&old, &new, GatewayRelease::default()).unwrap();
    let shown = changes[0].to_string();
    assert!(
        shown.starts_with("breaking (GraphQL): S_V1_R.b: the type was `Int` and is `String`"),
        "{shown}"
    );
    let of_grpc = changes
        .iter()
        .find(|it| it.protocol() == Protocol::Grpc)
        .unwrap();
    assert_eq!(of_grpc.subject(), "s.v1.R.b");
    assert_eq!((of_grpc.file(), of_grpc.line()), (Some("s.proto"), Some(2)));
}
