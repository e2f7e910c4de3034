//! On a real gateway, where `GWAG_GATEWAY` and `GWAG_GATEWAY_HTTP` name one that nobody else uses:
//! the tests block it. Else on embedded ones, so that both are held to the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use tokio::time::Instant;
use tower_gwag::{Cleanness, ErrorKind, Event, GwagRegistrationLayer, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use super::kinds::{Called, Kind, Place};
use super::proof::{OF_A_GATEWAY, ask, suspicions};
use super::registrations;
use super::service::Names;
use crate::support::servers::{bind, serve_tonic_routes};
use crate::support::{Clock, Events, greeter_client, hello, until_state, within};
use crate::words::logged::{Lines, field};

/// Time passes as fast as it can.
struct Embedded {
    gateway: EmbeddedGateway,
    _clock: Clock,
}

/// The real gateway, if it is of this profile, or an embedded one.
async fn gateway(profile: Profile) -> (Place, Option<Embedded>) {
    let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let (Some(target), Some(http)) = (read("GWAG_GATEWAY"), read("GWAG_GATEWAY_HTTP")) {
        let mut client = crate::control::client(&target).await;
        let peers = client.list_peers(crate::control::proto::ListPeersRequest {});
        let peers = peers.await.expect("answered").into_inner().peers;
        if peers.is_empty() == (profile == Profile::Standalone) {
            println!("against {target}, {profile:?}");
            return (Place { target, http }, None);
        }
    }
    println!("against an embedded gateway, {profile:?}");
    let gateway = EmbeddedGateway::builder().profile(profile).start().await;
    let gateway = gateway.expect("started");
    let place = Place::of(&gateway);
    let _clock = Clock::start();
    (place, Some(Embedded { gateway, _clock }))
}

/// The status shows a block within 2 s, and its end within 1 s, for every kind of service.
#[tokio::test]
async fn a_block_and_its_end_are_reported_in_time() {
    let (place, _embedded) = gateway(Profile::Clustered).await;
    for kind in Kind::ALL {
        for with_http in [true, false] {
            let blocker = place.block().await;
            let http = with_http.then_some(&*place.http);
            let called = Called::start(kind, &place, http).await;
            let is_knowable = with_http || kind == Kind::Proto;
            let mut blocked = None;
            if is_knowable {
                blocked = Some(called.until(State::Blocked, called.begun).await);
                let status = called.status();
                assert_eq!(status.reason_kind(), Some(ErrorKind::Blocked), "{status}");
                assert_eq!(
                    status.to_string().contains("`culprit`"),
                    with_http,
                    "{status}"
                );
            }
            tokio::time::sleep(Duration::from_secs(4)).await;
            let wrong = called.wrongly(&[State::Listed, State::Routed]);
            let ended = Instant::now();
            blocker.leave().await;
            let routed = called.until(State::Routed, ended).await;
            let (failed, all) = called.failed();
            println!(
                "{kind:?}, gateway_http {with_http}: Blocked after {blocked:?}, said to be Listed \
                 for {wrong:?}, Routed {routed:?} after the end of the block, {failed} of {all} \
                 calls failed; {:?}",
                called.states()
            );
            if blocked.is_some() {
                // It does not come and go, whatever is registered again meanwhile.
                let states = called.states();
                let blocks = states.iter().filter(|it| **it == State::Blocked).count();
                assert_eq!(blocks, 1, "{states:?}");
            }
            if let Some(blocked) = blocked {
                // Without the name of whoever blocks, a slow gateway is waited for longer.
                let bound = if with_http { 2 } else { 4 };
                assert!(blocked < Duration::from_secs(bound), "{blocked:?}");
                assert_eq!(wrong, Duration::ZERO);
            }
            // Without its schema nothing is known of a GraphQL service but that it is listed.
            if kind == Kind::OpenApi {
                assert_eq!(wrong, Duration::ZERO);
            }
            assert!(routed < Duration::from_secs(1), "{routed:?}");
            let report = called.stop().await;
            assert!(report.is_clean(), "{report}");
        }
    }
}

/// A service that comes back alone while the gateway is blocked: schema and route are stale, and
/// show it.
#[tokio::test]
async fn a_stale_schema_and_a_stale_route_do_not_prove() {
    let (place, _embedded) = gateway(Profile::Clustered).await;
    for kind in Kind::ALL {
        let names = Arc::new(Names::of_this_run());
        let http = Some(&*place.http);
        let before = Called::named(kind, &place, http, Arc::clone(&names)).await;
        before.until(State::Routed, before.begun).await;
        let blocker = place.block().await;
        before.stop().await;
        // The slot is gone then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let called = Called::named(kind, &place, http, names).await;
        let blocked = called.until(State::Blocked, called.begun).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(called.status().state(), State::Blocked);
        let wrong = called.wrongly(&[State::Listed, State::Routed]);
        let (failed, all) = called.failed();
        println!("{kind:?}: Blocked after {blocked:?}, {failed} of {all} calls failed");
        assert_eq!((failed, wrong), (all, Duration::ZERO));
        let ended = Instant::now();
        blocker.leave().await;
        let routed = called.until(State::Routed, ended).await;
        println!("{kind:?}: Routed {routed:?} after the end of the block");
        assert!(routed < Duration::from_secs(1), "{routed:?}");
        called.stop().await;
    }
}

/// A schema of ours that blocks the gateway is found and withdrawn, also where it renders alone.
#[tokio::test]
async fn our_own_schema_is_found_to_block() {
    let (place, _embedded) = gateway(Profile::Clustered).await;
    for (what, service) in super::guilty() {
        let options = Options::new(&*place.target)
            .gateway_http(&*place.http)
            .unchecked_schemas()
            .service(service);
        let registration = GwagRegistrationLayer::new(options).registration();
        let begun = Instant::now();
        registration
            .start(([127, 0, 0, 1], 50_051).into())
            .expect("started");
        until_state(&registration, State::Refused).await;
        let status = registration.status().borrow().clone();
        println!("{what}: {:?}: {status}", begun.elapsed());
        assert_eq!(status.reason_kind(), Some(ErrorKind::Unrenderable));
        assert!(registration.leave().await.is_clean());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A standalone gateway answers every path alike, which is no schema.
#[tokio::test]
async fn a_standalone_gateway_is_never_reported_as_blocked() {
    let (place, _embedded) = gateway(Profile::Standalone).await;
    // It has no HTTP ingress.
    for kind in [Kind::Proto, Kind::GraphQl] {
        for http in [Some(&*place.http), None] {
            let called = Called::start(kind, &place, http).await;
            called.until(State::Routed, called.begun).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            let states = called.states();
            println!("{kind:?}, {http:?}: {states:?}, {:?}", called.failed());
            assert!(!states.contains(&State::Blocked), "{states:?}");
            assert_eq!(called.status().state(), State::Routed);
            assert_eq!(registrations(&called.events), 1);
            called.stop().await;
        }
    }
}

/// A server that answers every path with 200 and a page.
async fn login_page() -> String {
    let (listener, address) = bind("127.0.0.1:0").await;
    let page = Router::new().fallback(|| async { Html("<html><form>log in</form></html>") });
    tokio::spawn(axum::serve(listener, page).into_future());
    format!("http://{address}")
}

/// Neither what a standalone gateway answers nor a login page is a schema: no status follows from
/// it, and no cure, whether somebody calls the service or not.
#[tokio::test]
async fn an_answer_that_is_not_a_schema_changes_nothing() {
    let (place, _embedded) = gateway(Profile::Clustered).await;
    let another = crate::support::gateway().await;
    let standalone = std::env::var("GWAG_GATEWAY_STANDALONE_HTTP").ok();
    println!("a real standalone gateway: {standalone:?}");
    let standalone = standalone.unwrap_or_else(|| another.http_url());
    for (what, base) in [("standalone", standalone), ("login", login_page().await)] {
        for kind in Kind::ALL {
            let before = place.entries().await.len();
            let options = Options::new(&*place.target).gateway_http(&*base);
            let (options, events) = Events::of(options);
            let uncalled = kind.of_this_run(options).await;
            let called = Called::start(kind, &place, Some(&base)).await;
            called.until(State::Routed, called.begun).await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let all = [called.states(), events.all_states()];
            let entries = place.entries().await.len() - before;
            println!("{what}, {kind:?}: {all:?}, {entries} entries");
            assert!(!all.concat().contains(&State::Blocked), "{all:?}");
            assert_eq!(called.status().state(), State::Routed);
            assert_eq!(registrations(&called.events) + registrations(&events), 2);
            // Each has a hold, where there is gRPC.
            assert_eq!(entries, if kind == Kind::Proto { 4 } else { 2 });
            called.stop().await;
            uncalled.stop().await;
        }
    }
}

/// What scrapers, probes and the gateway's own host ask a server directly.
async fn ask_locally(kind: Kind, address: SocketAddr) {
    if kind == Kind::Proto {
        let mut client = greeter_client(address).await;
        // Whatever it answers.
        let _ = within("an answer", client.hello(hello("Ada"))).await;
        return;
    }
    let here = "127.0.0.1";
    for headers in [
        &["user-agent: curl/8.5.0", "accept: */*"][..],
        &[
            "user-agent: Prometheus/3.1.0",
            "accept: application/openmetrics-text",
        ],
        &["user-agent: kube-probe/1.31", "accept: */*"],
        &["user-agent: Go-http-client/1.1"],
    ] {
        ask(address, here, headers).await;
    }
}

/// Whoever calls the bound address, which only a gateway's own call to it proves: a service whose
/// advertised address is dead is never Routed, and warned of once.
#[tokio::test]
async fn local_calls_prove_nothing_and_a_dead_address_is_warned_of_once() {
    let (place, _embedded) = gateway(Profile::Clustered).await;
    for (kind, dead_as) in [
        (Kind::OpenApi, Some("http://")),
        (Kind::Proto, Some("")),
        (Kind::OpenApi, None),
        (Kind::Proto, None),
        (Kind::GraphQl, None),
    ] {
        let log = Lines::default();
        let _guard = log.start_at(tracing::Level::WARN);
        let (nobody, dead) = bind("127.0.0.1:0").await;
        drop(nobody);
        let options = Options::new(&*place.target).gateway_http(&*place.http);
        let options = match dead_as {
            // The warning shows it as it was given.
            Some(scheme) => options
                .advertise(format!("{scheme}{dead}"))
                .verbatim_address(),
            None => options,
        };
        let (options, events) = Events::of(options);
        let server = kind.of_this_run(options).await;
        until_state(&server.registration, State::Listed).await;
        for _ in 0..5 {
            ask_locally(kind, server.address).await;
            if kind == Kind::OpenApi && dead_as.is_some() {
                // Even what looks like a gateway: it did not dial what is advertised.
                ask(server.address, "127.0.0.1", &OF_A_GATEWAY).await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let states = events.all_states();
        let warnings = log.all();
        let warnings = warnings.iter().map(|line| field(line, "message"));
        // Those of the check are about the schema.
        let warnings: Vec<_> = warnings.filter(|it| !it.starts_with("warning[")).collect();
        println!(
            "{kind:?}, dead: {}: {states:?}, {warnings:?}",
            dead_as.is_some()
        );
        assert!(!states.contains(&State::Routed), "{states:?}");
        let expected = usize::from(dead_as.is_some());
        assert_eq!(warnings.len(), expected, "{warnings:?}");
        assert_eq!(suspicions(&events).len(), expected);
        for warning in &warnings {
            assert!(warning.contains(&dead.to_string()), "{warning}");
            assert!(warning.contains("Options::advertise"), "{warning}");
        }
        server.stop().await;
    }
}

/// The old entries of a gateway that restarts stay, and nobody can remove them.
#[tokio::test]
async fn ghosts_are_reported_at_the_restart_and_in_the_report() {
    let (place, embedded) = gateway(Profile::Clustered).await;
    let restart = std::env::var("GWAG_GATEWAY_RESTART").ok();
    if embedded.is_none() && restart.is_none() {
        println!("skipped: GWAG_GATEWAY_RESTART is not set to a command that restarts the gateway");
        return;
    }
    let names = Arc::new(Names::of_this_run());
    let mut both = Vec::new();
    for _ in 0..2 {
        let called = Called::named(Kind::Proto, &place, None, Arc::clone(&names)).await;
        called.until(State::Routed, called.begun).await;
        both.push(called);
    }
    let begun = Instant::now();
    match (&embedded, restart) {
        (Some(embedded), _) => embedded.gateway.restart().await.expect("restarted"),
        (None, command) => {
            let mut shell = tokio::process::Command::new("sh");
            let status = shell.arg("-c").arg(command.expect("set")).status().await;
            assert!(status.expect("run").success());
        }
    }
    for called in &both {
        let is_told = |event: &Event| matches!(event, Event::Ghosts(_));
        let told = called
            .events
            .until("ghosts are reported", |all| all.iter().any(is_told));
        told.await;
        println!("told {:?} after the restart", begun.elapsed());
    }
    for called in both {
        let report = called.stop().await;
        println!("{report}");
        assert_eq!(report.cleanness(), Cleanness::NotClean, "{report}");
        assert!(report.to_string().contains("GHOST"), "{report}");
    }
}

/// Two healthy nodes, one or both given: nothing is left, and the other's replica is no ghost.
#[tokio::test]
async fn two_healthy_nodes_are_left_clean() {
    let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(target), Some(other)) = (read("GWAG_GATEWAY"), read("GWAG_GATEWAY_PEER")) else {
        println!("skipped: GWAG_GATEWAY_PEER does not name another node of GWAG_GATEWAY's cluster");
        return;
    };
    let names = Arc::new(Names::of_this_run());
    let place = |target: &str| Place {
        target: target.to_owned(),
        http: String::new(),
    };
    let stays = Called::named(Kind::Proto, &place(&other), None, Arc::clone(&names)).await;
    stays.until(State::Routed, stays.begun).await;
    for given in [vec![&target], vec![&target, &other]] {
        let options = Options::new(given.iter().map(|it| it.as_str()).collect::<Vec<_>>());
        let options = options.service(names.proto());
        let (listener, address) = bind("127.0.0.1:0").await;
        let routes = names.grpc_app().into();
        let server = serve_tonic_routes(options, listener, address, routes);
        until_state(&server.registration, State::Listed).await;
        let report = server.stop().await;
        println!("{given:?}: ghosts {:?}: {report}", report.ghosts());
        assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
        let judged = (given.len() == 2).then_some(0);
        assert_eq!(report.ghosts(), judged);
    }
    let report = stays.stop().await;
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
}
