//! What `examples/mixed` serves, through the gateway's proxy: gRPC, HTTP and GraphQL on one port,
//! as one registration.

#[path = "../../examples/mixed/app.rs"]
mod app;
#[path = "../../examples/mixed/calls.rs"]
mod calls;

use crate::support::net::request;
use crate::support::{axum_app, get, greeter, listed, plain, registered, within};
use tower_gwag::{LeaveOutcome, Options};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn three_kinds_are_one_registration_and_called_through_the_gateway() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    let gateway = builder.start().await.expect("started");
    let options = Options::new(gateway.target()).seed(7);
    let options = app::services().into_iter().fold(options, Options::service);
    let found = options.check().expect("good");
    assert!(found.is_empty(), "{found}");
    let server = axum_app(options, app::router()).await;
    registered(&server.registration).await;
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), server.address.to_string());
    let namespaces = ["greeter/v1", "Petstore/v1", "shop/v1"];
    assert_eq!(entries[0].namespaces, namespaces);

    let routed = gateway.wait_until(|now| now.services.iter().filter(|it| it.routed).count() >= 3);
    within("all routed", routed).await;
    let services = gateway.services();
    for (namespace, hash) in calls::expected_hashes().expect("hashes") {
        let service = services.iter().find(|it| it.namespace == namespace);
        assert_eq!(service.expect("listed").hash, hash, "{namespace}");
    }

    let answer = within("gRPC", calls::grpc(&gateway.target())).await;
    assert_eq!(answer.expect("answered"), "Hello, gateway!");
    let http = gateway.http_url();
    let url = format!("{http}/api/ingress/pets/1");
    let rex = r#"{"id":1,"name":"Rex"}"#;
    assert_eq!(within("HTTP", get(&url)).await, (200, format!("{rex}\n")));
    for (query, data) in [
        (
            calls::BOOKS,
            r#"{"shop":{"books":["Emma","Ulysses"]}}"#.to_owned(),
        ),
        (calls::PET, format!(r#"{{"Petstore":{{"getPet":{rex}}}}}"#)),
    ] {
        let body = format!(r#"{{"query":"{query}"}}"#);
        let url = format!("{http}/api/graphql");
        let (_, answer) = within("GraphQL", request("POST", &url, &body)).await;
        assert_eq!(answer.trim_end(), format!(r#"{{"data":{data}}}"#));
    }

    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    let gone = gateway.wait_until(|now| now.services.is_empty());
    within("all three are gone", gone).await;
}
