//! The fields of Go's `Service`.

use std::collections::HashMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use tower_gwag::{ErrorKind, Options, ProtoFiles, Service, Version};
use utoipa::OpenApi;

use super::{NOWHERE, sent, sent_binding};
use crate::support::{GREETER_PROTO, PETS_OPENAPI, greeter_service, pets_service};

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/proto");
static TREE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/data/proto");
const SHOP: &str = include_str!("../../data/proto/shop.proto");
const MONEY: &str = include_str!("../../data/proto/common/money.proto");
const CURRENCY: &str = include_str!("../../data/proto/common/currency.proto");

/// What a gateway must be sent for `shop.proto`; `unused.proto` is not there.
fn shop_imports() -> HashMap<String, Vec<u8>> {
    HashMap::from([
        ("common/money.proto".to_owned(), MONEY.into()),
        ("common/currency.proto".to_owned(), CURRENCY.into()),
    ])
}

#[tokio::test]
async fn row_service_namespace() {
    let stem = Service::proto_dir(DIRECTORY, "shop.proto");
    assert_eq!(sent_binding(stem).await.0.namespace, "shop");
    let given = Service::proto_dir(DIRECTORY, "shop.proto").namespace("store");
    assert_eq!(sent_binding(given).await.0.namespace, "store");
    // The gateway's own rule, so that the name is known on this side, too.
    let title = sent_binding(pets_service()).await.0;
    assert_eq!(title.namespace, "Pet_Store_API");
    let error = Options::new("g:1").service(Service::proto(SHOP)).check();
    let error = error.expect_err("a text has no file name");
    assert_eq!(error.kind(), ErrorKind::MissingNamespace);
}

#[tokio::test]
async fn row_service_version() {
    for (version, expected) in [("", "v1"), ("v3", "v3"), ("unstable", "unstable")] {
        for service in [greeter_service(), pets_service()] {
            let (_, view) = sent_binding(service.version(version)).await;
            let name = &view.registrations[0].namespaces[0];
            assert!(name.ends_with(&format!("/{expected}")), "{name}");
        }
    }
    let typed = greeter_service().version(Version::UNSTABLE);
    assert_eq!(sent_binding(typed).await.0.version, "unstable");
    let default = sent_binding(greeter_service()).await.0;
    assert_eq!(default.version, "v1", "said, not left to the gateway");
}

#[tokio::test]
async fn row_proto_source() {
    let binding = sent_binding(greeter_service()).await.0;
    assert_eq!(binding.proto_source, GREETER_PROTO.as_bytes());
    assert!(binding.proto_imports.is_empty());
}

#[tokio::test]
async fn row_proto_imports() {
    let service = Service::proto(SHOP)
        .namespace("shop")
        .import("common/money.proto", MONEY)
        .import("common/currency.proto", CURRENCY);
    let (binding, view) = sent_binding(service).await;
    assert_eq!(binding.proto_source, SHOP.as_bytes());
    assert_eq!(binding.proto_imports, shop_imports());
    assert_eq!(view.services[0].namespace, "shop");
}

/// A directory, an embedded tree and a list: the entry's bytes, and what it imports, directly or
/// not, under the paths of the `import` statements.
#[tokio::test]
async fn row_proto_fs_entry() {
    let list = [
        ("shop.proto", SHOP),
        ("common/money.proto", MONEY),
        ("common/currency.proto", CURRENCY),
        ("unused.proto", "syntax = \"proto3\"; package unused;"),
    ];
    let mut hashes = Vec::new();
    for files in [
        ProtoFiles::from(DIRECTORY),
        ProtoFiles::from(Path::new(DIRECTORY)),
        ProtoFiles::from(&TREE),
        ProtoFiles::from(list),
        ProtoFiles::from_files(list.into_iter().map(|(path, text)| (path, text.as_bytes()))),
    ] {
        let what = format!("{files:?}");
        let (binding, view) = sent_binding(Service::proto_dir(files, "shop.proto")).await;
        assert_eq!(binding.proto_source, SHOP.as_bytes(), "{what}");
        assert_eq!(binding.proto_imports, shop_imports(), "{what}");
        hashes.push(view.services[0].hash.clone());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "one schema, wherever it comes from");
    let error = Options::new("g:1").service(Service::proto_dir(DIRECTORY, ""));
    let error = error.check().expect_err("ProtoEntry is required");
    assert_eq!(error.kind(), ErrorKind::MissingProtoEntry);
}

