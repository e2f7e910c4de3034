//! The messages about the advertised address and the server's connections.

use std::time::Duration;

use axum::serve::Listener;
use tokio::io::DuplexStream;
use tokio_stream::StreamExt;
use tower_gwag::{Event, GwagRegistrationLayer, Options, Registration, State};
use tower_gwag_gateway::EmbeddedGateway;

use super::logged::{Lines, field};
use super::reads;
use crate::support::servers::bind;
use crate::support::{
    Events, axum_app, gateway, get, greeter_client, greeter_options, greeter_service, hello,
    pet_through, pets_app, pets_options, tonic_greeter, until_state, within,
};
use crate::tls_proxy::Authority;

fn suspicion(event: &Event) -> Option<String> {
    match event {
        Event::SuspiciousAddress(text) => Some(text.clone()),
        _ => None,
    }
}

async fn suspected(events: &Events) -> String {
    let is_told = |all: &[Event]| all.iter().any(|it| suspicion(it).is_some());
    events.until("a warning", is_told).await;
    events.all().iter().find_map(suspicion).expect("told")
}

/// A server of the user's own that has TLS; what comes of a connection is nobody's concern.
async fn with_tls(options: Options) -> (Registration, std::net::SocketAddr) {
    let tls = Authority::new("ours").server("localhost", None);
    let tls = tokio_rustls::TlsAcceptor::from(tls);
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let mut incoming = registration.incoming(listener).expect("wrapped");
    tokio::spawn(async move {
        let _layer = layer;
        while let Some(Ok(io)) = incoming.next().await {
            tokio::spawn(tls.accept(io));
        }
    });
    (registration, address)
}

/// A listener of one connection that is in memory.
struct Once(Option<DuplexStream>);

impl Listener for Once {
    type Io = DuplexStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (DuplexStream, Self::Addr) {
        match self.0.take() {
            Some(io) => (io, ([127, 0, 0, 1], 9).into()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(([127, 0, 0, 1], 50_051).into())
    }
}

fn words<'a>(gateway: &'a str, address: &'a str) -> [(&'a str, &'a str); 2] {
    [(gateway, "GATEWAY"), (address, "ADDRESS")]
}

#[tokio::test]
async fn a_server_with_tls_that_is_dialled_in_plaintext() {
    let gateway = gateway().await;
    let (options, events) = Events::of(greeter_options(&gateway).verbatim_address());
    let (registration, address) = with_tls(options).await;
    until_state(&registration, State::Listed).await;
    let mut client = greeter_client(gateway.address()).await;
    let call = within("an answer", client.hello(hello("Ada"))).await;
    assert!(call.is_err());
    let text = suspected(&events).await;
    reads(
        "TLS server, gRPC",
        &text,
        &words(&gateway.target(), &address.to_string()),
    );
    registration.leave_now().await;

    let (options, events) = Events::of(pets_options(&gateway));
    let (registration, address) = with_tls(options).await;
    until_state(&registration, State::Listed).await;
    pet_through(&gateway).await;
    let text = suspected(&events).await;
    reads(
        "TLS server, OpenAPI",
        &text,
        &words(&gateway.target(), &address.to_string()),
    );
    registration.leave_now().await;

    // Advertised as what it is.
    let (options, events) = Events::of(pets_options(&gateway).advertise_scheme("https"));
    let (registration, address) = with_tls(options).await;
    until_state(&registration, State::Listed).await;
    let entry = crate::support::listed(&gateway, 1).await.remove(0);
    assert_eq!(entry.addr, format!("https://{address}"));
    let probe = tokio::net::TcpStream::connect(address)
        .await
        .expect("connected");
    drop(probe);
    pet_through(&gateway).await;
    assert_eq!(events.all().iter().find_map(suspicion), None);
    registration.leave_now().await;
}

#[tokio::test]
async fn an_address_that_nobody_listens_at() {
    let gateway = gateway().await;
    let (nobody, address) = bind("127.0.0.1:0").await;
    drop(nobody);
    let options = greeter_options(&gateway).verbatim_address();
    let (options, events) = Events::of(options.advertise(address.to_string()));
    let server = tonic_greeter(options).await;
    let text = suspected(&events).await;
    reads(
        "dead address",
        &text,
        &words(&gateway.target(), &address.to_string()),
    );
    server.stop().await;
}

/// The clock goes on faster than anybody calls.
#[tokio::test]
async fn a_service_that_nobody_calls_for_five_minutes() {
    let gateway = gateway().await;
    let (options, events) = Events::of(greeter_options(&gateway).verbatim_address());
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    let uncalled = |event: &Event| match event {
        Event::Uncalled(text) => Some(text.clone()),
        _ => None,
    };
    let all = || -> Vec<String> { events.all().iter().filter_map(uncalled).collect() };
    let step = Duration::from_secs(5);
    for steps in 0..120 {
        tokio::time::pause();
        tokio::time::advance(step).await;
        tokio::time::resume();
        // Heartbeats are answered meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(steps >= 57 || all().is_empty(), "{steps} steps of {step:?}");
    }
    let texts = all();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let address = server.address.to_string();
    reads("uncalled", &texts[0], &words(&gateway.target(), &address));
    assert_eq!(server.registration.status().borrow().state(), State::Listed);
    server.stop().await;
}

/// The message does not appear for plain TCP.
#[tokio::test]
async fn connections_that_are_neither_tcp_nor_unix_are_noted() {
    let log = Lines::default();
    let _guard = log.start_at(tracing::Level::DEBUG);
    let is_noted = |line: &serde_json::Value| field(line, "message").starts_with("connections are");
    let gateway: EmbeddedGateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    get(&format!("http://{}/pets", server.address)).await;
    server.stop().await;
    assert!(!log.all().iter().any(is_noted));

    let layer = GwagRegistrationLayer::new(greeter_options(&gateway));
    let registration = layer.registration();
    let (one, _other) = tokio::io::duplex(64);
    let mut incoming = registration.incoming(Once(Some(one))).expect("wrapped");
    let _io = incoming.next().await;
    let lines: Vec<_> = log.all().into_iter().filter(is_noted).collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["level"], "DEBUG");
    let kind = std::any::type_name::<DuplexStream>();
    reads(
        "other connections",
        field(&lines[0], "message"),
        &[(kind, "IO")],
    );
    drop(incoming);
    registration.leave_now().await;
}

