//! The recipes of `docs/manual/operations.md` for other servers, and the wiring in one call.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get as route;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::service::Routes;
use tower_gwag::{ErrorKind, GwagRegistrationLayer, LeaveReport, Options, Readiness, Service};
use tower_gwag_gateway::EmbeddedGateway;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    gateway, get, greet, greeter_options, listed, pets_app, pets_options, plain, within,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// axum-server: the layer as usual; started by hand, and left before the server stops.
async fn axum_server(
    options: Options,
    listener: std::net::TcpListener,
    app: Router,
    signal: impl Future + Send + 'static,
) -> Result<LeaveReport, BoxError> {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    listener.set_nonblocking(true)?;
    registration.start(listener.local_addr()?)?;
    let handle = axum_server::Handle::new();
    let (leaving, stopping) = (registration.clone(), handle.clone());
    tokio::spawn(async move {
        signal.await;
        leaving.leave().await;
        stopping.graceful_shutdown(Some(Duration::from_secs(10)));
    });
    axum_server::from_tcp(listener)?
        .handle(handle)
        .serve(
            app.layer(layer)
                .into_make_service_with_connect_info::<SocketAddr>(),
        )
        .await?;
    Ok(registration.finish().await)
}

/// hyper-util: the same around a loop of one's own.
async fn hyper_util_server(
    options: Options,
    listener: TcpListener,
    app: Router,
    signal: impl Future,
) -> Result<LeaveReport, BoxError> {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    registration.start(listener.local_addr()?)?;
    let service = TowerToHyperService::new(app.layer(layer).into_service());
    let (http, connections) = (Builder::new(TokioExecutor::new()), GracefulShutdown::new());
    let leave = async {
        signal.await;
        registration.leave().await
    };
    tokio::pin!(leave);
    let report = loop {
        tokio::select! {
            report = &mut leave => break report,
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let served = http.serve_connection_with_upgrades(TokioIo::new(stream), service.clone());
                tokio::spawn(connections.watch(served.into_owned()));
            }
        }
    };
    connections.shutdown().await;
    Ok(report)
}

/// Served, registered under the bound address, and left without a trace.
async fn assert_lives<F>(
    gateway: &EmbeddedGateway,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: F,
) where
    F: Future<Output = Result<LeaveReport, BoxError>> + Send + 'static,
{
    let server = tokio::spawn(server);
    let entry = listed(gateway, 1).await.remove(0);
    assert_eq!(plain(&entry.addr), address.to_string());
    let (code, _) = get(&format!("http://{address}/pets")).await;
    assert_eq!(code, 200);
    stop.send(()).expect("served");
    let report = within("the end", server)
        .await
        .expect("no panic")
        .expect("served");
    assert!(report.is_clean() && report.is_counted(), "{report}");
    listed(gateway, 0).await;
}

#[tokio::test]
async fn axum_server_is_a_recipe() {
    let gateway = gateway().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel();
    let server = axum_server(pets_options(&gateway), listener, pets_app(), stopped);
    assert_lives(&gateway, address, stop, server).await;
}

#[tokio::test]
async fn hyper_util_is_a_recipe() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let (stop, stopped) = oneshot::channel();
    let server = hyper_util_server(pets_options(&gateway), listener, pets_app(), stopped);
    assert_lives(&gateway, address, stop, server).await;
}

#[tokio::test]
async fn one_call_serves_and_registers() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let app = pets_app().route(
        "/peer",
        route(|peer: axum::extract::ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }),
    );
    let server = tokio::spawn(tower_gwag::serve(listener, app, pets_options(&gateway)));
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(plain(&entry.addr), address.to_string());
    let (code, peer) = get(&format!("http://{address}/peer")).await;
    assert_eq!((code, &*peer), (200, "127.0.0.1"));
    // Without its signal: what is registered goes all the same.
    server.abort();
    listed(&gateway, 0).await;

    let (listener, address) = bind("127.0.0.1:0").await;
    let routes = Routes::new(GreeterServer::new(TestGreeter::default()));
    let server = tokio::spawn(tower_gwag::serve_tonic(
        listener,
        routes,
        greeter_options(&gateway),
    ));
    listed(&gateway, 1).await;
    assert_eq!(greet(address).await, "Hello, Ada!");
    server.abort();
    listed(&gateway, 0).await;
}

#[tokio::test]
async fn errors_of_options_come_before_anything_serves() {
    let (listener, address) = bind("127.0.0.1:0").await;
    let options = Options::new("").service(Service::openapi("no document"));
    let served = tower_gwag::serve(listener, pets_app(), options);
    let error = within("an error", served).await.expect_err("faults");
    assert_eq!(
        error.findings().expect("findings").errors().count(),
        2,
        "{error}"
    );
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "nobody listens");

    let (listener, _) = bind("127.0.0.1:0").await;
    let options = Options::new("gateway:1")
        .readiness(Readiness::Routed)
        .advertise("pets:1");
    let options = options.service(crate::support::greeter_service());
    let routes = Routes::default();
    let served = tower_gwag::serve_tonic(listener, routes, options);
    let error = within("an error", served).await.expect_err("a fault");
    assert_eq!(error.kind(), ErrorKind::InvalidAdvertisedAddress);
}

#[tokio::test]
async fn a_stream_of_connections_with_its_address_is_taken() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let connections = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = crate::support::servers::serve_tonic(
        greeter_options(&gateway),
        (connections, address),
        address,
    );
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(plain(&entry.addr), address.to_string());
    assert_eq!(greet(address).await, "Hello, Ada!");
    assert!(server.stop().await.is_clean());
}

#[test]
fn documents_of_both_utoipas_are_taken() {
    let of_6 = utoipa::openapi::OpenApi::new(
        utoipa::openapi::Info::new("Pets", "1"),
        utoipa::openapi::Paths::new(),
    );
    let of_5 = utoipa5::openapi::OpenApi::new(
        utoipa5::openapi::Info::new("Pets", "1"),
        utoipa5::openapi::Paths::new(),
    );
    for service in [Service::openapi(of_6), Service::openapi(of_5)] {
        let warnings = Options::new("g:1").service(service).check();
        let warnings = warnings.expect("a document without paths").to_string();
        assert!(warnings.contains("service `Pets`"), "{warnings}");
    }
}
