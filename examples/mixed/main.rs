//! One process that serves gRPC, HTTP and GraphQL on one port, as one registration: each is listed
//! by the gateway and called through it.
//!
//! `cargo run --example mixed`, then Ctrl-C. With `GWAG_GATEWAY=host:port` and
//! `GWAG_GATEWAY_HTTP=http://host:port` it registers with that gateway; otherwise with an
//! embedded one in this process.

mod app;
mod calls;
#[path = "../support/mod.rs"]
mod support;

#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod greeter {
    include!("../greeter/generated.rs");
}

use std::time::Instant;

use support::{
    BoxError, Gateway, graphql, print_report, print_status, until_answered, until_routed,
};
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Registration, stop_signal};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let gateway = Gateway::find().await?;

    // What to register, and with whom: three services, one address, one lease.
    let options = Options::new(&gateway.control_plane);
    let options = app::services().into_iter().fold(options, Options::service);
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let statuses = print_status(&registration, start);
    let caller = tokio::spawn(call_myself(registration.clone(), gateway.clone(), start));

    // The server: three lines know of the registration.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening  {}", listener.local_addr()?);
    let served = axum::serve(registration.listener(listener)?, app::router().layer(layer))
        .with_graceful_shutdown(registration.shutdown(stop_signal()))
        .await;

    let report = registration.finish().await;
    statuses.await?;
    caller.abort();
    print_report(&report, served.is_ok());
    Ok(served?)
}

/// Calls each service of this very process, but through the gateway.
async fn call_myself(registration: Registration, gateway: Gateway, start: Instant) {
    let called = async {
        registration.registered().await?;
        println!("RESULT registered ms={}", start.elapsed().as_millis());
        let expected = calls::expected_hashes()?;
        let listed = gateway.hashes(&expected.each_ref().map(|it| it.0)).await?;
        for (namespace, hash) in &expected {
            let found = &listed[*namespace];
            println!(
                "RESULT listed namespace={namespace} hash={found} as_expected={}",
                found == hash
            );
        }
        let answer = until_answered(|| calls::grpc(&gateway.control_plane)).await?;
        println!("RESULT called kind=grpc answer={answer:?}");
        if gateway.http.is_empty() {
            return Ok(());
        }
        for query in [calls::BOOKS, calls::PET] {
            let answer = until_answered(|| graphql(&gateway.http, query)).await?;
            println!("RESULT called kind=graphql answer={answer:?}");
        }
        let answer = gateway.ingress("GET", "/pets/1", "").await?;
        let answer = answer.unwrap_or("no ingress: the gateway is standalone".to_owned());
        println!("RESULT called kind=http answer={answer:?}");
        until_routed(&registration, start).await?;
        println!("\nserving; Ctrl-C ends it");
        Ok::<_, BoxError>(())
    };
    if let Err(error) = called.await {
        println!("the call through the gateway failed: {error}");
    }
}
