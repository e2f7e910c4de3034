//! Schemas that a gateway cannot make its own of.

use tower_gwag::{
    ErrorKind, GwagRegistrationLayer, LeaveReason, OnRefusal, Options, Service, State,
};
use tower_gwag_gateway::Rpc;

use super::{POISON, Stranger, greeter_v, node, registrations, settled};
use crate::support::{
    Events, GREETER_PROTO, greet, greeter_options, listed, registered, tonic_greeter, until_state,
    within,
};

/// A service that no clustered gateway can serve, sent all the same.
fn poisoned(gateway: &tower_gwag_gateway::EmbeddedGateway) -> (Options, Events) {
    let options = Options::new(gateway.target())
        .gateway_http(gateway.http_url())
        .unchecked_schemas()
        .service(Service::proto(POISON).namespace("poison"));
    Events::of(options)
}

#[tokio::test]
async fn what_would_block_the_gateway_never_leaves_the_process() {
    let gateway = node().await;
    let no_operation_id = r#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}}}}"#;
    for (service, telling) in [
        (Service::proto(POISON).namespace("poison"), "service"),
        (Service::proto(GREETER_PROTO).namespace("my-svc"), "my-svc"),
        (Service::openapi(no_operation_id), "operationId"),
    ] {
        let options = Options::new(gateway.target()).service(service);
        let registration = GwagRegistrationLayer::new(options).registration();
        let refused = registration.start(([127, 0, 0, 1], 1).into());
        let text = refused.expect_err("refused").to_string();
        assert!(text.contains(telling), "{text}");
    }
    assert_eq!(gateway.rpc_counts().by_rpc.len(), 0);
}

#[tokio::test]
async fn a_guilty_schema_is_withdrawn_once_and_for_good() {
    let gateway = node().await;
    let (options, events) = poisoned(&gateway);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Refused).await;
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.reason_kind(), Some(ErrorKind::Unrenderable));
    listed(&gateway, 0).await;
    settled(&gateway).await;
    // Everybody else is served again.
    let good = tonic_greeter(greeter_options(&gateway)).await;
    until_state(&good.registration, State::Listed).await;
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert_eq!(registrations(&events), 1);
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    good.stop().await;
    assert_eq!(registrations(&events), 1);
}

/// Where another version of the namespace may be the cause, nobody is accused.
#[tokio::test]
async fn an_innocent_version_of_a_guilty_namespace_stays() {
    let gateway = node().await;
    let _stranger = Stranger::register(&gateway, "greeter", "v7", POISON).await;
    let options = greeter_options(&gateway).gateway_http(gateway.http_url());
    let (options, _events) = Events::of(options);
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Blocked).await;
    let text = server.registration.status().borrow().to_string();
    assert!(text.contains("`greeter`"), "{text}");
    listed(&gateway, 2).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_stops_at_a_refusal_when_that_is_wanted() {
    let gateway = node().await;
    let _stranger = Stranger::register(&gateway, "greeter", "v1", POISON).await;
    let options = Options::new(gateway.target())
        .service(greeter_v("v1", "ours"))
        .on_refusal(OnRefusal::Stop);
    let server = tonic_greeter(options).await;
    within("the server ends", server.served)
        .await
        .expect("served");
    let report = within("the report", server.registration.finish()).await;
    assert_eq!(report.reason(), LeaveReason::Refused);
}

/// Anything else is no refusal.
#[tokio::test]
async fn a_server_does_not_stop_for_a_gateway_that_is_down() {
    let gateway = node().await;
    gateway.refuse_next(
        Rpc::Register,
        3,
        tonic::Code::Unknown,
        "controlplane: kv put: nats: no",
    );
    let options = greeter_options(&gateway).on_refusal(OnRefusal::Stop);
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    assert!(!server.served.is_finished());
    server.stop().await;
}
