//! The embedded gateway alone, until Ctrl-C or SIGTERM:
//!
//! ```text
//! cargo run --example gateway [-- --profile standalone|clustered] [--listen host:port] [--http-listen host:port]
//! ```

use std::error::Error;

use tower_gwag_gateway::{EmbeddedGateway, EmbeddedGatewayBuilder, Profile};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = builder(std::env::args().skip(1))?.start().await?;
    println!("GWAG_GATEWAY={}", gateway.target());
    println!("GWAG_GATEWAY_HTTP={}", gateway.http_url());
    println!(
        "a gateway to develop and test against; its services: {}/",
        gateway.http_url()
    );
    stop_signal().await?;
    gateway.shutdown().await;
    Ok(())
}

fn builder(mut args: impl Iterator<Item = String>) -> Result<EmbeddedGatewayBuilder, String> {
    let mut builder = EmbeddedGateway::builder();
    while let Some(flag) = args.next() {
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (flag, args.next()),
        };
        builder = match (flag.as_str(), value.as_deref()) {
            ("--profile", Some("standalone")) => builder.profile(Profile::Standalone),
            ("--profile", Some("clustered")) => builder.profile(Profile::Clustered),
            ("--listen", Some(address)) => builder.listen(address),
            ("--http-listen", Some(address)) => builder.http_listen(address),
            _ => {
                return Err(format!(
                    "{flag} {}: use --profile standalone|clustered, --listen host:port, \
                     --http-listen host:port",
                    value.unwrap_or_default()
                ));
            }
        };
    }
    Ok(builder)
}

#[cfg(unix)]
async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
