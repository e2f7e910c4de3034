//! TLS and credentials towards the gateway.
#![cfg(feature = "tls")]

#[path = "../support/tls_proxy.rs"]
mod tls_proxy;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::control::Recorder;
use crate::support::{gateway, greeter_service, listed, registered, until_state, within};
use tls_proxy::{Authority, TlsProxy};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tower_gwag::{ErrorKind, GwagRegistrationLayer, Hold, Options, Registration, State, Status};

/// Where no server listens; a gateway does not dial at Register.
const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50051);

fn start(options: Options) -> Registration {
    let options = options.service(greeter_service()).hold(Hold::Off);
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(NOWHERE).expect("started");
    registration
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(authority.certificate())
}

async fn unreachable(registration: &Registration) -> Status {
    until_state(registration, State::Unreachable).await;
    registration.status().borrow().clone()
}

/// All that the reason says, down to its root.
fn chain(status: &Status) -> String {
    let mut text = status.to_string();
    let mut cause = status.reason().and_then(std::error::Error::source);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_gateway_with_a_private_ca_is_registered_with() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    // A scheme, or none: TLS is configured.
    for address in [proxy.localhost(), format!("https://{}", proxy.localhost())] {
        let registration = start(Options::new(address).tls(trusting(&authority)));
        registered(&registration).await;
        assert_eq!(gateway.registrations().len(), 1);
        assert!(registration.leave().await.is_clean());
        listed(&gateway, 0).await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_trusted_is_told_as_such_and_tried_again() {
    let gateway = gateway().await;
    let (mine, other) = (Authority::new("mine"), Authority::new("other"));
    let proxy = TlsProxy::before(gateway.address(), other.server("localhost", None)).await;
    let registration = start(Options::new(proxy.localhost()).tls(trusting(&mine)));
    let status = unreachable(&registration).await;
    assert_eq!(status.reason_kind(), Some(ErrorKind::Unavailable));
    // What an operator reads in the log, without the chain of causes.
    assert!(status.to_string().contains("certificate"), "{status}");
    assert!(
        chain(&status).contains("UnknownIssuer"),
        "{}",
        chain(&status)
    );
    proxy.change(mine.server("localhost", None));
    registered(&registration).await;
    assert!(registration.leave().await.is_clean());
}

#[tokio::test]
async fn a_gateway_of_another_name_is_not_trusted() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let config = authority.server("gateway.internal", None);
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let registration = start(Options::new(proxy.localhost()).tls(trusting(&authority)));
    let status = unreachable(&registration).await;
    assert!(status.to_string().contains("certificate"), "{status}");
    registration.leave().await;
}

#[tokio::test]
async fn the_server_name_can_be_given() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let config = authority.server("gateway.internal", None);
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let named = trusting(&authority).domain_name("gateway.internal");
    let registration = start(Options::new(proxy.address).tls(named));
    registered(&registration).await;
    assert_eq!(proxy.names(), [Some("gateway.internal".to_owned())]);
    registration.leave().await;
}

#[tokio::test]
async fn mutual_tls_shows_who_we_are() {
    let gateway = gateway().await;
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = servers.server("localhost", Some(&clients));
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let nobody = start(Options::new(proxy.localhost()).tls(trusting(&servers)));
    unreachable(&nobody).await;
    // TLS 1.3 refuses after the first bytes: whether they arrived cannot be known.
    nobody.leave().await;
    let identity = clients.identity("greeter");
    let tls = trusting(&servers).identity(identity);
    let somebody = start(Options::new(proxy.localhost()).tls(tls));
    registered(&somebody).await;
    somebody.leave().await;
}

#[tokio::test]
async fn a_ready_endpoint_brings_its_own_tls() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let endpoint = Endpoint::from_shared(format!("https://{}", proxy.localhost()))
        .and_then(|endpoint| endpoint.tls_config(trusting(&authority)))
        .expect("an endpoint");
    let registration = start(Options::new(endpoint));
    registered(&registration).await;
    assert!(registration.leave().await.is_clean());
    listed(&gateway, 0).await;
}

/// One side speaks TLS, the other does not: neither hangs, both are told.
#[tokio::test]
async fn a_mismatch_of_tls_and_plaintext_is_unreachable() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let plain = start(Options::new(proxy.localhost()));
    unreachable(&plain).await;
    plain.leave().await;
    let address = format!("https://localhost:{}", gateway.address().port());
    let tls = start(Options::new(address).tls(trusting(&authority)));
    unreachable(&tls).await;
    tls.leave().await;
}

/// Not the connection of anybody else, whose trust is another.
#[tokio::test]
async fn a_connection_with_its_own_tls_is_not_shared() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let trusted = start(Options::new(proxy.localhost()).tls(trusting(&authority)));
    registered(&trusted).await;
    let other = Authority::new("other");
    let distrustful = start(Options::new(proxy.localhost()).tls(trusting(&other)));
    unreachable(&distrustful).await;
    assert_eq!(gateway.registrations().len(), 1);
    distrustful.leave().await;
    trusted.leave().await;
}

#[tokio::test]
async fn tokens_and_metadata_go_with_every_call_over_tls() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let authority = Authority::new("private");
    let config = authority.server("localhost", None);
    let proxy = TlsProxy::before(recorder.address, config).await;
    let options = Options::new(proxy.localhost())
        .tls(trusting(&authority))
        .bearer_token("secret")
        .metadata("X-Team", "blue")
        .heartbeat_interval(Duration::from_millis(20));
    let registration = start(options);
    registered(&registration).await;
    let beats = gateway.wait_until(|now| {
        let beats = now.rpc_counts.of(tower_gwag_gateway::Rpc::Heartbeat);
        beats.answered > 1
    });
    within("beats", beats).await;
    registration.leave().await;
    for method in ["Register", "Heartbeat", "Deregister"] {
        let calls = recorder.calls(method);
        assert!(!calls.is_empty(), "{method}");
        for call in calls {
            assert_eq!(call.headers["authorization"], "Bearer secret", "{method}");
            assert_eq!(call.headers["x-team"], "blue", "{method}");
        }
    }
}

/// For tokens that expire.
#[tokio::test]
async fn a_provider_is_asked_before_every_call() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let options = Options::new(recorder.address).metadata_provider(move || {
        let token = format!("Bearer {}", asked.fetch_add(1, Ordering::SeqCst));
        let token = token.parse().expect("a header");
        [(http::header::AUTHORIZATION, token)].into_iter().collect()
    });
    let registration = start(options);
    registered(&registration).await;
    registration.leave().await;
    let methods = ["ListServices", "ListPeers", "Register", "Deregister"];
    let calls: Vec<_> = methods
        .iter()
        .flat_map(|method| recorder.calls(method))
        .map(|call| call.headers["authorization"].clone())
        .collect();
    let tokens: std::collections::HashSet<_> = calls.iter().collect();
    assert!(calls.len() >= 4, "{calls:?}");
    assert_eq!(tokens.len(), calls.len(), "{calls:?}");
}

/// Secrets are in no log and no debug output.
#[test]
fn debug_output_has_no_token() {
    let options = Options::new("g:1")
        .bearer_token("secret")
        .metadata("k", "secret");
    assert!(!format!("{options:?}").contains("secret"));
}
