//! What is claimed of services that nobody calls: the cells of `docs/status.md` without a call.

use std::time::Duration;

use tower_gwag::{ErrorKind, GwagRegistrationLayer, Options, Registration, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use super::settled;
use crate::support::{
    GREETER_PROTO, PETS_OPENAPI, greeter_options, listed, tonic_greeter, until_state,
};

/// No operation that a gateway's schema could show, and no route.
const NO_SERVICE: &str = "syntax = \"proto3\"; package empty; message M {}";

fn services() -> [(&'static str, Service); 4] {
    [
        ("proto", Service::proto(GREETER_PROTO).namespace("greeter")),
        ("openapi", Service::openapi(PETS_OPENAPI)),
        (
            "hidden",
            Service::proto(GREETER_PROTO).namespace("_greeter"),
        ),
        ("empty", Service::proto(NO_SERVICE).namespace("empty")),
    ]
}

async fn gateway(profile: Profile) -> EmbeddedGateway {
    let builder = EmbeddedGateway::builder().profile(profile);
    builder.start().await.expect("a gateway starts")
}

fn start(options: Options) -> Registration {
    let registration = GwagRegistrationLayer::new(options).registration();
    registration
        .start(([127, 0, 0, 1], 50_051).into())
        .expect("started");
    registration
}

#[tokio::test]
async fn what_nobody_calls_is_listed_and_no_more() {
    for profile in [Profile::Standalone, Profile::Clustered] {
        for with_http in [true, false] {
            let gateway = gateway(profile).await;
            let mut all = Vec::new();
            for (what, service) in services() {
                let mut options = Options::new(gateway.target()).service(service);
                if with_http {
                    options = options.gateway_http(gateway.http_url());
                }
                all.push((what, start(options)));
            }
            for (_, registration) in &all {
                until_state(registration, State::Listed).await;
            }
            // Two more looks find nothing new.
            tokio::time::sleep(Duration::from_secs(2)).await;
            for (what, registration) in all {
                let status = registration.status().borrow().clone();
                assert_eq!(
                    status.state(),
                    State::Listed,
                    "{what}, {profile:?}, {with_http}: {status}"
                );
                registration.leave().await;
            }
        }
    }
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_unreachable_whatever_was_known() {
    for profile in [Profile::Standalone, Profile::Clustered] {
        for with_http in [true, false] {
            let gateway = gateway(profile).await;
            let mut options = greeter_options(&gateway);
            if with_http {
                options = options.gateway_http(gateway.http_url());
            }
            let server = tonic_greeter(options).await;
            until_state(&server.registration, State::Listed).await;
            gateway.kill().await;
            until_state(&server.registration, State::Unreachable).await;
            gateway.revive().await.expect("revived");
            until_state(&server.registration, State::Listed).await;
            server.stop().await;
        }
    }
}

/// Found for every kind, as far as a gateway's schema pages show it: for free JSON beside `admin`.
#[tokio::test]
async fn our_own_guilt_is_found_and_ends_the_block() {
    let bad_name = r#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"get": {"operationId": "list-pets",
            "responses": {"200": {"description": "ok"}}}}}}"#;
    let free_json = "syntax = \"proto3\"; package free; message Q {} \
        message A { map<string, string> labels = 1; } service S { rpc X(Q) returns (A); }";
    for (what, service) in [
        ("proto", Service::proto(super::POISON).namespace("poison")),
        ("openapi", Service::openapi(bad_name).namespace("badname")),
        ("free", Service::proto(free_json).namespace("free")),
    ] {
        let gateway = gateway(Profile::Clustered).await;
        let options = Options::new(gateway.target())
            .gateway_http(gateway.http_url())
            .unchecked_schemas()
            .service(service);
        let registration = start(options);
        until_state(&registration, State::Refused).await;
        let status = registration.status().borrow().clone();
        assert_eq!(
            status.reason_kind(),
            Some(ErrorKind::Unrenderable),
            "{what}: {status}"
        );
        listed(&gateway, 0).await;
        settled(&gateway).await;
        let good = tonic_greeter(greeter_options(&gateway)).await;
        until_state(&good.registration, State::Listed).await;
        good.stop().await;
        registration.leave().await;
    }
}
