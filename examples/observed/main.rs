//! What operators see of a service: JSON logs, events, probes and a scrape of its metrics.
//!
//! `cargo run --example observed` prints the log of a short life and ends with the scrape. With
//! `GWAG_GATEWAY=host:port` it registers with that gateway and serves until Ctrl-C, otherwise with an
//! embedded one, and every other `GWAG_*` variable counts as well. `LISTEN=0.0.0.0:0` is where it listens.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_gwag::{Event, GwagRegistrationLayer, Options, Service, no_gateway, stop_signal};
use tower_gwag_gateway::EmbeddedGateway;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PETS: &str = r#"{"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths": {"/pets":
  {"get": {"operationId": "listPets", "responses": {"200": {"description": "all of them"}}}}}}"#;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    tracing_subscriber::fmt().json().init();
    // Before anything is counted.
    let metrics = PrometheusBuilder::new()
        .set_buckets(&[0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0])?
        .install_recorder()?;

    let mut options = Options::from_env()?;
    let mut embedded = None;
    if no_gateway(&options) {
        let gateway = embedded.insert(EmbeddedGateway::builder().start().await?);
        options = Options::new(gateway.target()).or_env()?;
    }
    let options = options
        .service(Service::openapi(PETS))
        .on_event(|event: &Event| println!("event: {}", event.to_string().replace('\n', "; ")));

    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(listen).await?;
    let port = listener.local_addr()?.port();
    println!("RESULT listens on port {port}");
    let listener = registration.listener(listener)?;
    let scrape = metrics.clone();
    let app = Router::new()
        .route("/pets", get(|| async { "\"Rex, Tom\"" }))
        .layer(layer)
        // Not through the gateway, and not waited for.
        .route("/readyz", get(registration.readyz()))
        .route("/livez", get(registration.livez()))
        .route("/metrics", get(move || async move { scrape.render() }));

    let (seen, end) = oneshot::channel::<()>();
    let stop = async {
        tokio::select! { _ = end => {} () = stop_signal() => {} }
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(registration.shutdown(stop));
    let life = async {
        let _ = tokio::time::timeout(Duration::from_secs(5), registration.registered()).await;
        println!("RESULT readyz {}", fetch(port, "/readyz").await?.trim_end());
        if embedded.is_none() {
            // Until a signal comes.
            registration.leaving().await;
        }
        drop(seen);
        Ok::<_, BoxError>(())
    };
    let (served, lived) = tokio::join!(server, life);
    served?;
    lived?;
    println!("{}", registration.finish().await);
    println!("\n{}", metrics.render());
    Ok(())
}

/// A GET as simple as can be.
async fn fetch(port: u16, path: &str) -> Result<String, BoxError> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no body")?;
    Ok(body.to_owned())
}
