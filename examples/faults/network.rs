//! What happens between a service and its gateway: every packet is dropped.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tower_gwag::embedded::EmbeddedGateway;

use crate::fault_proxy::{FaultProxy, Mode};
use crate::report::Row;
use crate::service::{Served, options, replicas, until};
use crate::{BoxError, Scale};

pub(crate) async fn dropped(scale: Scale) -> Result<Vec<Row>, BoxError> {
    let gateway = EmbeddedGateway::builder().sweep_interval(scale.seconds(5));
    let gateway = gateway.start().await?;
    let network = FaultProxy::before(gateway.address()).await?;
    let options = options(network.address()).ttl(scale.ttl());
    let mut service = Served::start(options).await?;
    service.registered(1).await?;

    let cut = Instant::now();
    network.set(Mode::Drop).await;
    until(&gateway, "evicted", |now| replicas(now) == 0).await?;
    let silence = scale.seconds(40);
    sleep(silence.saturating_sub(cut.elapsed())).await;
    network.set(Mode::Pass).await;
    let heal = Instant::now();
    let back = service.registered(2).await?.saturating_duration_since(heal);
    // What was on its way when the network was cut may come late.
    sleep(scale.seconds(5)).await;
    let replicas = replicas(&gateway.view());
    service.stop().await?;
    Ok(vec![
        Row::time(
            "dropped-back",
            &format!(
                "silent for {} s and evicted, then from the heal",
                silence.as_secs()
            ),
            back,
            Duration::from_secs(3),
        ),
        Row::exactly(
            "dropped-replicas",
            "replicas listed after that",
            replicas,
            1,
        ),
    ])
}
