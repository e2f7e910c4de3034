//! Every kind of listener that `incoming` (tonic) and `listener` (axum) take: it compiles, serves
//! and registers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::servers::{bind, serve_axum, serve_tonic};
use crate::support::{
    PET_7, Running, gateway, greet, greeter_options, listed, pet_through, pets_app, pets_options,
    plain, registered, within,
};
use axum::serve::{Listener, ListenerExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tower_gwag::server::{IntoIncoming, IntoListener};
use tower_gwag::{ErrorKind, GwagRegistrationLayer, Options};
use tower_gwag_gateway::EmbeddedGateway;

/// A listener of the user's own: counts what it accepts.
struct Counting {
    inner: TcpListener,
    accepted: Arc<AtomicUsize>,
}

impl Listener for Counting {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = Listener::accept(&mut self.inner).await;
        self.accepted.fetch_add(1, Ordering::SeqCst);
        accepted
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

async fn counting() -> (Counting, SocketAddr, Arc<AtomicUsize>) {
    let (inner, address) = bind("127.0.0.1:0").await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    (Counting { inner, accepted }, address, count)
}

/// Registers, greets through the gateway, and leaves.
async fn assert_serves_grpc(gateway: &EmbeddedGateway, server: Running) {
    registered(&server.registration).await;
    assert_eq!(
        plain(&listed(gateway, 1).await[0].addr),
        server.address.to_string()
    );
    assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    assert!(server.stop().await.is_clean());
    listed(gateway, 0).await;
}

/// Registers, is asked through the gateway, and leaves.
async fn assert_serves_http(gateway: &EmbeddedGateway, server: Running) {
    registered(&server.registration).await;
    assert_eq!(
        plain(&listed(gateway, 1).await[0].addr),
        server.address.to_string()
    );
    assert_eq!(pet_through(gateway).await, PET_7);
    assert!(server.stop().await.is_clean());
    listed(gateway, 0).await;
}

#[tokio::test]
async fn tonic_on_a_tcp_listener() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let server = serve_tonic(greeter_options(&gateway), listener, address);
    assert_serves_grpc(&gateway, server).await;
}

#[tokio::test]
async fn tonic_on_a_tcp_incoming() {
    let gateway = gateway().await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).expect("bound");
    let address = incoming.local_addr().expect("an address");
    let server = serve_tonic(greeter_options(&gateway), incoming, address);
    assert_serves_grpc(&gateway, server).await;
}

#[tokio::test]
async fn tonic_on_a_tapped_listener() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let tapped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tapped);
    let listener = listener.tap_io(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let server = serve_tonic(greeter_options(&gateway), listener, address);
    assert_serves_grpc(&gateway, server).await;
    assert_eq!(tapped.load(Ordering::SeqCst), 1, "the gateway's connection");
}

#[tokio::test]
async fn tonic_on_a_listener_of_the_users_own() {
    let gateway = gateway().await;
    let (listener, address, accepted) = counting().await;
    let server = serve_tonic(greeter_options(&gateway), listener, address);
    assert_serves_grpc(&gateway, server).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn axum_on_a_tcp_listener() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let server = serve_axum(pets_options(&gateway), listener, address, pets_app());
    assert_serves_http(&gateway, server).await;
}

#[tokio::test]
async fn axum_on_a_tcp_incoming() {
    let gateway = gateway().await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).expect("bound");
    let address = incoming.local_addr().expect("an address");
    let server = serve_axum(pets_options(&gateway), incoming, address, pets_app());
    assert_serves_http(&gateway, server).await;
}

#[tokio::test]
async fn axum_on_a_tapped_listener() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let listener = listener.tap_io(|io| io.set_nodelay(true).expect("set"));
    let server = serve_axum(pets_options(&gateway), listener, address, pets_app());
    assert_serves_http(&gateway, server).await;
}

