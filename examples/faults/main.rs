//! How long is a service away after something broke?
//!
//! `cargo run --release --example faults [-- --quick] [NAME]` breaks embedded gateways, networks
//! and services in turn, and measures the time until everything is as it was. One row for each
//! measure, with its bound; the exit code is 1 if one was missed. `--quick` shortens TTLs and
//! faults in proportion; NAME runs the scenarios whose name begins so.

mod crash;
mod failover;
mod fleet;
mod gateway;
mod load;
mod network;
mod report;
mod service;

#[path = "../support/fault_proxy.rs"]
mod fault_proxy;

/// Made from the greeter's proto; `tests/codegen.rs` keeps the two equal.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code)]
mod greeter {
    include!("../greeter/generated.rs");
}

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use report::Row;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Rows = Pin<Box<dyn Future<Output = Result<Vec<Row>, BoxError>>>>;

/// Durations in the proportions of the defaults.
#[derive(Clone, Copy)]
struct Scale {
    quick: bool,
}

// === impl Scale ===

impl Scale {
    /// The lease; everything long is a part of it.
    fn ttl(self) -> Duration {
        Duration::from_secs(if self.quick { 6 } else { 30 })
    }

    /// What takes `seconds` with the default TTL of 30 s.
    fn seconds(self, seconds: u32) -> Duration {
        self.ttl() * seconds / 30
    }
}

type Scenario = (&'static str, fn(Scale) -> Rows);

const SCENARIOS: [Scenario; 9] = [
    ("down-at-start", |scale| {
        Box::pin(gateway::down_at_start(scale))
    }),
    ("restart-alone", |scale| {
        Box::pin(gateway::restart_alone(scale))
    }),
    ("restart-200", |scale| Box::pin(fleet::restart(scale))),
    ("frozen", |scale| Box::pin(gateway::frozen(scale))),
    ("dropped", |scale| Box::pin(network::dropped(scale))),
    ("evicted", |scale| Box::pin(gateway::evicted(scale))),
    ("failover-refused", |scale| {
        Box::pin(failover::refused(scale))
    }),
    ("failover-silent", |scale| Box::pin(failover::silent(scale))),
    ("crash", |scale| Box::pin(crash::all(scale))),
];

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "replica") {
        service::replica(&arguments[1..]).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let given = arguments.len();
    arguments.retain(|argument| argument != "--quick");
    let scale = Scale {
        quick: arguments.len() < given,
    };
    let prefix = match arguments.as_slice() {
        [] => "",
        [prefix]
            if SCENARIOS
                .iter()
                .any(|(name, _)| name.starts_with(&**prefix)) =>
        {
            prefix
        }
        _ => {
            let names = SCENARIOS.map(|(name, _)| name).join(", ");
            return Err(format!("usage: faults [--quick] [NAME]; names: {names}").into());
        }
    };

    report::print_header();
    let mut missed = 0;
    for (name, run) in SCENARIOS {
        if !name.starts_with(prefix) {
            continue;
        }
        let rows = run(scale)
            .await
            .unwrap_or_else(|error| vec![Row::failed(name, &error.to_string())]);
        for row in rows {
            println!("{row}\n{}", row.result_line());
            missed += usize::from(!row.is_ok());
        }
    }
    println!("\n{missed} bounds missed");
    Ok(ExitCode::from(u8::from(missed > 0)))
}
