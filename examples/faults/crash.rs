//! A service process is killed under load, and started again with the same identity.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Profile};

use crate::load::{Call, Load};
use crate::report::Row;
use crate::service::{DEADLINE, NAMESPACE, until};
use crate::{BoxError, Scale};

const IDENTITY: &str = "greeter-0";

pub(crate) async fn all(scale: Scale) -> Result<Vec<Row>, BoxError> {
    let mut rows = Vec::new();
    for (profile, profile_name) in [
        (Profile::Standalone, "standalone"),
        (Profile::Clustered, "clustered"),
    ] {
        for (same_port, port_name) in [(true, "same-port"), (false, "new-port")] {
            let name = format!("crash-{profile_name}-{port_name}");
            rows.extend(crash(scale, profile, same_port, &name).await?);
        }
    }
    Ok(rows)
}

async fn crash(
    scale: Scale,
    profile: Profile,
    same_port: bool,
    name: &str,
) -> Result<Vec<Row>, BoxError> {
    let gateway = EmbeddedGateway::builder().profile(profile).start().await?;
    let mut former = Replica::start(&gateway, 0)?;
    let port = former.port().await?;
    until(&gateway, "routed", |now| {
        only_replica_but(now, "").is_some()
    })
    .await?;
    let former_id = only_replica_but(&gateway.view(), "").unwrap_or_default();
    let load = Load::start(&gateway.target())?;
    sleep(Duration::from_millis(500)).await;

    former.process.kill().await?;
    let down = scale.seconds(10);
    sleep(down).await;
    let start = Instant::now();
    let mut replica = Replica::start(&gateway, if same_port { port } else { 0 })?;
    let listed = |now: &GatewayView| only_replica_but(now, &former_id).is_some();
    until(&gateway, "one replica", listed).await?;
    let listed = Instant::now();
    sleep(scale.seconds(15)).await;
    let calls = load.finish().await;
    replica.stop().await?;

    let after: Vec<&Call> = calls.iter().filter(|it| it.began >= listed).collect();
    let failures: Vec<&String> = after.iter().filter_map(|it| it.failure.as_ref()).collect();
    let total = after.len();
    if total == failures.len() {
        return Err(format!("{name}: no call succeeded after the new start").into());
    }
    let first = failures.first().map(|it| format!("; first: {it}"));
    Ok(vec![
        Row::time(
            &format!("{name}-listed"),
            &format!(
                "killed, {} s down, from the new start to one replica",
                down.as_secs()
            ),
            listed - start,
            Duration::from_millis(500),
        ),
        Row::count(
            &format!("{name}-lost"),
            &format!(
                "calls lost after that, of {total}{}",
                first.unwrap_or_default()
            ),
            failures.len(),
            4,
        ),
    ])
}

/// The id of the only replica, if it is not `former` and calls are routed to it.
fn only_replica_but(now: &GatewayView, former: &str) -> Option<String> {
    let service = now.service(NAMESPACE, "v1").filter(|it| it.routed)?;
    let [address] = service.replicas.as_slice() else {
        return None;
    };
    let name = format!("{NAMESPACE}/v1");
    let entry = now
        .registrations
        .iter()
        .find(|it| it.addr == *address && it.namespaces.contains(&name))?;
    (entry.id != former).then(|| entry.id.clone())
}

struct Replica {
    process: Child,
}

// === impl Replica ===

impl Replica {
    /// A process of its own; port 0 is any.
    fn start(gateway: &EmbeddedGateway, port: u16) -> Result<Self, BoxError> {
        let process = Command::new(std::env::current_exe()?)
            .args(["replica", &gateway.target(), IDENTITY, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { process })
    }

    /// What it says that it listens on.
    async fn port(&mut self) -> Result<u16, BoxError> {
        let output = self.process.stdout.take().ok_or("its output was taken")?;
        let mut lines = BufReader::new(output).lines();
        let line = timeout(DEADLINE, lines.next_line()).await??;
        Ok(line.ok_or("the replica said nothing")?.parse()?)
    }

    /// Ends its input, which is the signal.
    async fn stop(&mut self) -> Result<(), BoxError> {
        drop(self.process.stdin.take());
        let status = timeout(DEADLINE, self.process.wait()).await??;
        if !status.success() {
            return Err(format!("the replica ended with {status}").into());
        }
        Ok(())
    }
}
