//! Every supported combination in one place: it only has to compile.

#![allow(dead_code, unused_variables, reason = "only compiled")]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use axum::Router;
use axum::extract::Request;
use axum::handler::HandlerWithoutStateExt;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::ServiceBuilder;
use tower_gwag::{
    Error, Event, GwagRegistrationLayer, LeaveReport, Options, Registration, Service, Status,
    stop_signal,
};
use tower_layer::Layer;

fn layer() -> GwagRegistrationLayer {
    GwagRegistrationLayer::new(Options::disabled())
}

fn is_for_threads<T: Send + Sync + 'static>() {}
fn is_a_future_for_threads<T>(_: impl Future<Output = T> + Send + 'static) {}
fn is_an_error<T: std::error::Error + Send + Sync + 'static>() {}

/// Listeners that wait in a struct for the moment to serve.
struct Waiting {
    tcp: tower_gwag::GwagListener<TcpListener>,
    from_tonic: tower_gwag::GwagListener<tower_gwag::server::IncomingListener>,
    for_tonic: tower_gwag::Incoming<tokio::net::TcpStream>,
}

async fn waiting(registration: [Registration; 3]) -> Result<Waiting, Box<dyn std::error::Error>> {
    let [one, two, three] = registration;
    Ok(Waiting {
        tcp: one.listener(TcpListener::bind("127.0.0.1:0").await?)?,
        from_tonic: two.listener(TcpIncoming::from(TcpListener::bind("127.0.0.1:0").await?))?,
        for_tonic: three.incoming(TcpListener::bind("127.0.0.1:0").await?)?,
    })
}

async fn serve_what_waited(waiting: Waiting, app: Router) -> std::io::Result<()> {
    axum::serve(
        waiting.tcp,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await
}

#[test]
fn what_users_hold_may_go_anywhere() {
    is_for_threads::<Options>();
    is_for_threads::<Service>();
    is_for_threads::<GwagRegistrationLayer>();
    is_for_threads::<Registration>();
    is_for_threads::<Status>();
    is_for_threads::<Event>();
    is_for_threads::<LeaveReport>();
    is_an_error::<Error>();
}

fn futures_may_be_spawned(registration: Registration) {
    is_a_future_for_threads(registration.shutdown(stop_signal()));
    is_a_future_for_threads(registration.shutdown(tokio::sync::oneshot::channel::<()>().1));
    is_a_future_for_threads(registration.leaving());
    let (one, two, three) = (registration.clone(), registration.clone(), registration);
    is_a_future_for_threads(async move { one.registered().await });
    is_a_future_for_threads(async move { two.leave().await });
    is_a_future_for_threads(async move { three.finish().await });
}

/// A signal that borrows makes a shutdown that borrows, and no more.
async fn signals_may_borrow(registration: &Registration, token: &tokio::sync::Notify) {
    registration.shutdown(token.notified()).await;
    registration.shutdown(async { 7 }).await;
}

async fn tonic_servers(listener: TcpListener, incoming: TcpIncoming) {
    let greeter = || GreeterServer::new(TestGreeter::default());
    let (layer, forever) = (layer(), std::future::pending::<()>);
    let registration = layer.registration();

    // The layer alone, among others, and optional.
    let mut server = Server::builder().layer(layer.clone());
    let server = server.add_service(greeter());
    let incoming = registration.incoming(incoming).unwrap();
    let served = server.serve_with_incoming_shutdown(incoming, registration.shutdown(forever()));
    is_a_future_for_threads(served);

    let stack = ServiceBuilder::new().layer(layer.clone());
    let stack = stack.layer(tower_layer::Identity::new());
    let stacked = Server::builder().timeout(Duration::from_secs(1));
    let mut stacked = stacked.layer(stack);
    let incoming = registration.incoming(listener).unwrap();
    is_a_future_for_threads(stacked.add_service(greeter()).serve_with_incoming(incoming));

    // Interceptors, several services, HTTP/1.
    let intercepted = GreeterServer::with_interceptor(TestGreeter::default(), Ok);
    let mut server = Server::builder().accept_http1(true).layer(layer.clone());
    let routes = Routes::new(intercepted).add_service(greeter());
    let address: SocketAddr = ([127, 0, 0, 1], 0).into();
    is_a_future_for_threads(server.add_routes(routes).serve(address));
}

async fn axum_servers(listener: TcpListener, incoming: TcpIncoming) {
    let (layer, forever) = (layer(), std::future::pending::<()>);
    let registration = layer.registration();
    let app = || Router::new().route("/", get(async || "Hello!"));

    // Around the router, a route, a nested router, a fallback; inside and outside of others.
    let everywhere = app()
        .route("/one", get(async || "one").layer(layer.clone()))
        .nest("/nested", app().layer(layer.clone()))
        .route_layer(layer.clone())
        .fallback_service((async || "fallback").into_service())
        .layer(from_fn(
            async |request: Request, next: axum::middleware::Next| {
                let response: Response = next.run(request).await;
                response
            },
        ))
        .layer(ServiceBuilder::new().layer(layer.clone()));

    let shutdown = registration.shutdown(forever());
    let tapped = listener.tap_io(|_| {});
    let listener = registration.listener(tapped).unwrap();
    let served = axum::serve(listener, everywhere).with_graceful_shutdown(shutdown);
    is_a_future_for_threads(served.into_future());

    let with_peers = app()
        .layer(layer.clone())
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = registration.listener(incoming).unwrap();
    is_a_future_for_threads(axum::serve(listener, with_peers).into_future());
}

/// Both on one port, served by either.
async fn one_port(listener: TcpListener) {
    let layer = layer();
    let registration = layer.registration();
    let routes = || {
        Routes::from(Router::new().route("/", get(async || "Hello!")))
            .add_service(GreeterServer::new(TestGreeter::default()))
    };
    let on_axum = routes().into_axum_router().layer(layer.clone());
    let listener = registration.listener(listener).unwrap();
    is_a_future_for_threads(axum::serve(listener, on_axum).into_future());
    let mut on_tonic = Server::builder().accept_http1(true).layer(layer);
    let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let incoming = registration.incoming(incoming).unwrap();
    is_a_future_for_threads(on_tonic.add_routes(routes()).serve_with_incoming(incoming));
}

/// Servers of another kind: hyper's own.
async fn by_hand(stream: tokio::net::TcpStream, address: SocketAddr) -> Result<(), Error> {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use hyper_util::server::conn::auto;
    use hyper_util::service::TowerToHyperService;

    let layer = layer();
    let registration = layer.registration();
    registration.start(address)?;
    let service = tower::service_fn(async |_: http::Request<hyper::body::Incoming>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
    });
    let service = TowerToHyperService::new(layer.layer(service));
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection(TokioIo::new(stream), service);
    served.await.unwrap();
    registration.leave().await;
    Ok(())
}
