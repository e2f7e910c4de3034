//! What operators read: each message as `messages.txt` has it, and the log of a life.

mod address;
mod conflicts;
pub(crate) mod logged;
mod peers;
mod reports;

use std::net::SocketAddr;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;
use tower_gwag::{
    ErrorKind, GwagRegistrationLayer, Hold, LeaveOutcome, OnFinding, Options, Registration, Rule,
    Service, State, Status,
};
use tower_gwag_gateway::{EmbeddedGateway, Rpc, Tier};

use crate::support::servers::bind;
use crate::support::{
    PETS_OPENAPI, gateway, greeter_service, registered, tonic_greeter, until_state, within,
};
use crate::tls_proxy::{Authority, TlsProxy};

const MESSAGES: &str = include_str!("messages.txt");

/// Holds a text against the one that `messages.txt` has under `name`; what differs from run to run
/// has a word in its place.
#[track_caller]
fn reads(name: &str, text: &str, words: &[(&str, &str)]) {
    let mut text = text.trim().to_owned();
    for (value, word) in words {
        text = text.replace(value, word);
    }
    let sections = MESSAGES.split("\n== ").skip(1);
    let expected = sections.filter_map(|section| section.split_once('\n'));
    let expected = expected.filter(|(of, _)| *of == name).map(|(_, text)| text);
    let expected: Vec<&str> = expected.map(str::trim).collect();
    if expected.is_empty() && std::env::var_os("UPDATE_GOLDEN").is_some() {
        println!("== {name}\n{text}\n");
        return;
    }
    assert_eq!(expected, [text.as_str()], "messages.txt, `{name}`");
}

/// A registration of the greeter, without a server.
fn start(options: Options) -> Registration {
    start_as_given(options.service(greeter_service()))
}

fn start_as_given(options: Options) -> Registration {
    let options = options.seed(7).hold(Hold::Off);
    let registration = GwagRegistrationLayer::new(options).registration();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 50_051));
    registration.start(nowhere).expect("started");
    registration
}

async fn status_of(options: Options, state: State) -> Status {
    status_as_given(options.service(greeter_service()), state).await
}

async fn status_as_given(options: Options, state: State) -> Status {
    let registration = start_as_given(options);
    until_state(&registration, state).await;
    let status = registration.status().borrow().clone();
    drop(registration);
    status
}

