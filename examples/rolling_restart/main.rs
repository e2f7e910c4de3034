//! Do calls get lost when replicas are restarted one after another?
//!
//! `cargo run --release --example rolling_restart [-- --quick]` starts two replicas as processes
//! of their own, calls them through a gateway without pause, restarts them one after another, and
//! counts the calls that failed, for three orders of leaving:
//!
//! - `naive`: deregister, then stop (what most clients do);
//! - `stop-first`: stop, then deregister;
//! - `ours`: what `registration.shutdown(..)` does.
//!
//! The gateway is embedded, standalone and as a clustered pair whose second node is called; or the
//! one that `GWAG_GATEWAY` and `GWAG_GATEWAY_HTTP` name. Where the calls are to go through another
//! node of its cluster, `GWAG_GATEWAY_CALLED` is that one's control plane, and `GWAG_GATEWAY_HTTP`
//! its HTTP; with `GWAG_GRAPHQL=1` all calls are GraphQL, because a standalone gateway has no HTTP
//! ingress. `--ours` leaves the other orders out. The exit code is 1 if `ours` lost a call.

mod load;
mod replica;
mod scenario;

/// Made from the greeter's proto; `tests/codegen.rs` keeps the two equal.
#[allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code)]
mod greeter {
    include!("../greeter/generated.rs");
}

use std::process::ExitCode;
use std::time::Duration;

use scenario::{Gateways, Kind, Order, Outcome, Scenario};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "replica") {
        replica::run(&arguments[1..]).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let known = |flag: &String| flag == "--quick" || flag == "--ours";
    if !arguments.iter().all(known) {
        return Err("usage: rolling_restart [--quick] [--ours]".into());
    }
    let has = |flag: &str| arguments.iter().any(|it| it == flag);
    let orders: &[Order] = if has("--ours") {
        &[Order::Ours]
    } else {
        &[Order::Naive, Order::StopFirst, Order::Ours]
    };

    let outcomes = run_all(has("--quick"), orders).await?;
    print_markdown(&outcomes);
    let lost = outcomes
        .iter()
        .filter(|outcome| outcome.scenario.order == Order::Ours)
        .map(|outcome| outcome.lost)
        .sum::<usize>();
    println!(
        "\nours lost {lost} call{}",
        if lost == 1 { "" } else { "s" }
    );
    Ok(ExitCode::from(u8::from(lost > 0)))
}

async fn run_all(quick: bool, orders: &[Order]) -> Result<Vec<Outcome>, BoxError> {
    let delays: &[u64] = if quick { &[50] } else { &[5, 50, 500] };
    let mut outcomes = Vec::new();
    println!(
        "gateway      kind    call   order       lost / total   exit      p99 before → during"
    );
    for gateways in Gateways::all() {
        for kind in Kind::all() {
            for delay in delays {
                for order in orders {
                    let scenario = Scenario {
                        gateways,
                        kind: *kind,
                        order: *order,
                        delay: Duration::from_millis(*delay),
                        quick,
                    };
                    let outcome = scenario.run().await?;
                    println!("{outcome}");
                    println!("{}", outcome.result_line());
                    outcomes.push(outcome);
                }
            }
        }
    }
    Ok(outcomes)
}

fn print_markdown(outcomes: &[Outcome]) {
    println!(
        "\n| gateway | kind | call | order | lost / total | signal to exit | p99 before → during |"
    );
    println!("|---|---|---|---|---|---|---|");
    for outcome in outcomes {
        println!("{}", outcome.markdown());
    }
}
