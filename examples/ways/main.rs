//! The same small service in four ways: `cargo run --example ways -- impatient`, `layer`, `environment` or
//! `axum_server`; each file is all of one. Set `GWAG_GATEWAY`; it says how long it took from the start of
//! `main` until it was registered, and serves until Ctrl-C.

mod axum_server;
mod environment;
mod impatient;
mod layer;

use std::sync::LazyLock;
use std::time::Instant;

use tower_gwag::{Event, Options};

const PETS: &str = r#"{"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths": {"/pets":
  {"get": {"operationId": "listPets", "responses": {"200": {"description": "all of them"}}}}}}"#;

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    LazyLock::force(&BEGUN);
    match std::env::args().nth(1).as_deref() {
        Some("layer") => layer::run().await,
        Some("environment") => environment::run().await,
        Some("axum_server") => axum_server::run().await,
        _ => impatient::run().await,
    }
}

/// For the figure alone.
fn told(options: Options) -> Options {
    options.on_event(|event| {
        if let Event::Registered { .. } = event {
            println!("RESULT registered after_ms={}", BEGUN.elapsed().as_millis());
        }
    })
}
