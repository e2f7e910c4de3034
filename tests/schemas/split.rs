//! `Service::split_services`: each service of an entry file is registered, listed and called.

use crate::support::greeter::{HelloReply, HelloRequest};
use crate::support::{axum_app, gateway, hello, registered, until_state, within};
use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use tonic::transport::Endpoint;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tower_gwag::{ErrorKind, Finding, Options, ProtoFiles, Rule, Service, State};

const ENTRY: &str = r#"syntax = "proto3";
package shop.v1;
import "common/messages.proto";

// Pets, and service Nothing { }.
service PetStore {
  // A pet.
  rpc Get(Request) returns (Reply) { option deprecated = true; } // "}"
} // the end of pets

/* Stock: größer */ service StockRoom { rpc Get(Request) returns (Reply); };

// Orders.
service Orders { rpc Get(Request) returns (stream Reply); rpc Put(stream Request) returns (Reply); }
"#;

const MESSAGES: &str = "syntax = \"proto3\"; package shop.v1; \
    message Request { string name = 1; uint32 delay_ms = 2; } message Reply { string greeting = 1; }";

const SERVICES: [(&str, &str); 3] = [
    ("pet_store", "/shop.v1.PetStore/Get"),
    ("stock_room", "/shop.v1.StockRoom/Get"),
    ("orders", "/shop.v1.Orders/Get"),
];

fn files() -> ProtoFiles {
    ProtoFiles::from_files([
        ("api/shop.proto", ENTRY),
        ("common/messages.proto", MESSAGES),
    ])
}

fn shop() -> Service {
    Service::proto_dir(files(), "api/shop.proto")
}

fn of(service: Service) -> Options {
    Options::new("gateway:1").service(service)
}

fn namespaces(service: &Service) -> Vec<String> {
    let hashes = service.hashes().expect("good");
    hashes.into_iter().map(|(namespace, _)| namespace).collect()
}

/// A server whose every method greets.
fn app() -> Router {
    let greets = |path: &'static str| {
        post(async move |request: Request| {
            let greet = tower::service_fn(async |request: tonic::Request<HelloRequest>| {
                let greeting = format!("{} {path}", request.into_inner().name);
                Ok::<_, Status>(Response::new(HelloReply {
                    greeting,
                    ..HelloReply::default()
                }))
            });
            let codec = ProstCodec::<HelloReply, HelloRequest>::default();
            let mut server = tonic::server::Grpc::new(codec);
            server
                .unary(greet, request)
                .await
                .map(axum::body::Body::new)
        })
    };
    let router = Router::new();
    SERVICES
        .into_iter()
        .fold(router, |router, (_, path)| router.route(path, greets(path)))
}

async fn call(address: String, path: &'static str) -> String {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = tonic::client::Grpc::new(endpoint.connect_lazy());
    client.ready().await.expect("ready");
    let codec = ProstCodec::<HelloRequest, HelloReply>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    let call = client.unary(tonic::Request::new(hello("Ada")), path, codec);
    within("an answer", call)
        .await
        .expect("answered")
        .into_inner()
        .greeting
}

#[test]
fn without_the_call_the_error_explains_it() {
    let error = of(shop()).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unrenderable);
    let findings = error.findings().expect("findings");
    let errors: Vec<_> = findings
        .errors()
        .filter(|it| it.rule() == Rule::ProtoTwoServices)
        .collect();
    assert_eq!(errors.len(), 2, "{error}");
    for (finding, (name, line)) in errors.iter().zip([("StockRoom", 11), ("Orders", 14)]) {
        assert!(
            finding.message().contains(&format!("`{name}`")),
            "{finding}"
        );
        assert_eq!(
            (finding.file(), finding.line()),
            (Some("api/shop.proto"), Some(line))
        );
        assert!(
            finding.to_string().contains("`.split_services()`"),
            "{finding}"
        );
    }
}

#[tokio::test]
async fn each_service_is_listed_with_its_hash_routed_and_called() {
    let gateway = gateway().await;
    let service = shop().split_services();
    let hashes = service.hashes().expect("good");
    let options = Options::new(gateway.target()).service(service);
    let server = axum_app(options, app()).await;
    registered(&server.registration).await;
    until_state(&server.registration, State::Listed).await;
    let listed = gateway.services();
    for ((namespace, hash), (expected, path)) in hashes.iter().zip(SERVICES) {
        assert_eq!(namespace, expected);
        let listed = listed.iter().find(|it| it.namespace == expected);
        assert!(hash.is_exact(), "{hash}");
        assert_eq!(hash.hex(), listed.map(|it| &*it.hash), "{expected}");
        assert_eq!(call(gateway.target(), path).await, format!("Ada {path}"));
    }
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
    assert!(gateway.services().is_empty());
}