#[tokio::test]
async fn axum_on_a_listener_of_the_users_own() {
    let gateway = gateway().await;
    let (listener, address, accepted) = counting().await;
    let server = serve_axum(pets_options(&gateway), listener, address, pets_app());
    assert_serves_http(&gateway, server).await;
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// The first connection that comes out of `incoming(listener)`.
async fn first_connection<I, M>(listener: I, address: SocketAddr) -> I::Io
where
    I: IntoIncoming<M>,
{
    let registration = GwagRegistrationLayer::new(Options::disabled()).registration();
    let mut incoming = registration.incoming(listener).expect("wrapped");
    let _client = TcpStream::connect(address).await.expect("connected");
    let first = within("a connection", incoming.next()).await;
    first.expect("one").expect("accepted").into_inner()
}

/// Otherwise each small answer waits for the client's delayed ACK, some 40 ms.
#[tokio::test]
async fn tcp_nodelay_is_set_for_tonic() {
    let (listener, address) = bind("127.0.0.1:0").await;
    let plain = first_connection(listener, address).await;
    assert!(plain.nodelay().expect("known"), "on a TcpListener");
    let (listener, address, _) = counting().await;
    let wrapped = first_connection(listener, address).await;
    assert!(wrapped.nodelay().expect("known"), "on a wrapped one");
}

#[tokio::test]
async fn the_settings_of_a_tcp_incoming_are_kept() {
    for nodelay in [false, true] {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).expect("bound");
        let address = incoming.local_addr().expect("an address");
        let incoming = incoming.with_nodelay(Some(nodelay));
        let connection = first_connection(incoming, address).await;
        assert_eq!(connection.nodelay().expect("known"), nodelay);
    }
}

#[tokio::test]
async fn a_second_listener_for_one_registration_is_misuse() {
    let gateway = gateway().await;
    let registration = GwagRegistrationLayer::new(greeter_options(&gateway)).registration();
    let (first, _) = bind("127.0.0.1:0").await;
    let (second, address) = bind("127.0.0.1:0").await;
    let _incoming = registration.incoming(first).expect("wrapped");
    let error = registration
        .listener(second)
        .map(drop)
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(
        error.to_string().contains("GwagRegistrationLayer"),
        "{error}"
    );
    let error = registration.start(address).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Misuse);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use tokio::net::UnixListener;

    fn socket() -> (UnixListener, std::path::PathBuf) {
        let name = format!("tower-gwag-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        (UnixListener::bind(&path).expect("bound"), path)
    }

    /// The gateway dials gRPC targets as they are written; a Unix socket has no other address.
    #[tokio::test]
    async fn a_unix_socket_is_registered_under_the_address_that_the_user_gives() {
        let gateway = gateway().await;
        let (listener, path) = socket();
        let target = format!("unix://{}", path.display());
        let layer = GwagRegistrationLayer::new(greeter_options(&gateway).advertise(&target));
        let registration = layer.registration();
        let incoming = registration.incoming(listener).expect("wrapped");
        let served = tokio::spawn(
            tonic::transport::Server::builder()
                .layer(layer)
                .add_routes(tonic::service::Routes::default())
                .serve_with_incoming_shutdown(
                    incoming,
                    registration.shutdown(std::future::pending::<()>()),
                ),
        );
        registered(&registration).await;
        assert_eq!(plain(&listed(&gateway, 1).await[0].addr), target);
        served.abort();
        listed(&gateway, 0).await;
        let _ = std::fs::remove_file(path);
    }

    #[tokio::test]
    async fn a_unix_socket_without_an_advertised_address_is_refused_before_it_serves() {
        let gateway = gateway().await;
        let path = std::env::temp_dir().join(format!("tower-gwag-{}-2.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listen = || UnixListener::bind(&path).expect("bound");
        fn refused<T>(result: Result<T, tower_gwag::Error>) {
            let error = result.map(drop).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidAdvertisedAddress, "{error}");
            assert!(error.to_string().contains("Options::advertise"), "{error}");
        }
        let registration = GwagRegistrationLayer::new(greeter_options(&gateway)).registration();
        refused(registration.incoming(listen()));
        let _ = std::fs::remove_file(&path);
        let registration = GwagRegistrationLayer::new(greeter_options(&gateway)).registration();
        refused(registration.listener(listen()));
        let _ = std::fs::remove_file(&path);
    }
}

/// Only has to compile: the bounds that a user's own generic code needs.
#[allow(dead_code)]
fn generic_over_listeners<A, B, M, N>(a: A, b: B) -> Result<(), tower_gwag::Error>
where
    A: IntoIncoming<M>,
    B: IntoListener<N>,
    <B::Listener as Listener>::Addr: 'static,
{
    let layer = GwagRegistrationLayer::new(Options::disabled());
    layer.registration().incoming(a)?;
    layer.registration().listener(b)?;
    Ok(())
}
