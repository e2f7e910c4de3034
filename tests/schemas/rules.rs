//! What `Options::check` reports: everything at once, with places and remedies; what may be allowed
//! and what may not; and that nothing of it reaches the network.

use std::time::Duration;

use crate::support::Log;
use tower_gwag::{
    Error, ErrorKind, Finding, GwagRegistrationLayer, Options, Rule, Service, Severity,
};

const TWO: &str = "syntax = \"proto3\";\npackage shop.v1;\nmessage M { map<string, M> tags = 1; }\n\
                   service Shop { rpc Buy(M) returns (M); }\nservice Stock { rpc Put(M) returns (M); }\n";

fn errors(options: &Options) -> Vec<Finding> {
    let error = options.check().expect_err("refused");
    error.findings().unwrap().errors().cloned().collect()
}

fn of(service: Service) -> Options {
    Options::new("gateway:1").service(service)
}

fn place(finding: &Finding) -> (Option<&str>, Option<usize>, Option<usize>) {
    (finding.file(), finding.line(), finding.column())
}

#[test]
fn everything_is_reported_at_once() {
    let options = Options::new("gateway")
        .service(Service::proto(TWO).namespace("my-shop").version("1"))
        .service(Service::openapi(
            "openapi: 3.0.0\ninfo: {title: Pets, version: 1}\npaths: {}\n",
        ))
        .service(Service::proto_dir(
            [("a.proto", "import \"b.proto\";")],
            "a.proto",
        ))
        .ttl(Duration::from_millis(1_500))
        .quiet(Duration::from_secs(30))
        .leave_timeout(Duration::ZERO);
    let found = errors(&options);
    let rules: Vec<Rule> = found.iter().map(Finding::rule).collect();
    assert_eq!(
        rules,
        [
            Rule::GatewayAddress,
            Rule::NamespaceName,
            Rule::VersionSyntax,
            Rule::ProtoTwoServices,
            Rule::ProtoFreeJson,
            Rule::OpenApiShape,
            Rule::ProtoImportMissing,
            Rule::Ttl,
            Rule::Timeouts,
            Rule::Timeouts,
            Rule::Timeouts,
        ]
    );
    let error = options.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidGatewayAddress);
    // A `main` that returns the error shows it as it is meant to be read.
    for text in [error.to_string(), format!("{error:?}")] {
        for line in [
            "error[proto-two-services]: service `my-shop`: `Stock` is one service too many",
            "  --> my-shop.proto:5:9",
            " 5 | service Stock { rpc Put(M) returns (M); }",
            "   |         ^^^^^",
        ] {
            assert!(
                text.lines().any(|it| it.starts_with(line)),
                "{line}\n{text}"
            );
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _runtime = runtime.enter();
    let registration = GwagRegistrationLayer::new(options).registration();
    let refused: Error = registration
        .start("127.0.0.1:1".parse().unwrap())
        .unwrap_err();
    assert_eq!(refused.findings().unwrap().errors().count(), rules.len());
}

#[test]
fn faults_of_protos_have_their_place() {
    let tree = [
        (
            "api/shop.proto",
            "syntax = \"proto3\";\nimport \"common/a.proto\";\nmessage M {\n  Nope n = 1;\n  Nö b = 2;\n}",
        ),
        ("common/a.proto", "syntax = \"proto3\";"),
    ];
    let found = errors(&of(Service::proto_dir(tree, "api/shop.proto")));
    assert_eq!(found[0].rule(), Rule::ProtoCompile);
    assert_eq!(place(&found[0]).0, Some("api/shop.proto"), "{}", found[0]);
    let tree = [
        ("shop.proto", "import \"common/a.proto\";"),
        (
            "common/a.proto",
            "syntax = \"proto3\";\nmessage A {\n  Nope n = 1;\n  Gone g = 2;\n}",
        ),
    ];
    let found = errors(&of(Service::proto_dir(tree, "shop.proto")));
    // Both faults, in the imported file.
    assert_eq!(place(&found[0]), (Some("common/a.proto"), Some(3), Some(3)));
    assert_eq!(place(&found[1]), (Some("common/a.proto"), Some(4), Some(3)));
    // In a large file, too. Very many faults are reported without places, but soon.
    for (count, located) in [(3, 3), (20_000, 0)] {
        let faults = "message M { Nope n = 1; }\n".replace("M {", "M {\n");
        let faults: String = (0..count)
            .map(|n| faults.replace('M', &format!("M{n}")))
            .collect();
        let source = format!("syntax = \"proto3\";\n{faults}// {}", "x".repeat(100_000));
        let begun = std::time::Instant::now();
        let found = errors(&of(Service::proto(source).namespace("s")));
        assert_eq!(place(&found[0]).0, Some("s.proto"), "{}", found[0]);
        assert_eq!(
            found.iter().filter(|it| it.line().is_some()).count(),
            located
        );
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{:?}",
            begun.elapsed()
        );
    }
    let unended = of(Service::proto("syntax = \"proto3\";\nmessage A {\n").namespace("s"));
    assert_eq!(
        place(&errors(&unended)[0]),
        (Some("s.proto"), Some(2), Some(11))
    );
}

