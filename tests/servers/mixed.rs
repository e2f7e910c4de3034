//! What `examples/mixed` serves, through the gateway's proxy: gRPC, HTTP and GraphQL on one port,
//! as one registration.

#[path = "../../examples/mixed/app.rs"]
mod app;
#[path = "../../examples/mixed/calls.rs"]
mod calls;

use crate::support::{axum_app, gateway, greeter, listed, plain, registered, within};
use tower_gwag::{LeaveOutcome, Options};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn three_kinds_are_one_registration_and_called_through_the_gateway() {
    let gateway = gateway().await;
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

    let services = within("all routed", calls::until_routed(&gateway)).await;
    for (namespace, hash) in calls::expected_hashes().expect("hashes") {
        let service = services.iter().find(|it| it.namespace == namespace);
        assert_eq!(service.expect("listed").hash, hash, "{namespace}");
    }

    let (control_plane, http) = (gateway.target(), gateway.http_url());
    let answer = within("gRPC", calls::grpc(&control_plane)).await;
    assert_eq!(answer.expect("answered"), "Hello, gateway!");
    let answer = within("HTTP", calls::http(&http)).await;
    assert_eq!(answer.expect("answered"), "{\"id\":1,\"name\":\"Rex\"}\n");
    let answer = within("GraphQL", calls::graphql(&http)).await;
    let books = r#"{"shop":{"books":["Emma","Ulysses"]}}"#;
    assert_eq!(answer.expect("answered"), books);

    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(gateway.services().is_empty(), "all three are gone");
}