/// Answers the first bytes of each connection with these, and ends it.
async fn answering(bytes: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
    let (listener, address) = bind("127.0.0.1:0").await;
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Whoever hangs up meanwhile is done.
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn the_http_port_in_place_of_the_control_plane() {
    // As a real gateway's HTTP port answers the preface of HTTP/2.
    let bad_request = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (address, _task) = answering(bad_request).await;
    let status = status_of(Options::new(address), State::Unreachable).await;
    assert_eq!(status.reason_kind(), Some(ErrorKind::Unavailable));
    reads(
        "HTTP/1",
        &status.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );

    let (listener, address) = bind("127.0.0.1:0").await;
    let page = axum::serve(listener, Router::new());
    let page = tokio::spawn(page.into_future());
    let registration = start(Options::new(address));
    let mut status = registration.status();
    let refused = status.wait_for(|it| it.reason().is_some());
    let refused = within("a reason", refused).await.expect("alive").clone();
    let reason = refused.reason().expect("a reason").to_string();
    reads("HTTP/2 page", &reason, &[(&address.to_string(), "GATEWAY")]);
    page.abort();
}

#[tokio::test]
async fn whatever_else_is_at_the_address() {
    let (address, _task) = answering(b"INFO {\"server_id\":\"N\"}\r\n").await;
    let status = status_of(Options::new(address), State::Unreachable).await;
    reads(
        "NATS",
        &status.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );

    let server = tonic_greeter(Options::disabled()).await;
    let registration = start(Options::new(server.address));
    let mut status = registration.status();
    let refused = status.wait_for(|it| it.reason().is_some());
    let refused = within("a reason", refused).await.expect("alive").clone();
    let reason = refused.reason().expect("a reason").to_string();
    reads("gRPC", &reason, &[(&server.address.to_string(), "GATEWAY")]);

    let (listener, address) = bind("127.0.0.1:0").await;
    drop(listener);
    let status = status_of(Options::new(address), State::Unreachable).await;
    reads(
        "nothing there",
        &status.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );
}

#[tokio::test]
async fn tls_on_one_side_only() {
    // An alert, as most answer what is no handshake.
    let (address, _task) = answering(b"\x15\x03\x03\0\x02\x02\x0a").await;
    let status = status_of(Options::new(address), State::Unreachable).await;
    reads(
        "TLS there",
        &status.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );
    // Whoever hangs up instead may want it.
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let options = Options::new(proxy.localhost());
    let status = status_of(options, State::Unreachable).await.to_string();
    let remedy = format!("write `https://{}`", proxy.localhost());
    assert!(status.contains(&remedy), "{status}");

    // As a real gateway's control plane: its settings go first.
    let (address, _task) = answering(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0").await;
    let options = Options::new(format!("https://{address}"));
    let status = status_of(options, State::Unreachable).await;
    reads(
        "TLS here",
        &status.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );
}

#[tokio::test]
async fn a_refusal_names_the_service_and_the_remedy() {
    let gateway = EmbeddedGateway::builder().allow_tiers([Tier::Stable]);
    let gateway = gateway.start().await.expect("started");
    let status = status_of(Options::new(gateway.target()), State::Refused).await;
    let target = gateway.target();
    reads("tier", &status.to_string(), &[(&target, "GATEWAY")]);

    let text = "introspect http://u:s3cret@a/graphql?key=s3cret: context deadline exceeded";
    for (name, code, text, state) in [
        (
            "credentials",
            tonic::Code::Unauthenticated,
            "no token",
            State::Refused,
        ),
        (
            "store",
            tonic::Code::Unknown,
            "controlplane: kv put: nats: timeout",
            State::Unreachable,
        ),
        ("secret", tonic::Code::Unknown, text, State::Unreachable),
    ] {
        let gateway = crate::support::gateway().await;
        gateway.refuse_next(Rpc::Register, 100, code, text);
        let status = status_of(Options::new(gateway.target()), state).await;
        let target = gateway.target();
        reads(name, &status.to_string(), &[(&target, "GATEWAY")]);
    }
}

/// Texts as real gateways give them.
#[tokio::test]
async fn every_refusal_has_its_remedy() {
    use tonic::Code::{
        DeadlineExceeded, PermissionDenied, ResourceExhausted, Unavailable, Unknown,
    };

    for (name, code, text) in [
        (
            "refused namespace",
            Unknown,
            "namespace \"a.b\" contains reserved character",
        ),
        (
            "refused version",
            Unknown,
            "version \"1\" must be \"unstable\" or \"vN\"",
        ),
        (
            "refused proto",
            Unknown,
            "compile proto: greeter.proto:1:1: syntax error",
        ),
        (
            "refused endpoint",
            Unknown,
            "introspect http://a: status 404",
        ),
        (
            "refused schema",
            Unknown,
            "already registered with different schema hash",
        ),
        (
            "refused caps",
            Unknown,
            "already registered with different concurrency caps",
        ),
        ("refused kind", Unknown, "already registered as openapi"),
        (
            "refused size",
            ResourceExhausted,
            "received message larger than max",
        ),
        ("refused request", Unknown, "addr is required"),
        ("refused credentials", PermissionDenied, "no"),
        (
            "refused in time",
            DeadlineExceeded,
            "context deadline exceeded",
        ),
        ("refused by a proxy", ResourceExhausted, "too many requests"),
        ("refused for now", Unavailable, "shutting down"),
    ] {
        let gateway = crate::support::gateway().await;
        gateway.refuse_next(Rpc::Register, 100, code, text);
        let registration = start(Options::new(gateway.target()));
        let mut status = registration.status();
        let refused = within(name, status.wait_for(|now| now.reason().is_some())).await;
        let refused = refused.expect("alive").to_string();
        reads(name, &refused, &[(&gateway.target(), "GATEWAY")]);
    }
}

#[tokio::test]
async fn a_finding_need_not_stop_the_start() {
    let gateway = gateway().await;
    let faulty = greeter_service().namespace("my-greeter");
    let options = Options::new(gateway.target()).service(faulty);
    let refusing = GwagRegistrationLayer::new(options.clone()).registration();
    let refused = refusing.start(([127, 0, 0, 1], 1).into());
    assert_eq!(refused.expect_err("refused").kind(), ErrorKind::InvalidName);

    let serving = options.clone().on_finding(OnFinding::ServeUnregistered);
    let server = tonic_greeter(serving).await;
    assert_eq!(crate::support::greet(server.address).await, "Hello, Ada!");
    let status = server.registration.status().borrow().clone();
    assert_eq!(status.state(), State::Refused);
    assert_eq!(status.reason_kind(), Some(ErrorKind::InvalidName));
    assert!(!server.registration.is_ready());
    reads("finding", &status.to_string(), &[]);
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    let text = report.to_string();
    reads(
        "nothing registered",
        text.lines().next().expect("a line"),
        &[],
    );
    assert_eq!(gateway.rpc_counts().by_rpc.len(), 0);

    // An option that is wrong is an error all the same.
    let wrong = options.on_finding(OnFinding::ServeUnregistered);
    let wrong = wrong.gateway_http("ftp://gateway");
    let registration = GwagRegistrationLayer::new(wrong).registration();
    let refused = registration.start(([127, 0, 0, 1], 1).into());
    assert_eq!(
        refused
            .expect_err("refused")
            .findings()
            .expect("findings")
            .len(),
        2
    );
}

#[test]
fn a_finding_shows_the_id_of_its_own_rule() {
    let options = Options::new("gateway:50090")
        .service(greeter_service())
        .gateway_http("http://u:s3cret@gateway:8080/?key=s3cret")
        .ttl(std::time::Duration::from_millis(1))
        .metadata("no name", "x");
    let error = options.check().expect_err("faults");
    let findings = error.findings().expect("findings");
    let rules: Vec<Rule> = findings.iter().map(tower_gwag::Finding::rule).collect();
    assert_eq!(rules, [Rule::Ttl, Rule::Metadata, Rule::GatewayHttp]);
    reads("findings", &error.to_string(), &[]);
}

/// Whatever shows an option shows no secret of a URL.
#[tokio::test]
async fn secrets_of_urls_are_not_shown() {
    let secret = "http://u:s3cret@127.0.0.1:1/x?key=s3cret";
    let pets = || Service::openapi(PETS_OPENAPI);
    let endpoint = Endpoint::from_static("http://u:s3cret@127.0.0.1:1");
    let faulty = Options::new("u:s3cret@gateway:50090")
        .gateway_http(secret)
        .service(Service::graphql("s3cret@?s3cret").namespace("shop"))
        .advertise("u:s3cret@host:1");
    let fine = Options::new(endpoint).advertise(secret).service(pets());
    let mut shown = vec![format!("{faulty:?}"), format!("{fine:?}")];
    let error = faulty.check().expect_err("faults");
    shown.extend([error.to_string(), format!("{error:?}")]);
    let registration = GwagRegistrationLayer::new(fine).registration();
    registration
        .start(([127, 0, 0, 1], 1).into())
        .expect("started");
    until_state(&registration, State::Unreachable).await;
    let status = registration.status().borrow().clone();
    shown.extend([format!("{registration:?}"), format!("{status:?} {status}")]);
    let report = registration.leave().await;
    shown.extend([format!("{report:?} {report}")]);

    let graphql = Service::graphql(secret).namespace("shop");
    let gateway = gateway().await;
    let options = Options::new(gateway.target()).service(graphql);
    let registration = GwagRegistrationLayer::new(options).registration();
    registration
        .start(([127, 0, 0, 1], 1).into())
        .expect("started");
    until_state(&registration, State::Unreachable).await;
    let status = registration.status().borrow().clone();
    reads("introspection", &status.to_string(), &[]);
    shown.push(format!("{status:?} {registration:?}"));
    for text in shown {
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_gateway_that_ends_connections_is_named_with_the_cause() {
    let (listener, address) = bind("127.0.0.1:0").await;
    let task = tokio::spawn(ending(listener));
    let registration = start(Options::new(address));
    until_state(&registration, State::Unreachable).await;
    let status = registration.status().borrow().to_string();
    assert!(status.contains(&address.to_string()), "{status}");
    assert!(status.contains("without an answer"), "{status}");
    // While leaving the last attempt is not made again.
    let report = registration.leave().await.to_string();
    assert!(!report.contains("retrying"), "{report}");
    assert!(!report.contains("NOT held"), "{report}");
    task.abort();
}

async fn ending(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let stream: TcpStream = stream;
        drop(stream);
    }
}

#[tokio::test]
async fn a_report_after_a_life_says_how_long_it_took() {
    let gateway = gateway().await;
    let server = tonic_greeter(crate::support::greeter_options(&gateway)).await;
    registered(&server.registration).await;
    let report = server.stop().await;
    let text = report.to_string();
    let took = format!("{:.0?}", report.withdrawal());
    let drained = format!("{:.0?}", report.drain());
    reads(
        "deregistered",
        &text,
        &[(&drained, "DRAIN"), (&took, "TOOK")],
    );
}
