//! Each feature in a minimal source, and a sibling source without it that has no findings.

use super::*;
use crate::finding::{Finding, Rule, Severity};
use crate::gateway::GatewayRelease;
use crate::service::{Service, check, check_for};

fn proto(messages: &str, methods: &str) -> Service {
    let source = format!("syntax = \"proto3\"; package p.v1; {messages} service S {{ {methods} }}");
    Service::proto(source).namespace("s")
}

fn proto2(messages: &str) -> Service {
    let source = format!(
        "syntax = \"proto2\"; package p.v1; {messages} service S {{ rpc Call(M) returns (M); }}"
    );
    Service::proto(source).namespace("s")
}

/// A unary method whose request and response have these fields.
fn unary(request: &str, answer: &str) -> Service {
    let messages = format!("message Q {{ {request} }} message A {{ {answer} }}");
    proto(&messages, "rpc Call(Q) returns (A);")
}

/// A server-streaming method whose request and responses have these fields.
fn stream(request: &str, answer: &str) -> Service {
    let messages = format!("message Q {{ {request} }} message A {{ {answer} }}");
    let service = proto(&messages, "rpc Call(Q) returns (stream A);");
    // Every stream has the first, and other tests cover repeated fields.
    let allowed = [Rule::CallsStreamStatus, Rule::CallsGraphQlFields];
    allowed.into_iter().fold(service, Service::allow)
}

fn document(operation: &str, more: &str) -> Service {
    at("get", "/pets", operation, more)
}

fn at(method: &str, path: &str, operation: &str, more: &str) -> Service {
    let operation = match operation.contains("responses") {
        true => operation.to_owned(),
        false => format!("{OK}, {operation}")
            .trim_end_matches(", ")
            .to_owned(),
    };
    Service::openapi(format!(
        r#"{{"openapi":"3.0.3","info":{{"title":"t","version":"1"}},{more}
            "paths":{{"{path}":{{"{method}":{{"operationId":"call",{operation}}}}}}}}}"#
    ))
    .namespace("s")
}

const OK: &str = r#""responses":{"200":{"description":"","content":{"application/json":{"schema":{"type":"string"}}}}}"#;

fn answering(schema: &str) -> String {
    format!(
        r#""responses":{{"200":{{"description":"","content":{{"application/json":{{"schema":{schema}}}}}}}}}"#
    )
}

fn graphql(sdl: &str) -> Service {
    Service::graphql("/graphql").schema(sdl).namespace("s")
}

/// The findings of the rules about calls; asserts that there are no others.
fn said(services: &[Service]) -> Vec<Finding> {
    let found = match check(services) {
        Ok(found) => found,
        Err(error) => error.into_findings(),
    };
    let all: Vec<Finding> = found.into_iter().collect();
    assert!(all.iter().all(|it| it.rule().is_about_calls()), "{all:#?}");
    all
}

#[track_caller]
fn refused(rule: Rule, bad: Service, good: Service) {
    one(rule, Severity::Error, bad);
    assert_eq!(said(&[good]), []);
}

#[track_caller]
fn warned(rule: Rule, bad: Service, good: Service) {
    one(rule, Severity::Warning, bad);
    assert_eq!(said(&[good]), []);
}

#[track_caller]
fn one(rule: Rule, severity: Severity, bad: Service) {
    let found = said(std::slice::from_ref(&bad));
    let [finding] = &found[..] else {
        panic!("{found:#?}");
    };
    assert_eq!((finding.rule(), finding.severity()), (rule, severity));
    assert!(finding.file().is_some() && finding.remedy().is_some());
    assert!(finding.message().contains("1.1"), "{finding}");
    assert!(
        finding.to_string().contains("::allow(Rule::Calls"),
        "{finding}"
    );
    assert_eq!(said(&[bad.clone().allow(rule)]), []);
    // The table lists it, allowed or not.
    let calls = bad.allow(rule).calls().expect("a table");
    let noted = calls.operations().flat_map(CallsOf::ways);
    let mut noted = noted.flat_map(Way::notes);
    assert!(noted.any(|it| it.rule() == Some(rule)), "{calls}");
}

