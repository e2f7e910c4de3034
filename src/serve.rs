//! One call for the whole wiring: layer, listener, shutdown, report.

use tokio::net::TcpListener;

use crate::error::Error;
use crate::options::Options;
use crate::server::{GwagRegistrationLayer, stop_signal};
use crate::status::LeaveReport;

/// Serves an axum router that registers with the gateway, until SIGINT or SIGTERM, and leaves.
///
/// It is the long form of the [crate's page](crate) in one call: it adds the layer around all routes,
/// wraps the listener, serves with a graceful shutdown, and returns the report. Handlers may take
/// `ConnectInfo<SocketAddr>`. For a status, a signal of your own, or settings of the server use the
/// long form.
///
/// # Errors
///
/// What is wrong with the options, before anything is served.
///
/// # Cancel safety
///
/// Dropped, the server is gone; the gateway is told in the background.
///
/// # Examples
///
/// ```no_run
/// # async fn run(pets: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::net::TcpListener;
/// use tower_gwag::{Options, Service};
///
/// let listener = TcpListener::bind("0.0.0.0:8080").await?;
/// let options = Options::from_env()?.service(Service::openapi(std::fs::read("openapi.yaml")?));
/// println!("{}", tower_gwag::serve(listener, pets, options).await?);
/// # Ok(()) }
/// ```
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub async fn serve(
    listener: TcpListener,
    router: axum::Router,
    options: Options,
) -> Result<LeaveReport, Error> {
    use std::net::SocketAddr;

    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let listener = registration.listener(listener)?;
    let app = router
        .layer(layer)
        .into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, app)
        .with_graceful_shutdown(registration.shutdown(stop_signal()))
        .await;
    // It never fails, says its documentation.
    served.map_err(|error| failed(&error))?;
    Ok(registration.finish().await)
}

/// Serves gRPC services with tonic as [`serve`] does HTTP: registers them with the gateway, until
/// SIGINT or SIGTERM, and leaves.
///
/// # Errors
///
/// What is wrong with the options, before anything is served;
/// [`ErrorKind::ServerFailed`](crate::ErrorKind::ServerFailed) when the server fails.
///
/// # Cancel safety
///
/// Dropped, the server is gone; the gateway is told in the background.
///
/// # Examples
///
/// ```no_run
/// # async fn run(greeter: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::net::TcpListener;
/// use tower_gwag::{Options, Service};
///
/// // greeter = Routes::new(GreeterServer::new(…)).add_service(…)
/// let listener = TcpListener::bind("0.0.0.0:50051").await?;
/// let options = Options::from_env()?.service(Service::proto_dir("proto", "greeter.proto"));
/// println!("{}", tower_gwag::serve_tonic(listener, greeter, options).await?);
/// # Ok(()) }
/// ```
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub async fn serve_tonic(
    listener: TcpListener,
    routes: tonic::service::Routes,
    options: Options,
) -> Result<LeaveReport, Error> {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let incoming = registration.incoming(listener)?;
    let served = tonic::transport::Server::builder()
        .layer(layer)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()))
        .await;
    served.map_err(|error| failed(&error))?;
    Ok(registration.finish().await)
}

fn failed(error: &dyn std::error::Error) -> Error {
    use crate::error::ErrorKind;

    let message = format!("the server failed: {error}");
    Error::new(ErrorKind::ServerFailed, message)
}
