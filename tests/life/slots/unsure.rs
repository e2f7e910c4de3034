//! A conflict of schemas whose hash is hard to know: of trees with custom options, and of GraphQL,
//! where only the gateway knows it, so that no hash shows the conflict.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::time::Instant;
use tower_gwag::{ErrorKind, Options, Service, State};

use super::place::Place;
use crate::support::servers::{INTROSPECTION, Running, axum_app, bind};
use crate::support::{greeter_client, hello, in_flight, tonic_greeter, until_state, within};

/// A file of `google/api`, as small as its annotation can be.
const ANNOTATIONS: &str = "syntax = \"proto3\"; package google.api; \
    import \"google/protobuf/descriptor.proto\"; \
    message HttpRule { string get = 2; map<string, string> extra = 90; } \
    extend google.protobuf.MethodOptions { HttpRule http = 72295728; }";

fn annotated(comment: &str) -> String {
    super::place::source(comment)
        .replacen("package greeter.v1;", "package greeter.v1; import \"google/api/annotations.proto\";", 1)
        .replacen(
            "rpc Hello(HelloRequest) returns (HelloReply);",
            "rpc Hello(HelloRequest) returns (HelloReply) { option (google.api.http) = { get: \"/v1/hello\" }; }",
            1,
        )
}

fn service(place: &Place, comment: &str) -> Service {
    Service::proto(annotated(comment))
        .import("google/api/annotations.proto", ANNOTATIONS)
        .namespace(&*place.namespace)
}

async fn foreign(place: &Place, comment: &str) -> super::place::Stranger {
    let imports = [(
        "google/api/annotations.proto".to_owned(),
        ANNOTATIONS.as_bytes().to_vec(),
    )];
    place
        .stranger_with(crate::control::proto::ServiceBinding {
            namespace: place.namespace.clone(),
            version: "v1".to_owned(),
            proto_source: annotated(comment).into_bytes(),
            proto_imports: imports.into(),
            ..Default::default()
        })
        .await
}

/// The status shows the conflict within 2 s of the registration, and the entry is withdrawn.
#[tokio::test]
async fn a_conflict_is_proved_by_the_gateways_count() {
    let place = Place::find().await;
    for round in 0..3 {
        let stranger = foreign(&place, "theirs").await;
        let schema = format!("ours {round}");
        let options = place.options().service(service(&place, &schema));
        let begun = Instant::now();
        let server = tonic_greeter(options.gateway_http(&*place.http)).await;
        let mut status = server.registration.status();
        let conflict = |now: &tower_gwag::Status| {
            assert!(
                !matches!(now.state(), State::Listed | State::Routed),
                "{now}"
            );
            now.reason_kind() == Some(ErrorKind::SchemaConflict)
        };
        let told = within("a conflict", status.wait_for(conflict)).await;
        let text = told.expect("alive").to_string();
        println!("round {round}: told after {:?}: {text}", begun.elapsed());
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
        assert!(text.contains("differ") && text.contains("hash"), "{text}");
        place.until_entries(1).await;
        // It takes the slot once that is free.
        stranger.leave().await;
        until_state(&server.registration, State::Listed).await;
        server.stop().await;
        place.until_hash("free", "v1", |hash| hash.is_none()).await;
    }
}

/// A second replica of the same schema, and one beside a replica that lurks, stay.
#[tokio::test]
async fn a_replica_that_fits_stays_whatever_lurks() {
    let place = Place::find().await;
    let _clock = place.clock();
    let options = || place.options().gateway_http(&*place.http);
    let first = tonic_greeter(options().service(service(&place, "ours"))).await;
    until_state(&first.registration, State::Listed).await;
    let lurks = foreign(&place, "theirs").await;
    let second = tonic_greeter(options().service(service(&place, "ours"))).await;
    until_state(&second.registration, State::Listed).await;
    // Calls go to both.
    let mut greeter = greeter_client(&place.control).await;
    let call = within("an answer", greeter.hello(hello("Ada"))).await;
    call.expect("answered");
    in_flight(&second.registration, 0).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for server in [&first, &second] {
        let status = server.registration.status().borrow().clone();
        assert!(status.is_registered(), "{status}");
    }
    assert_eq!(place.entries().await.len(), 3);
    lurks.leave().await;
    first.stop().await;
    second.stop().await;
}

/// Answers introspection with a query of one field.
fn graphql(field: &str) -> Router {
    let introspection = INTROSPECTION.replace("hello", field);
    Router::new().route("/graphql", post(move || async move { introspection }))
}

pub(crate) async fn foreign_graphql(place: &Place, field: &str) -> super::place::Stranger {
    let (listener, address) = bind("127.0.0.1:0").await;
    let app = graphql(field);
    tokio::spawn(async move { axum::serve(listener, app).await });
    place
        .stranger_with(crate::control::proto::ServiceBinding {
            namespace: place.namespace.clone(),
            version: "v1".to_owned(),
            graphql_endpoint: format!("http://{address}/graphql"),
            ..Default::default()
        })
        .await
}

pub(crate) async fn our_graphql(place: &Place, options: Options) -> Running {
    let service = Service::graphql("/graphql").namespace(&*place.namespace);
    axum_app(options.service(service), graphql("ours")).await
}

/// The gateway's count of rejected replicas shows it, and the owner keeps its name when it is back
/// from a restart that nobody saw.
#[tokio::test]
async fn a_conflict_of_graphql_is_proved_and_its_owner_may_restart() {
    let place = Place::find().await;
    let _clock = place.clock();
    let owner = foreign_graphql(&place, "theirs").await;
    let options = place.options().gateway_http(&*place.http);
    let begun = Instant::now();
    let server = our_graphql(&place, options.reclaim_after(Duration::from_secs(6))).await;
    let mut status = server.registration.status();
    let conflict = |now: &tower_gwag::Status| {
        let claims = [State::Listed, State::Routed];
        assert!(!claims.contains(&now.state()), "{now}");
        now.reason_kind() == Some(ErrorKind::SchemaConflict)
    };
    let told = within("a conflict", status.wait_for(conflict)).await;
    println!("{}", *told.expect("alive"));
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    // It is away at the next look.
    owner.leave().await;
    place.until_entries(0).await;
    place.until_hash("free", "v1", |hash| hash.is_none()).await;
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    let owner = foreign_graphql(&place, "theirs").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(place.entries().await.len(), 1, "nobody lurks");
    assert_eq!(
        server.registration.status().borrow().state(),
        State::Displaced
    );
    owner.leave().await;
    until_state(&server.registration, State::Listed).await;
    server.stop().await;
}