#[test]
fn what_ends_a_gateway_is_refused() {
    let rule = Rule::CallsFatalStream;
    for field in ["uint64 n = 1;", "fixed64 n = 1;", "repeated uint64 n = 1;"] {
        refused(rule, stream("", field), unary_with(field));
        refused(
            rule,
            stream(field, ""),
            stream("int64 n = 1;", "sint64 n = 1;"),
        );
    }
    let signed = "google.protobuf.Int64Value";
    let wrapped = |of: &str, method: &str| {
        let source = format!(
            "syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; package p.v1;
             message Q {{}} message In {{ {of} n = 1; }} message A {{ In inner = 1; }}
             service S {{ rpc Call({method}); }}"
        );
        let service = Service::proto(source).namespace("s");
        service.allow(Rule::CallsStreamStatus)
    };
    for method in ["Q) returns (stream A", "A) returns (stream Q"] {
        let bad = wrapped("google.protobuf.UInt64Value", method);
        refused(rule, bad, wrapped(signed, method));
    }
    // The message itself is an unsigned number.
    let bad = wrapped("int32", "Q) returns (stream google.protobuf.UInt64Value");
    refused(
        rule,
        bad,
        wrapped("int32", "Q) returns (stream google.protobuf.Int64Value"),
    );
    // In a map, in a oneof, in a circle.
    refused(
        rule,
        stream(
            "",
            "oneof o { fixed64 n = 1; string s = 2; } repeated A again = 3;",
        ),
        stream(
            "",
            "oneof o { sfixed64 n = 1; string s = 2; } repeated A again = 3;",
        ),
    );
    refused(
        rule,
        stream("map<string, string> tags = 1;", ""),
        stream(
            "repeated Tag tags = 1; message Tag { string key = 1; string value = 2; }",
            "",
        ),
    );
    // Client-streaming methods have no route.
    let client = proto(
        "message Q { uint64 n = 1; }",
        "rpc Up(stream Q) returns (Q); rpc Both(stream Q) returns (stream Q);",
    );
    let client = client.allow(Rule::ProtoStreaming);
    assert_eq!(said(&[client]), []);
}

/// A unary method with this field in its response; the rule about HTTP values is allowed.
fn unary_with(field: &str) -> Service {
    unary("", field).allow(Rule::CallsHttpValues)
}

