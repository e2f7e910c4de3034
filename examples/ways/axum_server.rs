//! Another server: the layer, started and left by hand.

use axum::{Router, routing::get};
use tower_gwag::{GwagRegistrationLayer, Options, Service, stop_signal};

pub(crate) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_env()?.service(Service::openapi(crate::PETS));
    let layer = GwagRegistrationLayer::new(crate::told(options));
    let registration = layer.registration();
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    registration.start(listener.local_addr()?)?;
    let handle = axum_server::Handle::new();
    let (leaving, stopping) = (registration.clone(), handle.clone());
    tokio::spawn(async move {
        stop_signal().await;
        leaving.leave().await;
        stopping.graceful_shutdown(None);
    });
    let app = Router::new()
        .route("/pets", get(|| async { "\"Rex, Tom\"" }))
        .layer(layer);
    axum_server::from_tcp(listener)?
        .handle(handle)
        .serve(app.into_make_service())
        .await?;
    println!("{}", registration.finish().await);
    Ok(())
}
