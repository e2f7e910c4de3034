//! The same small service in four ways: `cargo run --example ways -- impatient`, `layer`, `environment` or
//! `axum_server`; each file is all of one. Set `GWAG_GATEWAY`; it says how
//! long it took from the start of the process until it was registered, and serves until Ctrl-C.

mod axum_server;
mod environment;
mod impatient;
mod layer;

use std::time::Instant;

use tower_gwag::{Event, Options};

const PETS: &str = r#"{"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths": {"/pets":
  {"get": {"operationId": "listPets", "responses": {"200": {"description": "all of them"}}}}}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("layer") => layer::run().await,
        Some("environment") => environment::run().await,
        Some("axum_server") => axum_server::run().await,
        _ => impatient::run().await,
    }
}

/// For the figure alone.
fn told(options: Options) -> Options {
    let begun = Instant::now();
    options.on_event(move |event| {
        if let Event::Registered { .. } = event {
            println!("RESULT registered after_ms={}", begun.elapsed().as_millis());
        }
    })
}
