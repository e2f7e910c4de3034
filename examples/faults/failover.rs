//! Two gateways that know nothing of each other: the first dies.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Rpc};

use crate::report::Row;
use crate::service::{Served, options, replicas, until};
use crate::{BoxError, Scale};

pub(crate) async fn refused(_: Scale) -> Result<Vec<Row>, BoxError> {
    let [first, second] = two().await?;
    let mut service = Served::start(options([first.target(), second.target()])).await?;
    service.registered(1).await?;
    let death = Instant::now();
    first.kill().await;
    let took = service.registered(2).await? - death;
    let replicas = replicas(&second.view());
    service.stop().await?;
    Ok(vec![
        Row::time(
            "failover-refused",
            "the first gateway was killed, until registered on the second",
            took,
            Duration::from_secs(1),
        ),
        Row::exactly(
            "failover-refused-replicas",
            "replicas on the second",
            replicas,
            1,
        ),
    ])
}

pub(crate) async fn silent(scale: Scale) -> Result<Vec<Row>, BoxError> {
    let [first, second] = two().await?;
    let options = options([first.target(), second.target()]).ttl(scale.ttl());
    let mut service = Served::start(options).await?;
    service.registered(1).await?;
    // Both leases were just beaten, so that the silence begins now.
    let beaten = |now: &GatewayView| now.rpc_counts.of(Rpc::Heartbeat).answered >= 2;
    until(&first, "beaten", beaten).await?;
    let silence = Instant::now();
    first.freeze();
    let registered = service.registered(2).await?;
    let mark = scale.ttl() * 2 / 3;
    let took = (registered - silence).saturating_sub(mark);
    let on_second = replicas(&second.view());
    sleep(scale.seconds(5)).await;
    first.thaw();
    let gone = until(&first, "the old entry is gone", |now| replicas(now) == 0).await;
    let on_first = replicas(&first.view());
    service.stop().await?;
    gone?;
    Ok(vec![
        Row::time(
            "failover-silent",
            &format!(
                "the first fell silent; from the 2/3-TTL mark, {} s",
                mark.as_secs()
            ),
            took,
            Duration::from_secs(3),
        ),
        Row::exactly(
            "failover-silent-replicas",
            "replicas on the second",
            on_second,
            1,
        ),
        Row::exactly(
            "failover-silent-old",
            "replicas on the first, thawed",
            on_first,
            0,
        ),
    ])
}

async fn two() -> Result<[EmbeddedGateway; 2], BoxError> {
    let first = EmbeddedGateway::builder().start().await?;
    let second = EmbeddedGateway::builder().start().await?;
    Ok([first, second])
}
