//! A GraphQL service of async-graphql and axum that registers itself, is called through the gateway,
//! and leaves cleanly.
//!
//! `cargo run --manifest-path examples/bookshop/Cargo.toml`, then Ctrl-C; with `-- --once` it ends
//! by itself. With `GWAG_GATEWAY=host:port` and `GWAG_GATEWAY_HTTP=http://host:port` it registers
//! with that gateway; otherwise with an embedded one in this process.

mod app;
mod calls;
mod shop;
#[path = "../../support/mod.rs"]
mod support;

use std::time::Instant;

use app::Introspection;
use support::{BoxError, Gateway, print_report, print_status, until_answered, until_routed};
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Registration, stop_signal};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let is_once = std::env::args().any(|it| it == "--once");
    let gateway = Gateway::find().await?;
    let introspection = Introspection::default();

    // What to register, and with whom.
    let service = app::service();
    let layer = GwagRegistrationLayer::new(Options::new(&gateway.control_plane).service(service));
    let registration = layer.registration();
    let statuses = print_status(&registration, start);
    let called = call_myself(
        registration.clone(),
        gateway.clone(),
        introspection.clone(),
        start,
    );
    let called = tokio::spawn(called);
    let stop = async move {
        match is_once {
            true => drop(called.await),
            false => stop_signal().await,
        }
    };

    // The server: three lines know of the registration.
    let app = app::router(introspection).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let served = axum::serve(registration.listener(listener)?, app)
        .with_graceful_shutdown(registration.shutdown(stop))
        .await;

    let report = registration.finish().await;
    statuses.await?;
    print_report(&report, served.is_ok());
    Ok(served?)
}

/// Calls this very service, but through the gateway.
async fn call_myself(
    registration: Registration,
    gateway: Gateway,
    introspection: Introspection,
    start: Instant,
) {
    let called = async {
        registration.registered().await?;
        println!("RESULT registered ms={}", start.elapsed().as_millis());
        let listed = &gateway.hashes(&["shop"]).await?["shop"];
        // The hash is that of the reply to the gateway's introspection.
        let is_expected = *listed == introspection.hash()?;
        println!("RESULT listed namespace=shop hash={listed} as_expected={is_expected}");
        if gateway.http.is_empty() {
            return Ok(());
        }
        let answer = until_answered(|| calls::books(&gateway.http)).await?;
        println!("RESULT called kind=graphql answer={answer}");
        let answer = calls::order(&gateway.http).await?;
        println!("RESULT called kind=mutation answer={answer}");
        let answer = calls::missing(&gateway.http).await?;
        println!("RESULT called kind=error answer={answer}");
        let answer = calls::wrong(&gateway.http).await?;
        println!("RESULT called kind=invalid answer={answer}");
        until_routed(&registration, start).await?;
        println!("\nserving; Ctrl-C ends it");
        Ok::<_, BoxError>(())
    };
    if let Err(error) = called.await {
        println!("the call through the gateway failed: {error}");
    }
}

#[cfg(test)]
mod tests;
