//! What happens between a service and its gateway: every packet is dropped.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;
use tower_gwag_gateway::EmbeddedGateway;

use crate::fault_proxy::{FaultProxy, Mode};
use crate::report::Row;
use crate::service::{Served, options, replicas, until};
use crate::{BoxError, Scale};

/// Networks that heal one after another: what is tried again and again is tried at a good or a
/// bad moment.
const HEALS: u32 = 8;
const BETWEEN_HEALS: Duration = Duration::from_millis(700);

pub(crate) async fn dropped(scale: Scale) -> Result<Vec<Row>, BoxError> {
    let silence = scale.seconds(40);
    let mut networks = JoinSet::new();
    for number in 0..HEALS {
        networks.spawn(drop_packets(scale, silence + BETWEEN_HEALS * number));
    }
    let mut backs = Vec::new();
    let mut most_replicas = 1;
    while let Some(done) = networks.join_next().await {
        let (back, replicas) = done??;
        backs.push(back);
        // More than one, or none, is worse than one.
        if replicas != 1 {
            most_replicas = replicas;
        }
    }
    backs.sort_unstable();
    Ok(vec![
        Row::time(
            "dropped-back",
            &format!(
                "silent for {} s and evicted, then from the heal; {HEALS} times, best {} ms",
                silence.as_secs(),
                backs[0].as_millis()
            ),
            backs.pop().unwrap_or_default(),
            Duration::from_secs(3),
        ),
        Row::exactly(
            "dropped-replicas",
            "replicas listed after that",
            most_replicas,
            1,
        ),
    ])
}

/// How long after the heal it was registered again, and how many replicas there were in the end.
async fn drop_packets(scale: Scale, silence: Duration) -> Result<(Duration, usize), BoxError> {
    let gateway = EmbeddedGateway::builder().sweep_interval(scale.seconds(5));
    let gateway = gateway.start().await?;
    let network = FaultProxy::before(gateway.address()).await?;
    let options = options(network.address()).ttl(scale.ttl());
    let mut service = Served::start(options).await?;
    service.registered(1).await?;

    let cut = Instant::now();
    network.set(Mode::Drop).await;
    until(&gateway, "evicted", |now| replicas(now) == 0).await?;
    sleep(silence.saturating_sub(cut.elapsed())).await;
    network.set(Mode::Pass).await;
    let heal = Instant::now();
    let back = service.registered(2).await?.saturating_duration_since(heal);
    // What was on its way when the network was cut may come late.
    sleep(scale.seconds(5)).await;
    let replicas = replicas(&gateway.view());
    service.stop().await?;
    Ok((back, replicas))
}
