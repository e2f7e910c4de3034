//! The proof: a call that came from the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_gwag::{Event, GwagRegistrationLayer, Options, Registration, State};

use crate::support::servers::bind;
use crate::support::{
    Clock, Events, axum_app, gateway, greet, greeter_options, pet_through, pets_app, pets_options,
    tonic_greeter, until_state, within,
};

/// As a gateway calls an OpenAPI service.
pub(super) const OF_A_GATEWAY: [&str; 2] =
    ["user-agent: Go-http-client/1.1", "accept: application/json"];

/// Asks a server itself, from the address `from`.
pub(super) async fn ask(server: SocketAddr, from: &str, headers: &[&str]) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let from = format!("{from}:0").parse().expect("an address");
    socket.bind(from).expect("bound");
    let mut stream = socket.connect(server).await.expect("connected");
    let headers = headers.join("\r\n");
    let request =
        format!("GET /pets HTTP/1.1\r\nhost: pets\r\nconnection: close\r\n{headers}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .expect("answered");
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}

/// Never in the time that a proof would take: a request is counted before it is answered.
#[track_caller]
fn assert_unproved(events: &Events) {
    let states = events.all_states();
    assert!(!states.contains(&State::Routed), "{states:?}");
}

pub(super) fn suspicions(events: &Events) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::SuspiciousAddress(text) => Some(text.clone()),
        _ => None,
    };
    events.all().iter().filter_map(text).collect()
}

/// An axum server that does not tell its requests from whom they are.
async fn anonymous(options: Options, app: Router) -> (Registration, SocketAddr) {
    let (listener, address) = bind("127.0.0.1:0").await;
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let listener = registration.listener(listener).expect("wrapped");
    tokio::spawn(async { axum::serve(listener, app.layer(layer)).await });
    (registration, address)
}

#[tokio::test]
async fn the_first_call_through_the_gateway_proves_the_route() {
    let _clock = Clock::start();
    let gateway = gateway().await;
    let (options, events) = Events::of(greeter_options(&gateway));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    // A caller that does not go through the gateway proves nothing.
    greet(server.address).await;
    assert_eq!(server.registration.status().borrow().state(), State::Listed);
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    // Each new registration needs a proof of its own.
    gateway.evict_all();
    events.until_registered(2).await;
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}

#[tokio::test]
async fn so_does_a_request_to_an_axum_server() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    pet_through(&gateway).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_look_like_a_gateway_proves_nothing() {
    let gateway = gateway().await;
    let (options, events) = Events::of(pets_options(&gateway));
    let server = axum_app(options, pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    let here = "127.0.0.1";
    ask(server.address, here, &["user-agent: curl/8.5.0"]).await;
    ask(
        server.address,
        here,
        &["user-agent: kube-probe/1.31", "accept: */*"],
    )
    .await;
    // Another Go program, such as a scraper.
    ask(server.address, here, &OF_A_GATEWAY[..1]).await;
    // Another host.
    ask(server.address, "127.0.0.2", &OF_A_GATEWAY).await;
    assert_unproved(&events);
    ask(server.address, here, &OF_A_GATEWAY).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_does_not_tell_from_whom_is_judged_by_its_connections() {
    let gateway = gateway().await;
    let (options, events) = Events::of(pets_options(&gateway));
    let (registration, address) = anonymous(options, pets_app()).await;
    until_state(&registration, State::Listed).await;
    // Somebody on the gateway's host is connected all the while.
    let idle = TcpStream::connect(address).await.expect("connected");
    for _ in 0..20 {
        ask(address, "127.0.0.2", &OF_A_GATEWAY).await;
    }
    assert_unproved(&events);
    pet_through(&gateway).await;
    until_state(&registration, State::Routed).await;
    drop(idle);
    registration.leave_now().await;
}

#[tokio::test]
async fn a_call_to_the_bound_address_proves_nothing_of_a_dead_one() {
    let _clock = Clock::start();
    let gateway = gateway().await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let dead = nobody.local_addr().expect("an address");
    drop(nobody);
    let (options, events) = Events::of(pets_options(&gateway).advertise(format!("http://{dead}")));
    let server = axum_app(options, pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    ask(server.address, "127.0.0.1", &OF_A_GATEWAY).await;
    events
        .until("the warning", |events| {
            let suspicious = |event: &Event| matches!(event, Event::SuspiciousAddress(_));
            events.iter().any(suspicious)
        })
        .await;
    // Registered again, it has the same address.
    gateway.evict_all();
    events.until_registered(2).await;
    until_state(&server.registration, State::Listed).await;
    ask(server.address, "127.0.0.1", &OF_A_GATEWAY).await;
    assert_unproved(&events);
    let said = suspicions(&events);
    assert_eq!(said.len(), 1, "{said:?}");
    let text = &said[0];
    assert!(text.contains(&dead.to_string()), "{text}");
    assert!(text.contains("advertise"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn a_name_of_this_host_is_the_bound_address() {
    let gateway = gateway().await;
    let (options, events) = Events::of(pets_options(&gateway).advertise_host("localhost"));
    let server = axum_app(options, pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    // Until the name is looked up nobody can say.
    let mut status = server.registration.status();
    let routed = status.wait_for(|status| status.state() == State::Routed);
    let calls = async {
        loop {
            pet_through(&gateway).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        routed = within("a proof", routed) => drop(routed.expect("alive")),
        () = calls => {}
    }
    assert_eq!(suspicions(&events), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn a_server_with_tls_of_its_own_is_warned_that_the_gateway_has_none() {
    let gateway = gateway().await;
    let (options, events) = Events::of(greeter_options(&gateway));
    let authority = crate::tls_proxy::Authority::new("ours");
    let tls = tokio_rustls::TlsAcceptor::from(authority.server("localhost", None));
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let (listener, _) = bind("127.0.0.1:0").await;
    let mut incoming = registration.incoming(listener).expect("wrapped");
    let accepting = tokio::spawn(async move {
        use tokio_stream::StreamExt;
        while let Some(Ok(io)) = incoming.next().await {
            // Whatever comes of it: the gateway speaks plaintext.
            tokio::spawn(tls.accept(io));
        }
    });
    until_state(&registration, State::Listed).await;
    let mut client = crate::support::greeter_client(gateway.address()).await;
    let call = client.hello(crate::support::hello("Ada"));
    assert!(within("an answer", call).await.is_err());
    events
        .until("the warning", |events| {
            events.iter().any(|event| match event {
                Event::SuspiciousAddress(text) => text.contains("TLS"),
                _ => false,
            })
        })
        .await;
    assert_unproved(&events);
    accepting.abort();
    registration.leave_now().await;
}
