//! The whole wiring in one call: layer, listener, shutdown, report.

use tokio::net::TcpListener;

use crate::error::Error;
use crate::options::Options;
use crate::server::{GwagRegistrationLayer, stop_signal};
use crate::status::LeaveReport;

/// Serves an axum router, registered with the gateway, until SIGINT or SIGTERM, then leaves.
///
/// This is the long form on the [crate's page](crate) in one call: it adds the layer around all
/// routes, wraps the listener, serves with a graceful shutdown, and returns the report. Handlers
/// may take `ConnectInfo<SocketAddr>`. Use the long form if you need the status, your own stop
/// signal, or server settings.
///
/// # Errors
///
/// Errors in the options, before anything is served.
///
/// # Cancel safety
///
/// Dropping the future stops the server; the deregistration continues in the background.
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
    // According to axum's documentation it never fails.
    served.map_err(|error| failed(&error))?;
    Ok(registration.finish().await)
}

/// Serves gRPC services with tonic, registered with the gateway, until SIGINT or SIGTERM, then
/// leaves; the counterpart of [`serve`].
///
/// # Errors
///
/// Errors in the options, before anything is served;
/// [`ErrorKind::ServerFailed`](crate::ErrorKind::ServerFailed) when the server fails.
///
/// # Cancel safety
///
/// Dropping the future stops the server; the deregistration continues in the background.
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