#[test]
fn a_scheme_that_is_not_dialled_is_a_fault() {
    let fault = |options: Options| options.check().expect_err("a fault").to_string();
    let options = || Options::new("gateway:50090").service(greeter_service());
    let text = fault(options().advertise_scheme("https"));
    reads("a scheme for gRPC", &text, &[]);
    let text = fault(options().advertise_scheme("ftp"));
    reads("another scheme", &text, &[]);
    let text = fault(options().advertise("a:1").advertise_scheme("http"));
    reads("a scheme and an address", &text, &[]);
    let text = fault(options().advertise_path("/v2"));
    reads("a path for gRPC", &text, &[]);
    let text = fault(options().advertise_path("v2"));
    reads("not a path", &text, &[]);
    let text = fault(options().advertise("a:1").advertise_path("/v2"));
    reads("a path and an address", &text, &[]);
}

#[test]
fn a_short_leave_timeout_shrinks_the_drain() {
    use std::time::Duration;

    let six = Duration::from_secs(6);
    let options = || {
        Options::new("gateway:50090")
            .service(greeter_service())
            .leave_timeout(six)
    };
    options().check().expect("the drain shrinks");
    let error = options().drain_timeout(Duration::from_secs(20)).check();
    reads("timeouts", &error.expect_err("a fault").to_string(), &[]);
}

/// The calls in flight are cut with it.
#[tokio::test]
async fn a_short_leave_timeout_cuts_what_does_not_end() {
    let gateway = gateway().await;
    let options = greeter_options(&gateway).leave_timeout(std::time::Duration::from_millis(1_500));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    let mut client = greeter_client(gateway.address()).await;
    let call = tokio::spawn(async move { client.hello(hello("hold")).await });
    crate::support::in_flight(&server.registration, 1).await;
    let report = server.stop().await;
    assert_eq!(report.cut(), 1, "{report}");
    // Four fifths of it.
    assert!(
        report.drain() <= std::time::Duration::from_millis(1_450),
        "{report}"
    );
    call.abort();
}

#[tokio::test]
async fn a_report_of_what_was_switched_off() {
    let server = tonic_greeter(Options::disabled()).await;
    crate::support::registered(&server.registration).await;
    let report = server.stop().await;
    let drained = format!("{:.0?}", report.drain());
    reads("disabled", &report.to_string(), &[(&drained, "DRAIN")]);
}