#[test]
fn each_field_that_ends_a_gateway_is_reported_with_its_place() {
    let source = "syntax = \"proto3\";\npackage p.v1;\nmessage Q {\n  map<string, string> tags = 1;\n}\n\
                  message A {\n  uint64 n = 1;\n  fixed64 m = 2;\n}\n\
                  service S {\n  rpc Call(Q) returns (stream A);\n}\n";
    let service = Service::proto(source).namespace("s");
    let error = check(&[service]).unwrap_err();
    let found = error.into_findings();
    let places: Vec<_> = found.errors().map(|it| (it.line(), it.column())).collect();
    assert_eq!(
        places,
        [
            (Some(7), Some(10)),
            (Some(8), Some(11)),
            (Some(4), Some(23))
        ]
    );
    let shown = found.to_string();
    for part in [
        "`A.n` is uint64 or fixed64, in an answer of the stream `/p.v1.S/Call`",
        "(gRPC, HTTP, GraphQL; releases 1.1 and 1.4)",
        "`Q.tags` is a map, in a request of the stream",
        "help: make it int64, or a string",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

/// Only gRPC callers can trigger it for a document.
#[test]
fn what_ends_a_gateway_by_a_document_is_warned_of() {
    let rule = Rule::CallsFatalMap;
    let free = r#"{"type":"object","additionalProperties":{"type":"string"}}"#;
    let named = r#"{"type":"object","properties":{"name":{"type":"string"}}}"#;
    let answer = |schema: &str| document(&answering(schema), "");
    warned(rule, answer(free), answer(named));
    let nested = |schema: &str| {
        answer(&format!(
            r#"{{"type":"object","properties":{{"labels":{schema}}}}}"#
        ))
    };
    warned(rule, nested(free), nested(named));
    let body = |schema: &str| {
        let body =
            format!(r#""requestBody":{{"content":{{"application/json":{{"schema":{schema}}}}}}}"#);
        at("post", "/pets", &body, "")
    };
    warned(rule, body(free), body(named));
    // 1.1 has no gRPC route for such a document.
    let old = check_for(&[answer(free)], GatewayRelease::V1_1).unwrap();
    assert!(old.is_empty(), "{old}");
}

#[test]
fn what_streams_lose_is_warned_of() {
    let rule = Rule::CallsStreamUnsigned;
    for field in ["uint32 n = 1;", "fixed32 n = 1;", "repeated uint32 n = 1;"] {
        warned(rule, stream("", field), unary("", field));
        warned(
            rule,
            stream(field, ""),
            stream("int32 n = 1;", "sint32 n = 1;"),
        );
    }
    warned(
        Rule::CallsStreamStatus,
        proto(
            "message M { string s = 1; }",
            "rpc Call(M) returns (stream M);",
        ),
        proto("message M { string s = 1; }", "rpc Call(M) returns (M);"),
    );
}

#[test]
fn what_http_loses_of_a_proto_is_warned_of() {
    let rule = Rule::CallsHttpValues;
    for field in ["bytes b = 1;", "uint64 n = 1;", "fixed64 n = 1;"] {
        warned(
            rule,
            unary("", field),
            unary("", "string s = 1; int64 n = 2;"),
        );
        warned(
            rule,
            unary(field, ""),
            unary("string s = 1; int64 n = 2;", ""),
        );
    }
    warned(
        rule,
        unary("map<string, string> tags = 1;", ""),
        unary("string tags = 1;", ""),
    );
    warned(
        Rule::CallsProto2Defaults,
        proto2("message M { optional string s = 1 [default = \"x\"]; }"),
        proto2("message M { optional string s = 1; }"),
    );
}

#[test]
fn what_graphql_loses_is_warned_of() {
    let rule = Rule::CallsGraphQlFields;
    warned(
        rule,
        unary("string first_name = 1;", ""),
        unary("string firstName = 1;", "string first_name = 1;"),
    );
    warned(
        rule,
        unary("repeated string tags = 1;", ""),
        unary(
            "In inner = 1; message In { repeated string long_tags = 1; }",
            "repeated string tags = 1;",
        ),
    );
    let object = |name: &str| {
        format!(r#"{{"type":"object","properties":{{"{name}":{{"type":"string"}}}}}}"#)
    };
    warned(
        rule,
        document(&answering(&object("first_name")), ""),
        document(&answering(&object("firstName")), ""),
    );
    let body = |name: &str| {
        let body = format!(
            r#""requestBody":{{"content":{{"application/json":{{"schema":{}}}}}}}"#,
            object(name)
        );
        at("post", "/pets", &body, "")
    };
    warned(rule, body("first_name"), body("firstName"));
    // Below components, in a list and in a cycle.
    let nested = |name: &str| {
        let components = format!(
            r##""components":{{"schemas":{{
                "List":{{"type":"object","properties":{{"items":{{"type":"array","items":{{"$ref":"#/components/schemas/Pet"}}}}}}}},
                "Pet":{{"type":"object","properties":{{"{name}":{{"type":"string"}},"all":{{"$ref":"#/components/schemas/List"}}}}}}}}}},"##
        );
        document(
            &answering(r##"{"$ref":"#/components/schemas/List"}"##),
            &components,
        )
    };
    warned(rule, nested("pet_name"), nested("petName"));
}

#[test]
fn what_documents_lose_is_warned_of() {
    let parameter = |place: &str, more: &str| {
        let parameter = format!(
            r#""parameters":[{{"name":"tenant","in":"{place}",{more}"schema":{{"type":"string"}}}}]"#
        );
        document(&parameter, "")
    };
    let required = r#""required":true,"#;
    let rule = Rule::CallsRequests;
    for place in ["header", "cookie"] {
        warned(rule, parameter(place, required), parameter(place, ""));
    }
    let query = |schema: &str| {
        document(
            &format!(r#""parameters":[{{"name":"tags","in":"query",{schema}}}]"#),
            "",
        )
    };
    let text = r#""schema":{"type":"string"}"#;
    warned(
        rule,
        query(r#""schema":{"type":"array","items":{"type":"string"}}"#),
        query(text),
    );
    warned(
        rule,
        query(r#""style":"deepObject","schema":{"type":"object"}"#),
        query(text),
    );
    let body = |media: &str| {
        let body = format!(
            r#""requestBody":{{"content":{{"{media}":{{"schema":{{"type":"object"}}}}}}}}"#
        );
        at("post", "/pets", &body, "")
    };
    for media in [
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "application/merge-patch+json",
    ] {
        warned(rule, body(media), body("application/json"));
    }
    assert_eq!(said(&[body("multipart/form-data")]), []);
    let key = |name: &str| {
        format!(
            r#""security":[{{"key":[]}}],"components":{{"securitySchemes":{{"key":{{"type":"apiKey","in":"header","name":"{name}"}}}}}},"#
        )
    };
    warned(
        rule,
        document("", &key("X-API-Key")),
        document("", &key("Authorization")),
    );
    let answer = |media: &str| {
        document(
            &format!(
                r#""responses":{{"200":{{"description":"","content":{{"{media}":{{"schema":{{"type":"string"}}}}}}}}}}"#
            ),
            "",
        )
    };
    for media in [
        "text/plain",
        "text/html",
        "application/octet-stream",
        "text/event-stream",
    ] {
        warned(
            Rule::CallsAnswerTypes,
            answer(media),
            answer("application/problem+json"),
        );
    }
    let status = |status: &str| {
        document(
            &format!(r#""responses":{{"{status}":{{"description":""}}}}"#),
            "",
        )
    };
    for changed in ["201", "202", "204", "302", "304"] {
        warned(Rule::CallsAnswers, status(changed), status("200"));
    }
    let headers = |headers: &str| {
        document(
            &format!(r#""responses":{{"200":{{"description":"",{headers}"x-n":1}}}}"#),
            "",
        )
    };
    let etag = r#""headers":{"ETag":{"schema":{"type":"string"}}},"#;
    warned(Rule::CallsAnswers, headers(etag), headers(""));
    let number = |format: &str| {
        let schema = format!(
            r#"{{"type":"object","properties":{{"id":{{"type":"integer",{format}"x-n":1}}}}}}"#
        );
        document(&answering(&schema), "")
    };
    for big in [r#""format":"int64","#, r#""format":"uint64","#] {
        warned(
            Rule::CallsAnswers,
            number(big),
            number(r#""format":"int32","#),
        );
        warned(
            Rule::CallsAnswers,
            number(big),
            number(&format!(r#"{big}"maximum":9007199254740991,"#)),
        );
    }
    for method in ["head", "options"] {
        let mut found = said(&[at(method, "/pets", "", "").allow(Rule::OpenApiNoOperations)]);
        assert_eq!(
            found.pop().map(|it| it.rule()),
            Some(Rule::CallsUnreachable)
        );
    }
    let path = |path: &str| {
        let parameter = r#""parameters":[{"name":"name","in":"path","required":true,"schema":{"type":"string"}}]"#;
        at("get", path, parameter, "")
    };
    warned(
        Rule::CallsUnreachable,
        path("/pets/{name}.json"),
        path("/pets/{name}"),
    );
    warned(
        Rule::CallsUnreachable,
        path("/pets/v-{name}"),
        path("/{name}/pets"),
    );
    let server = |url: &str| document("", &format!(r#""servers":[{{"url":"{url}"}}],"#));
    for url in ["https://api.example.com/v1", "/v1/"] {
        warned(
            Rule::CallsBasePath,
            server(url),
            server("https://api.example.com/"),
        );
    }
}

#[test]
fn what_a_graphql_endpoint_loses_is_warned_of() {
    warned(
        Rule::CallsUpstream,
        graphql(
            "type Query { me: User user(id: ID!): User } type User { name: String posts(first: Int): String }",
        ),
        graphql(
            "type Query { me: User user(id: ID!): User } type User { name: String posts: String }",
        ),
    );
    warned(
        Rule::CallsUpstream,
        graphql("type Query { user(id: ID!): User } type User { score(scale: Int): Int }"),
        graphql("type Query { user(id: ID!): User } type User { score: Int }"),
    );
}

#[test]
fn names_of_headers_block_release_1_1_only() {
    let service = |name: &str| {
        document(
            &format!(
                r#""parameters":[{{"name":"{name}","in":"header","schema":{{"type":"string"}}}}]"#
            ),
            "",
        )
    };
    let old = |service: Service| match check_for(&[service], GatewayRelease::V1_1) {
        Ok(found) => found,
        Err(error) => error.into_findings(),
    };
    let found = old(service("X-Tenant-Id"));
    let rules: Vec<_> = found.errors().map(Finding::rule).collect();
    assert_eq!(rules, [Rule::CallsHeaderName], "{found}");
    assert!(old(service("tenant")).is_empty());
    assert!(old(service("X-Tenant-Id").allow(Rule::CallsHeaderName)).is_empty());
    assert_eq!(said(&[service("X-Tenant-Id")]), []);
}

#[test]
fn routes_in_common_are_warned_of() {
    let rule =
        |services: &[Service]| -> Vec<Rule> { said(services).iter().map(Finding::rule).collect() };
    let shared = [Rule::CallsSharedRoutes];
    let proto = unary("string s = 1;", "string s = 1;");
    assert_eq!(rule(&[proto.clone(), proto.clone().version("v2")]), shared);
    let allowed = proto.clone().version("v2").allow(Rule::CallsSharedRoutes);
    assert_eq!(rule(&[proto.clone(), allowed]), []);
    let next =
        "syntax = \"proto3\"; package p.v2; message Q {} service S { rpc Call(Q) returns (Q); }";
    assert_eq!(
        rule(&[proto, Service::proto(next).namespace("s").version("v2")]),
        []
    );
    let pets = |path: &str, namespace: &str| {
        let parameter = r#""parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}]"#;
        let parameter = if path.contains('{') { parameter } else { "" };
        at("get", path, parameter, "").namespace(namespace)
    };
    for (one, other, is_shared) in [
        ("/health", "/health", true),
        ("/health", "/healthz", false),
        ("/x/{id}", "/x/{id}", true),
        ("/x/{id}", "/{id}/y", true),
        ("/x/{id}", "/y/{id}", false),
        ("/x/{id}", "/x/{id}/z", false),
        // Fixed segments always win.
        ("/x/y", "/x/{id}", false),
    ] {
        let found = rule(&[pets(one, "a"), pets(other, "b")]);
        assert_eq!(found == shared, is_shared, "{one} {other}: {found:?}");
    }
}

#[test]
fn the_table_says_what_becomes_of_each_operation() {
    let service = proto(
        "message Q { string first_name = 1; } message A { uint64 n = 1; }",
        "rpc Get(Q) returns (A); rpc Watch(Q) returns (stream A); rpc Put(stream Q) returns (A);",
    );
    let calls = service.calls().expect("a table");
    let get = calls.operation("/p.v1.S/Get").expect("get");
    let way = |of: &CallsOf, ingress| {
        (
            of.by(ingress).address().map(str::to_owned),
            of.by(ingress).fate(),
        )
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        way(get, Ingress::Grpc),
        (some("/p.v1.S/Get"), Fate::Carried)
    );
    assert_eq!(
        way(get, Ingress::Http),
        (some("POST /api/ingress/p.v1.S/Get"), Fate::Fails)
    );
    assert_eq!(
        way(get, Ingress::GraphQl),
        (some("query { s { get } }"), Fate::Lost)
    );
    let watch = calls.operation("/p.v1.S/Watch").expect("watch");
    assert_eq!(watch.by(Ingress::Grpc).fate(), Fate::EndsGateway);
    assert_eq!(
        watch.by(Ingress::GraphQl).address(),
        Some("subscription { s_watch }")
    );
    let put = calls.operation("/p.v1.S/Put").expect("put");
    assert_eq!(way(put, Ingress::Grpc), (None, Fate::Fails));
    let shown = calls.to_string();
    for line in [
        "s/v1",
        "  /p.v1.S/Get",
        "    gRPC     /p.v1.S/Get",
        "             carried",
        "    GraphQL  query { s { get } }",
        "             lost: accepted but never sent: `Q.first_name`",
        "             ends the gateway: a value that is set ends the gateway's process, for \
         everybody: `A.n`",
    ] {
        assert!(shown.lines().any(|it| it == line), "{line}\n{shown}");
    }
    let pets = document("", "").calls().expect("a table");
    let pets = pets.operation("GET /pets").expect("pets");
    assert_eq!(
        way(pets, Ingress::Http),
        (some("GET /api/ingress/pets"), Fate::Carried)
    );
    let books = graphql("type Query { books: [String!] }")
        .calls()
        .expect("a table");
    let books = books.operation("query books").expect("books");
    assert_eq!(
        way(books, Ingress::GraphQl),
        (some("query { s { books } }"), Fate::Carried)
    );
    // Unknown until the endpoint runs.
    let error = Service::graphql("/graphql")
        .namespace("s")
        .calls()
        .unwrap_err();
    assert_eq!(error.rule(), Rule::GraphQlUnchecked);
}