#[test]
fn every_missing_import_is_reported_with_the_line_that_names_it() {
    let tree = [
        (
            "a.proto",
            "syntax = \"proto3\";\nimport \"b.proto\";\nimport \"no/1.proto\";\n",
        ),
        (
            "b.proto",
            "import \"no/2.proto\";\nimport \"google/api/http.proto\";\n",
        ),
    ];
    let found = errors(&of(Service::proto_dir(tree, "a.proto")));
    assert!(found.iter().all(|it| it.rule() == Rule::ProtoImportMissing));
    let places: Vec<_> = found.iter().map(place).collect();
    assert_eq!(
        places,
        [
            (Some("b.proto"), Some(1), Some(8)),
            (Some("b.proto"), Some(2), Some(8)),
            (Some("a.proto"), Some(3), Some(8)),
        ]
    );
    assert!(
        found[1]
            .message()
            .contains("a.proto → b.proto → google/api/http.proto")
    );
}

#[test]
fn faults_of_documents_have_their_place_in_json_and_in_yaml() {
    let yaml = "openapi: 3.0.0\ninfo:\n  title: Pets\n  version: '1'\npaths:\n  /pets/{pet-id}:\n    get:\n\
                \x20     parameters:\n        - {in: path, name: pet-id, required: true, schema: {}}\n\
                \x20     responses: {'200': {description: ok}}\n";
    let found = errors(&of(Service::openapi(yaml)));
    let rules: Vec<_> = found
        .iter()
        .map(|it| (it.rule(), it.line(), it.column()))
        .collect();
    assert_eq!(
        rules,
        [
            (Rule::OpenApiOperationIdMissing, Some(7), Some(5)),
            (Rule::OpenApiParameterName, Some(9), Some(28)),
        ]
    );
    // Tabs, which YAML does not allow, and a title that gives the namespace.
    let json = "{\n\t\"openapi\": \"3.0.0\",\n\t\"info\": {\"title\": \"Pet Store!\", \"version\": \"1\"},\n\t\"paths\": {\n\
                \t\t\"/a\": {\n\t\t\t\"get\": {\"operationId\": \"list-pets\", \"responses\": {\"200\": {\"description\": \"ok\"}}}\n\t\t}\n\t}\n}";
    let found = errors(&of(Service::openapi(json)));
    assert_eq!(found[0].rule(), Rule::OpenApiOperationIdName);
    assert_eq!(
        (found[0].line(), found[0].column()),
        (Some(6), Some(27)),
        "{}",
        found[0]
    );
    assert_eq!(found[0].service(), Some("Pet_Store"));
    let found = errors(&of(
        Service::openapi("{\n  \"openapi\": \"3.0.0\",\n  ]").namespace("s")
    ));
    assert_eq!(found[0].rule(), Rule::OpenApiSyntax);
    assert_eq!(found[0].line(), Some(3), "{}", found[0]);
}

