//! What the examples share: a gateway to register with, and a way to watch.

use std::time::{Duration, Instant};

use tower_gwag::{LeaveReport, Registration, State};
use tower_gwag_gateway::EmbeddedGateway;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway: the one that the environment names, or one in this process.
pub(crate) struct Gateway {
    /// `host:port` of its control plane, where gRPC calls go, too.
    pub(crate) control_plane: String,
    /// Base URL of its HTTP side.
    pub(crate) http: String,
    /// The gateway in this process; it lives as long as this.
    #[allow(dead_code, reason = "not every example asks it")]
    pub(crate) embedded: Option<EmbeddedGateway>,
}

impl Gateway {
    pub(crate) async fn find() -> Result<Self, BoxError> {
        if let Ok(control_plane) = std::env::var("GWAG_GATEWAY") {
            let http = std::env::var("GWAG_GATEWAY_HTTP").unwrap_or_default();
            println!("gateway    {control_plane} (from GWAG_GATEWAY)");
            return Ok(Self {
                control_plane,
                http: http.trim_end_matches('/').to_owned(),
                embedded: None,
            });
        }
        let embedded = EmbeddedGateway::builder().start().await?;
        let gateway = Self {
            control_plane: embedded.target(),
            http: embedded.http_url(),
            embedded: Some(embedded),
        };
        println!(
            "gateway    {} (embedded; set GWAG_GATEWAY to use another), services at {}",
            gateway.control_plane, gateway.http
        );
        Ok(gateway)
    }
}

/// Prints each change of the registration's status until it has left.
pub(crate) fn print_status(
    registration: &Registration,
    since: Instant,
) -> tokio::task::JoinHandle<()> {
    let mut status = registration.status();
    tokio::spawn(async move {
        loop {
            let now = status.borrow_and_update().clone();
            println!("status     {now} (after {:.0?})", since.elapsed());
            if now.state() == State::Left || status.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Prints how the registration ended, for people and for scripts.
pub(crate) fn print_report(report: &LeaveReport, served_well: bool) {
    println!("\n{report}");
    println!(
        "RESULT left ms={} exit={}",
        report.total().as_millis(),
        i32::from(!served_well)
    );
}

/// Tries `call` until it succeeds: a clustered gateway routes a moment after it registered.
pub(crate) async fn until_answered<T, F: Future<Output = Result<T, BoxError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, BoxError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
