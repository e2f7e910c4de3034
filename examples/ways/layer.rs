//! The layer, the listener and the shutdown by hand: the long form of `impatient.rs`.

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Service, stop_signal};

pub(crate) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::from_env()?.service(Service::openapi(crate::PETS));
    let layer = GwagRegistrationLayer::new(crate::told(options));
    let registration = layer.registration();
    let listener = registration.listener(TcpListener::bind("127.0.0.1:0").await?)?;
    let app = Router::new()
        .route("/pets", get(|| async { "\"Rex, Tom\"" }))
        .layer(layer);
    axum::serve(listener, app)
        .with_graceful_shutdown(registration.shutdown(stop_signal()))
        .await?;
    println!("{}", registration.finish().await);
    Ok(())
}