#[test]
fn what_only_warns_is_returned_and_logged_once() {
    let source = "syntax = \"proto3\"; message M {} service S { rpc A(stream M) returns (M); }";
    let options = of(Service::proto(source).namespace("s"));
    let found = options.check().unwrap();
    let rules: Vec<_> = found.iter().map(|it| (it.rule(), it.severity())).collect();
    assert_eq!(rules, [(Rule::ProtoStreaming, Severity::Warning)]);
    // 780 kB are taken by every gateway, 1 MB by standalone ones only.
    for (bytes, expected) in [(780_000, 0), (1_000_000, 1)] {
        let source = format!("syntax = \"proto3\"; // {}\n", "x".repeat(bytes));
        let found = of(Service::proto(source).namespace("s")).check().unwrap();
        let sizes = found
            .warnings()
            .filter(|it| it.rule() == Rule::ClusteredSize);
        assert_eq!(sizes.count(), expected, "{bytes}");
    }

    let (log, _guard) = Log::of("info");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let registration = GwagRegistrationLayer::new(options).registration();
        registration.start("127.0.0.1:1".parse().unwrap()).unwrap();
        registration.leave_now().await;
        registration.finish().await;
    });
    assert_eq!(
        log.text().matches("warning[proto-streaming]").count(),
        1,
        "{}",
        log.text()
    );
}

#[test]
fn a_false_alarm_can_be_allowed_and_structure_cannot() {
    let service = || Service::proto(TWO).namespace("shop");
    // The map in the request is a warning, too.
    let two = [
        Rule::ProtoTwoServices,
        Rule::ProtoFreeJson,
        Rule::CallsHttpValues,
    ];
    let allowed = two
        .iter()
        .fold(of(service()), |options, rule| options.allow(*rule));
    assert!(allowed.check().unwrap().is_empty());
    let allowed = two
        .iter()
        .fold(service(), |service, rule| service.allow(*rule));
    assert!(of(allowed.clone()).check().unwrap().is_empty());
    // Another service is not meant.
    let other = of(allowed).service(Service::proto(TWO).namespace("other"));
    assert!(
        errors(&other)
            .iter()
            .all(|it| it.service() == Some("other"))
    );
    let rule: Rule = "proto-two-services".parse().unwrap();
    assert_eq!(errors(&of(service()).allow(rule)).len(), 1);

    let in_vain = of(service().version("1")).allow(Rule::VersionSyntax);
    let error = in_vain.check().unwrap_err();
    let found = error.findings().unwrap();
    assert!(found.errors().any(|it| it.rule() == Rule::VersionSyntax));
    let warning = found
        .warnings()
        .find(|it| it.rule() == Rule::NotAllowable)
        .unwrap();
    assert!(warning.message().contains("version-syntax"), "{warning}");
}

/// A gateway embedded in a program may have no such services.
#[test]
fn namespaces_of_gateways_are_a_warning() {
    let rules = |namespace: &str, version: &str| {
        let service = Service::graphql("/graphql").schema("type Query { a: Int }");
        let options = of(service.namespace(namespace).version(version));
        let found = options.check().unwrap();
        found.iter().map(Finding::rule).collect::<Vec<_>>()
    };
    for namespace in ["admin", "admin_events", "ps"] {
        assert_eq!(rules(namespace, ""), [Rule::NamespaceBuiltIn]);
        assert_eq!(rules(namespace, "v2"), []);
    }
    assert_eq!(rules("admins", "v1"), []);
}

/// What reading a document loses is reported, and nothing of it is repaired.
#[test]
fn keys_that_are_there_twice_are_refused() {
    let twice = "openapi: 3.0.0\ninfo: {title: T, version: '1'}\npaths:\n  /a: {get: {operationId: a}}\n  \
                 /a: {get: {operationId: b-c, responses: {200: {description: ok}}}}\n";
    let found = |service: Service| match of(service).check() {
        Ok(found) => found.iter().cloned().collect::<Vec<_>>(),
        Err(error) => error.findings().unwrap().iter().cloned().collect(),
    };
    for service in [Service::openapi(twice), Service::openapi(twice).repair()] {
        let found = found(service);
        let rules: Vec<_> = found.iter().map(Finding::rule).collect();
        let expected = [Rule::OpenApiUnverified, Rule::OpenApiOperationIdName];
        assert_eq!(rules, expected);
        assert!(found[0].is_error());
        assert_eq!(place(&found[0]), (Some("openapi"), Some(5), Some(3)));
    }
}

