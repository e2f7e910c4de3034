//! What is claimed of services that nobody calls: the cells of `docs/status.md` without a call.

use std::time::Duration;

use tonic::Code;
use tower_gwag::{ErrorKind, Event, GwagRegistrationLayer, Options, Registration, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile, Rpc};

use super::{greeter_v, settled};
use crate::support::{
    Clock, Events, GREETER_PROTO, PETS_OPENAPI, greeter_options, listed, tonic_greeter,
    until_state, within,
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
    let _clock = Clock::start();
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
    let _clock = Clock::start();
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
async fn our_own_schema_is_found_to_block_and_is_withdrawn() {
    for (what, service) in super::guilty() {
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

/// What a registration goes through that is only kept waiting: nothing is claimed before its time.
#[tokio::test]
async fn until_the_gateway_has_answered_nothing_is_claimed() {
    let _clock = Clock::start();
    for profile in [Profile::Standalone, Profile::Clustered] {
        for with_http in [true, false] {
            let gateway = gateway(profile).await;
            let mut options = greeter_options(&gateway);
            if with_http {
                options = options.gateway_http(gateway.http_url());
            }
            gateway.delay(Rpc::Register, Duration::from_millis(400));
            let (options, events) = Events::of(options);
            let layer = GwagRegistrationLayer::new(options);
            let registration = layer.registration();
            let state = || registration.status().borrow().state();
            assert_eq!(state(), State::Idle);
            // Nothing is called before the server listens.
            assert_eq!(gateway.rpc_counts().by_rpc.len(), 0);
            registration
                .start(([127, 0, 0, 1], 50_051).into())
                .expect("started");
            until_state(&registration, State::Registering).await;
            let called = gateway.wait_until(|now| now.rpc_counts.of(Rpc::Register).received > 0);
            within("a Register", called).await;
            assert_eq!(state(), State::Registering);
            assert!(!registration.is_ready());
            // Of a list that does not come nothing is taken.
            gateway.refuse_next(Rpc::ListServices, 10_000, Code::Unavailable, "not now");
            until_state(&registration, State::Registered).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(state(), State::Registered, "{profile:?}, {with_http}");
            assert!(registration.is_ready());
            // If the gateway forgets it, the status says so again.
            gateway.evict_all();
            let again = |all: &[Event]| {
                let is_registering = |event: &&Event| match event {
                    Event::StatusChanged(status) => status.state() == State::Registering,
                    _ => false,
                };
                all.iter().filter(is_registering).count() == 2
            };
            events.until("Registering again", again).await;
            events.until_registered(2).await;
            let leaves = registration.clone();
            let left = tokio::spawn(async move { leaves.leave().await });
            within("left", left).await.expect("left");
            assert_eq!(state(), State::Left);
            let states = events.all_states();
            assert!(states.contains(&State::Leaving), "{states:?}");
            let claims = [State::Listed, State::Routed, State::Blocked];
            assert!(!states.iter().any(|it| claims.contains(it)), "{states:?}");
        }
    }
}

/// Displaced, with what differs only where the gateway's HTTP port shows it; Refused the same.
#[tokio::test]
async fn every_gateway_kind_shows_who_has_the_name() {
    for profile in [Profile::Standalone, Profile::Clustered] {
        for with_http in [true, false] {
            let gateway = gateway(profile).await;
            let options = |version, text| {
                let options = Options::new(gateway.target()).service(greeter_v(version, text));
                match with_http {
                    true => options.gateway_http(gateway.http_url()),
                    false => options,
                }
            };
            let old = tonic_greeter(options("unstable", "old")).await;
            until_state(&old.registration, State::Listed).await;
            let owner = tonic_greeter(options("v1", "owner")).await;
            until_state(&owner.registration, State::Listed).await;
            let new = tonic_greeter(options("unstable", "new")).await;
            until_state(&old.registration, State::Displaced).await;
            let newcomer = tonic_greeter(options("v1", "newcomer")).await;
            until_state(&newcomer.registration, State::Refused).await;
            for server in [&old, &newcomer] {
                let status = server.registration.status().borrow().clone();
                assert_eq!(status.reason_kind(), Some(ErrorKind::SchemaConflict));
                let text = status.to_string();
                assert!(text.contains(&gateway.target()), "{text}");
                let is_shown = with_http && profile == Profile::Clustered;
                assert_eq!(text.contains("only comments"), is_shown, "{text}");
            }
            for server in [old, owner, new, newcomer] {
                server.stop().await;
            }
        }
    }
}

/// The port of another gateway, which knows nothing of the service, is no evidence for it.
#[tokio::test]
async fn the_http_port_of_another_cluster_proves_nothing() {
    let (one, other) = (
        gateway(Profile::Clustered).await,
        gateway(Profile::Clustered).await,
    );
    let options = Options::new(one.target()).gateway_http(other.http_url());
    let server = super::kinds::Kind::GraphQl
        .of_this_run(options.clone())
        .await;
    until_state(&server.registration, State::Registered).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let state = server.registration.status().borrow().state();
    assert_eq!(state, State::Registered);
    server.stop().await;
    // A route that the gateway itself has is evidence.
    let server = tonic_greeter(options.service(greeter_v("v1", "ours"))).await;
    until_state(&server.registration, State::Listed).await;
    server.stop().await;
}
