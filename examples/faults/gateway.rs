//! What happens to a gateway: it is not there yet, restarts, freezes, or forgets.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tower_gwag::{Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

use crate::report::Row;
use crate::service::{DEADLINE, NAMESPACE, PROTO, Served, options, replicas, until};
use crate::{BoxError, Scale};

/// A gateway is down for so long when it restarts.
pub(crate) const RESTART: Duration = Duration::from_secs(1);

pub(crate) async fn down_at_start(_: Scale) -> Result<Vec<Row>, BoxError> {
    let gateway = EmbeddedGateway::builder().start().await?;
    gateway.kill().await;
    let mut service = Served::start(options(gateway.target())).await?;
    sleep(Duration::from_secs(5)).await;
    let up = Instant::now();
    gateway.revive().await?;
    let took = service.registered(1).await? - up;
    service.stop().await?;
    let what = "the gateway came up 5 s late, then until registered";
    Ok(vec![Row::time(
        "down-at-start",
        what,
        took,
        Duration::from_secs(1),
    )])
}

pub(crate) async fn restart_alone(_: Scale) -> Result<Vec<Row>, BoxError> {
    let gateway = EmbeddedGateway::builder().start().await?;
    let options = options(gateway.target()).ttl(Duration::from_secs(30));
    let mut service = Served::start(options).await?;
    service.registered(1).await?;
    gateway.kill().await;
    sleep(RESTART).await;
    let up = Instant::now();
    gateway.revive().await?;
    let took = service.registered(2).await? - up;
    service.stop().await?;
    let what = "TTL 30 s, restarted, then until registered again";
    Ok(vec![Row::time(
        "restart-alone",
        what,
        took,
        Duration::from_secs(1),
    )])
}

pub(crate) async fn frozen(scale: Scale) -> Result<Vec<Row>, BoxError> {
    /// Of the registration that leaves meanwhile.
    const BUDGET: Duration = Duration::from_secs(3);

    let gateway = EmbeddedGateway::builder().start().await?;
    let mut service = Served::start(options(gateway.target()).ttl(scale.ttl())).await?;
    service.registered(1).await?;
    let leaver = tower_gwag::Options::new(gateway.target())
        .service(Service::proto(PROTO).namespace("leaver"))
        .drain_timeout(BUDGET / 2)
        .leave_timeout(BUDGET);
    let mut leaver = Served::start(leaver).await?;
    leaver.registered(1).await?;
    let registers = gateway.rpc_counts().of(Rpc::Register).received;

    gateway.freeze();
    let frozen_at = Instant::now();
    let report = timeout(DEADLINE, leaver.stop()).await??;
    let leaving = frozen_at.elapsed();
    let freeze = scale.seconds(20);
    sleep(freeze.saturating_sub(leaving)).await;
    let beats = gateway.rpc_counts().of(Rpc::Heartbeat).answered;
    let thaw = Instant::now();
    gateway.thaw();
    let mut status = service.registration.status();
    let beaten =
        |now: &tower_gwag_gateway::GatewayView| now.rpc_counts.of(Rpc::Heartbeat).answered > beats;
    until(&gateway, "a beat after the thaw", beaten).await?;
    timeout(DEADLINE, status.wait_for(tower_gwag::Status::is_registered)).await??;
    let back = thaw.elapsed();
    let gone = |now: &tower_gwag_gateway::GatewayView| now.service("leaver", "v1").is_none();
    until(&gateway, "the entry of the one that left is gone", gone).await?;
    let replicas = replicas(&gateway.view());
    let registers = gateway.rpc_counts().of(Rpc::Register).received - registers;
    service.stop().await?;

    let second = usize::try_from(registers)?;
    let freeze = freeze.as_secs();
    Ok(vec![
        Row::count(
            "frozen-registers",
            &format!("frozen {freeze} s, second registrations"),
            second,
            0,
        ),
        Row::time(
            "frozen-back",
            "from the thaw to an answered beat and the status Registered",
            back,
            Duration::from_secs(2),
        ),
        Row::exactly(
            "frozen-replicas",
            "replicas listed after the thaw",
            replicas,
            1,
        ),
        Row::time(
            "frozen-leave",
            &format!("leaving meanwhile: {:?}", report.outcome()),
            leaving,
            BUDGET,
        ),
    ])
}

pub(crate) async fn evicted(scale: Scale) -> Result<Vec<Row>, BoxError> {
    let second = Duration::from_secs(1);
    let beat = second / 2;
    let often = evict(|options| options.heartbeat_interval(beat)).await?;
    let usual = evict(|options| options.ttl(scale.ttl())).await?;
    Ok(vec![
        Row::time(
            "evicted",
            "beats every 500 ms, from the eviction to registered again",
            often.from_eviction,
            second,
        ),
        Row::time(
            "evicted-usual-beat",
            &format!(
                "from the beat that tells; it came {:.1} s after the eviction",
                (usual.from_eviction - usual.from_beat).as_secs_f64()
            ),
            usual.from_beat,
            second,
        ),
    ])
}

struct Evicted {
    from_eviction: Duration,
    /// From the beat that was answered with "not known".
    from_beat: Duration,
}

async fn evict(
    adjust: impl FnOnce(tower_gwag::Options) -> tower_gwag::Options,
) -> Result<Evicted, BoxError> {
    let gateway = EmbeddedGateway::builder().start().await?;
    let mut service = Served::start(adjust(options(gateway.target()))).await?;
    service.registered(1).await?;
    let name = format!("{NAMESPACE}/v1");
    let entries = gateway.registrations();
    let entry = entries.iter().find(|it| it.namespaces.contains(&name));
    let id = &entry.ok_or("the gateway lists no entry")?.id;
    let mut told = service.registration.status();
    // The event comes before the status.
    timeout(DEADLINE, told.wait_for(tower_gwag::Status::is_registered)).await??;
    let start = Instant::now();
    if !gateway.evict(id) {
        return Err("the entry was gone".into());
    }
    let forgotten = told.wait_for(|now| now.state() == State::Registering);
    let told = timeout(DEADLINE, forgotten).await??.since().into_std();
    let back = service.registered(2).await?;
    service.stop().await?;
    Ok(Evicted {
        from_eviction: back - start,
        from_beat: back - told,
    })
}