/// The remedy fits: a query parameter's name requests carry the name, a path parameter's does not.
#[test]
fn remedies_of_documents_say_what_can_be_repaired() {
    let document = r#"{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{"/a/{b-c}":{"get":{
        "operationId":"a","responses":{"200":{"description":"ok"}},"parameters":[
        {"in":"path","name":"b-c","required":true,"schema":{}},
        {"in":"query","name":"d[]","schema":{}}]}}}}"#;
    let found = errors(&of(Service::openapi(document)));
    let remedy = |at: usize| found[at].remedy().unwrap();
    assert!(remedy(0).contains("Service::repair"), "{}", found[0]);
    assert!(
        remedy(1).contains("requests carry the name"),
        "{}",
        found[1]
    );
    let swagger = r#"{"swagger":"2.0","info":{"title":"T","version":"1"},"paths":{}}"#;
    let found = errors(&of(Service::openapi(swagger)));
    assert!(
        found[0].remedy().unwrap().contains("swagger2openapi"),
        "{}",
        found[0]
    );
}

#[test]
fn unchecked_schemas_are_registered_with_a_warning() {
    let options = of(Service::proto(TWO).namespace("my-shop"))
        .service(Service::openapi("{}").namespace("pets"))
        .unchecked_schemas();
    let found = options.check().unwrap();
    let rules: Vec<_> = found.iter().map(Finding::rule).collect();
    assert_eq!(rules, [Rule::SchemasUnchecked]);
    // No gateway takes these.
    let service = Service::proto(TWO).namespace("a.b").version("x");
    let rules: Vec<_> = errors(&of(service).unchecked_schemas())
        .iter()
        .map(Finding::rule)
        .collect();
    assert_eq!(rules, [Rule::NamespaceReserved, Rule::VersionSyntax]);
}

/// What the compiler used here does not know is not refused: a gateway's does.
#[test]
fn what_cannot_be_checked_is_not_refused() {
    for source in [
        "edition = \"2024\"; message M { string a = 1 [features.field_presence = IMPLICIT]; }",
        "syntax = \"proto2\"; message M { optional int32 a = 1 [feature_support = {}]; }",
    ] {
        let found = of(Service::proto(source).namespace("s")).check().unwrap();
        let rules: Vec<_> = found.iter().map(Finding::rule).collect();
        assert_eq!(rules, [Rule::ProtoUnverified], "{source}");
    }
    // What gateways were seen to take.
    for source in [
        "edition = \"2023\"; message M { string a = 1 [features.field_presence = IMPLICIT]; }",
        "syntax = \"proto3\"; message M { string FooBar = 1; string fooBar = 2; }",
        "syntax = \"proto2\"; message M { optional string foo_bar = 1; optional string fooBar = 2; }",
    ] {
        let found = of(Service::proto(source).namespace("s")).check().unwrap();
        assert!(found.is_empty(), "{source}: {found}");
    }
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let document = format!("{{\"openapi\":\"3.0.0\",\"x\":{deep}}}");
    let found = of(Service::openapi(document).namespace("s"))
        .check()
        .unwrap();
    let rules: Vec<_> = found.iter().map(Finding::rule).collect();
    assert_eq!(rules, [Rule::OpenApiUnverified]);
}

/// A gateway's compiler says the same.
#[test]
fn faults_of_options_and_names_are_refused_with_their_place() {
    for source in [
        "option some_option = true;",
        "option java_package = 1;",
        "option java_package = \"a\"; option java_package = \"b\";",
        "option java_package = \"\\q\";",
        "message M { string foo_bar = 1; string fooBar = 2; }",
        "message M { string a = 1 [json_name = \"x\"]; string b = 2 [json_name = \"x\"]; }",
        "message M { string a = 1 [default = \"x\"]; }",
        "message M { reserved \"a\"; string a = 1; }",
        "enum Foo { FOO_A = 0; A = 1; }",
    ] {
        let source = format!("syntax = \"proto3\";\n{source}");
        let options = of(Service::proto(source.as_str()).namespace("s"));
        let found = errors(&options);
        assert_eq!(found[0].rule(), Rule::ProtoCompile, "{source}");
        assert_eq!(found[0].line(), Some(2), "{source}");
    }
}