#[test]
fn namespaces_are_the_names_in_snake_case_behind_a_given_one() {
    assert_eq!(
        namespaces(&shop().split_services()),
        ["pet_store", "stock_room", "orders"]
    );
    let prefixed = shop().namespace("shop").split_services();
    assert_eq!(
        namespaces(&prefixed),
        ["shop_pet_store", "shop_stock_room", "shop_orders"]
    );
    // One service or none: as without the call.
    for (entry, text) in [
        ("a/my-shop.proto", "service Pets {}"),
        ("a/my-shop.proto", ""),
    ] {
        let service =
            || Service::proto_dir([(entry, format!("syntax = \"proto3\"; {text}"))], entry);
        assert_eq!(
            service().split_services().hashes().unwrap(),
            service().hashes().unwrap()
        );
        assert_eq!(namespaces(&service().split_services()), ["my_shop"]);
        assert!(service().split_services().hash().is_ok());
    }
    let text = Service::proto("service A {}").split_services();
    assert_eq!(
        of(text).check().unwrap_err().kind(),
        ErrorKind::MissingNamespace
    );
}

#[test]
fn text_is_split_as_a_tree_is() {
    let text = Service::proto(ENTRY)
        .import("common/messages.proto", MESSAGES)
        .split_services();
    let hashes = text.hashes().expect("good");
    assert_eq!(hashes, shop().split_services().hashes().expect("good"));
    let found = of(text.clone()).check().expect("good");
    // Told of the one service that has it, and once.
    let rules: Vec<_> = found
        .iter()
        .filter(|it| !it.rule().is_about_calls())
        .map(|it| (it.rule(), it.service(), it.line()))
        .collect();
    assert_eq!(rules, [(Rule::ProtoStreaming, Some("orders"), Some(14))]);

    let error = text.hash().unwrap_err();
    assert_eq!(error.rule(), Rule::SeveralHashes);
    assert!(
        error
            .to_string()
            .contains("`pet_store`, `stock_room`, `orders`"),
        "{error}"
    );
    assert!(error.to_string().contains("hashes()"), "{error}");
}

#[test]
fn other_schemas_stay_as_they_are() {
    let document = r#"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{}}"#;
    let pets = Service::openapi(document).split_services();
    assert_eq!(
        pets.hashes().unwrap(),
        Service::openapi(document).hashes().unwrap()
    );
    of(pets).check().expect("good");
    of(Service::graphql("/graphql")
        .namespace("shop")
        .split_services())
    .check()
    .expect("good");
}

#[track_caller]
fn faults(service: Service) -> Vec<(Rule, String)> {
    let error = of(service).check().expect_err("refused");
    let findings = error.findings().expect("findings");
    findings
        .errors()
        .map(|it| (it.rule(), it.to_string()))
        .collect()
}

#[test]
fn what_the_parts_have_in_common_is_reported_once() {
    let broken = ENTRY.replace(
        "package shop.v1;",
        "package shop.v1; message M { Nope n = 1; }",
    );
    let service = Service::proto(broken).import("common/messages.proto", MESSAGES);
    let found = faults(service.split_services());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].1.contains("--> the entry file:2:"),
        "{}",
        found[0].1
    );

    let found = faults(Service::proto(ENTRY).split_services());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, Rule::ProtoImportMissing);

    // Not split, it is called as without the call.
    let one = Service::proto("service A { rpc Get(Nope) returns (Nope); }").namespace("shop");
    let found = faults(one.split_services());
    assert!(found[0].1.contains("--> shop.proto:1:"), "{}", found[0].1);

    // A fault of one service is that service's.
    let text = "syntax = \"proto3\"; message M {}\nservice A { rpc Get(M) returns (M); }\n\
        service B { rpc Get(Nope) returns (M); }";
    let error = of(Service::proto(text).split_services())
        .check()
        .unwrap_err();
    let found: Vec<_> = error.findings().expect("findings").errors().collect();
    assert_eq!(found.len(), 1, "{error}");
    assert_eq!((found[0].service(), found[0].line()), (Some("b"), Some(3)));
}

#[test]
fn names_that_collide_are_reported() {
    let found =
        faults(Service::proto("service AB {} service A_B {} service A_b {}").split_services());
    let rules: Vec<_> = found.iter().map(|it| it.0).collect();
    assert_eq!(rules, [Rule::DuplicateService], "{found:#?}");
    assert!(found[0].1.contains("rename one"), "{}", found[0].1);

    let split = Service::proto("service A {} service B {}").split_services();
    let options = of(split).service(Service::proto("service A {}").namespace("a"));
    let error = options.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateService);
    assert!(
        error.to_string().contains("`a/v1` is given twice"),
        "{error}"
    );

    // The entry is compiled under the namespace, and so it may be called like an import.
    let files = [
        (
            "shop.proto",
            "import \"b.proto\"; service A {} service B {}",
        ),
        ("b.proto", ""),
    ];
    let found = faults(Service::proto_dir(files, "shop.proto").split_services());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, Rule::ProtoImportLoop);
}

#[test]
fn a_file_too_large_to_be_sent_so_often_is_reported_at_once() {
    let services: String = (0..2_000)
        .map(|n| format!("service S{n} {{ }}\n"))
        .collect();
    let padding = "// padding\n".repeat(1_000);
    let found = faults(Service::proto(services + &padding).split_services());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].0, Rule::RequestSize);
    assert!(found[0].1.contains("2000 services"), "{}", found[0].1);
}

#[test]
fn unchecked_schemas_are_split_too() {
    let options = of(shop().split_services()).unchecked_schemas();
    let rules: Vec<_> = options.check().unwrap().iter().map(Finding::rule).collect();
    assert_eq!(rules, [Rule::SchemasUnchecked]);
}