#[utoipa::path(get, path = "/pets", operation_id = "listPets",
    responses((status = 200, description = "All pets")))]
#[allow(dead_code, reason = "only described")]
async fn list_pets() {}

#[derive(OpenApi)]
#[openapi(info(title = "Utoipa Pets", version = "1"), paths(list_pets))]
struct Document;

const YAML: &str = "openapi: 3.1.0
info:
  title: Yaml Pets
  version: '1'
paths:
  /pets:
    get: {operationId: listPets, responses: {'200': {description: ok}}}
";

/// The bytes as they are: a vN is locked to them.
#[tokio::test]
async fn row_openapi_spec() {
    let binding = sent_binding(Service::openapi(PETS_OPENAPI.as_bytes()))
        .await
        .0;
    assert_eq!(binding.openapi_spec, PETS_OPENAPI.as_bytes());
    let (binding, view) = sent_binding(Service::openapi(YAML)).await;
    assert_eq!(binding.openapi_spec, YAML.as_bytes());
    assert_eq!(view.registrations[0].namespaces, ["Yaml_Pets/v1"]);
    let (binding, view) = sent_binding(Service::openapi(Document::openapi())).await;
    let document: serde_json::Value = serde_json::from_slice(&binding.openapi_spec).expect("JSON");
    let operation = &document["paths"]["/pets"]["get"]["operationId"];
    assert_eq!(operation, "listPets");
    assert_eq!(view.registrations[0].namespaces, ["Utoipa_Pets/v1"]);
    let again = sent_binding(Service::openapi(Document::openapi())).await.0;
    assert_eq!(again.openapi_spec, binding.openapi_spec);
}

/// A URL as it is; a path completed with the advertised address. When it is registered:
/// `tests/graphql.rs`.
#[tokio::test]
async fn row_graphql_endpoint() {
    const ANSWER: &str = r#"{"data":{"__schema":{"queryType":{"name":"Query"},"types":[{"kind":"OBJECT","name":"Query","fields":[]}]}}}"#;
    let app = axum::Router::new().route("/graphql", axum::routing::post(async || ANSWER));
    let (listener, address) = crate::support::servers::bind("127.0.0.1:0").await;
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/graphql");
    let service = || Service::graphql(&url).namespace("graph");
    let (request, view) = sent(|it| it.service(service())).await;
    assert_eq!(request.services[0].graphql_endpoint, url);
    assert_eq!(request.addr, NOWHERE.to_string(), "required all the same");
    assert_eq!(view.registrations[0].namespaces, ["graph/v1"]);
    let path = Service::graphql("/graphql").namespace("graph");
    let advertised = address.to_string();
    let (request, _) = sent(|it| it.service(path).advertise(advertised)).await;
    assert_eq!(request.services[0].graphql_endpoint, url);
}

#[tokio::test]
async fn row_max_concurrency() {
    let service = greeter_service().max_concurrency(64);
    let binding = sent_binding(service.max_concurrency_per_instance(8))
        .await
        .0;
    assert_eq!(binding.max_concurrency, 64);
    assert_eq!(binding.max_concurrency_per_instance, 8);
    let binding = sent_binding(greeter_service()).await.0;
    let caps = (
        binding.max_concurrency,
        binding.max_concurrency_per_instance,
    );
    assert_eq!(caps, (0, 0), "the gateway's own default");
}

/// A `Service` begins with its one schema, and no method adds another: the type system says so.
#[tokio::test]
async fn row_exactly_one_schema() {
    let (request, _) = sent(|it| it.services([greeter_service(), pets_service()])).await;
    for binding in request.services {
        let forms = [
            !binding.proto_source.is_empty(),
            !binding.openapi_spec.is_empty(),
            !binding.graphql_endpoint.is_empty(),
        ];
        assert_eq!(forms.iter().filter(|form| **form).count(), 1);
    }
    // Imports belong to a proto; elsewhere they are said to be a mistake.
    let service = pets_service().import("a.proto", "");
    let error = Options::new("g:1").service(service).check();
    assert_eq!(error.expect_err("misuse").kind(), ErrorKind::Misuse);
}
