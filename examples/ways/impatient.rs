//! One call.

use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tower_gwag::{Options, Service};

pub(crate) async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new().route("/pets", get(|| async { "\"Rex, Tom\"" }));
    let options = Options::from_env()?.service(Service::openapi(crate::PETS));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "{}",
        tower_gwag::serve(listener, app, crate::told(options)).await?
    );
    Ok(())
}
