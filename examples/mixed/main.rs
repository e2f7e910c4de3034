//! One process that serves gRPC, HTTP and GraphQL on one port, as one registration: each is listed
//! by the gateway and called through it.
//!
//! `cargo run --example mixed`, then Ctrl-C. With `GWAG_GATEWAY=host:port` and
//! `GWAG_GATEWAY_HTTP=http://host:port` it registers with that gateway; otherwise with an
//! embedded one in this process, whose list of services it prints.

mod app;
mod calls;
#[path = "../support/mod.rs"]
mod support;

#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod greeter {
    include!("../greeter/generated.rs");
}

use std::sync::Arc;
use std::time::Instant;

use support::{BoxError, Gateway, print_report, print_status, until_answered};
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Registration, stop_signal};
use tower_gwag_gateway::EmbeddedGateway;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let start = Instant::now();
    let gateway = Arc::new(Gateway::find().await?);

    // What to register, and with whom: three services, one address, one lease.
    let options = Options::new(&gateway.control_plane);
    let options = app::services().into_iter().fold(options, Options::service);
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let statuses = print_status(&registration, start);
    let caller = call_myself(registration.clone(), Arc::clone(&gateway), start);
    let caller = tokio::spawn(caller);

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
async fn call_myself(registration: Registration, gateway: Arc<Gateway>, start: Instant) {
    let called = async {
        registration.registered().await?;
        println!("RESULT registered ms={}", start.elapsed().as_millis());
        if let Some(embedded) = &gateway.embedded {
            list(embedded).await?;
        }
        let answer = until_answered(|| calls::grpc(&gateway.control_plane)).await?;
        println!("RESULT called kind=grpc answer={answer:?}");
        if gateway.http.is_empty() {
            println!("set GWAG_GATEWAY_HTTP to call HTTP and GraphQL through the gateway");
            return Ok(());
        }
        let answer = until_answered(|| calls::http(&gateway.http)).await?;
        println!("RESULT called kind=http answer={answer:?}");
        let answer = until_answered(|| calls::graphql(&gateway.http)).await?;
        println!("RESULT called kind=graphql answer={answer:?}");
        println!("\nserving; Ctrl-C ends it");
        Ok::<_, BoxError>(())
    };
    if let Err(error) = called.await {
        println!("the call through the gateway failed: {error}");
    }
}

/// Prints what the gateway lists, and whether the hashes are those known without it.
async fn list(gateway: &EmbeddedGateway) -> Result<(), BoxError> {
    let expected = calls::expected_hashes()?;
    for service in calls::until_routed(gateway).await {
        let known = expected.iter().find(|it| it.0 == service.namespace);
        let Some((_, hash)) = known else { continue };
        println!(
            "RESULT listed namespace={} version={} routed={} hash={} as_expected={}",
            service.namespace,
            service.version,
            service.routed,
            service.hash,
            *hash == service.hash
        );
    }
    Ok(())
}
