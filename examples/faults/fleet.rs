//! Many services, one gateway that restarts.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::Endpoint;
use tower_gwag::{GwagRegistrationLayer, Registration, State};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

use crate::gateway::RESTART;
use crate::report::Row;
use crate::service::{DEADLINE, Times, options, replicas};
use crate::{BoxError, Scale};

const CLIENTS: usize = 200;
const WINDOW: Duration = Duration::from_millis(100);
/// Between two readings of the gateway's counter.
const SAMPLE: Duration = Duration::from_millis(5);

struct Client {
    registration: Registration,
    registered: Times,
}

/// In one process and on one runtime, but each with a connection of its own, as from processes of
/// their own: an endpoint of its own is not shared.
pub(crate) async fn restart(_: Scale) -> Result<Vec<Row>, BoxError> {
    let gateway = EmbeddedGateway::builder().start().await?;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let endpoint = Endpoint::from_shared(format!("http://{}", gateway.target()))?;
        let (options, registered) = Times::of(options(endpoint).ttl(Duration::from_secs(30)));
        let registration = GwagRegistrationLayer::new(options).registration();
        // Nobody is called here, so that nobody needs to listen.
        registration.start(([127, 0, 0, 1], 20_000 + u16::try_from(number)?).into())?;
        clients.push(Client {
            registration,
            registered,
        });
    }
    for client in &mut clients {
        client.registered.nth(1).await?;
    }
    // Each has looked by then how many there are.
    for client in &clients {
        let mut status = client.registration.status();
        let listed = status.wait_for(|now| matches!(now.state(), State::Listed | State::Routed));
        timeout(DEADLINE, listed).await??;
    }

    let before = registers(&gateway);
    gateway.kill().await;
    sleep(RESTART).await;
    let up = Instant::now();
    gateway.revive().await?;
    let samples = timeout(DEADLINE, sample(&gateway, before)).await?;
    let mut last = Duration::ZERO;
    for client in &mut clients {
        last = last.max(
            client
                .registered
                .nth(2)
                .await?
                .saturating_duration_since(up),
        );
    }
    let all = registers(&gateway) - before;
    let replicas = replicas(&gateway.view());
    let leaving = clients.iter().map(|client| client.registration.leave_now());
    for left in leaving {
        left.await;
    }
    let peak = busiest(&samples);
    Ok(vec![
        Row::time(
            "restart-200-back",
            &format!("{CLIENTS} clients, {CLIENTS} connections, until the last is back"),
            last,
            Duration::from_secs(3),
        ),
        Row::share(
            "restart-200-peak",
            &format!("Registers in the busiest 100 ms: {peak} of {all} (with holds)"),
            100.0 * peak as f64 / all as f64,
            20.0,
        ),
        Row::exactly("restart-200-replicas", "replicas listed", replicas, CLIENTS),
    ])
}

fn registers(gateway: &EmbeddedGateway) -> u64 {
    gateway.rpc_counts().of(Rpc::Register).received
}

/// Reads the counter until all are back: hold and service of each.
async fn sample(gateway: &EmbeddedGateway, before: u64) -> Vec<(Instant, u64)> {
    let mut samples = vec![(Instant::now(), before)];
    let mut ticks = interval(SAMPLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while replicas(&gateway.view()) < CLIENTS {
        ticks.tick().await;
        samples.push((Instant::now(), registers(gateway)));
    }
    samples.push((Instant::now(), registers(gateway)));
    samples
}

/// The most calls between two readings that are at most the window, and one reading, apart.
fn busiest(samples: &[(Instant, u64)]) -> u64 {
    let mut most = 0;
    let mut first = 0;
    for (at, count) in samples {
        while *at - samples[first].0 > WINDOW + SAMPLE {
            first += 1;
        }
        most = most.max(count - samples[first].1);
    }
    most
}
