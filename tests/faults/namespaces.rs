//! Packets are dropped for real: service and gateway in network namespaces of their own.
//!
//! The two run as processes: this test's own executable again, which the environment tells what to be.

use std::net::Ipv4Addr;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tower_gwag::Event;
use tower_gwag_gateway::EmbeddedGateway;

use crate::lone_options;
use crate::support::{services_of, tonic_greeter_on, within};

const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 203, 0, 2);
const PORT: u16 = 50_090;
/// In both namespaces.
const DEVICE: &str = "gwag0";
/// Nobody's: what is sent there is lost without a word.
const NOWHERE: &str = "02:00:00:00:00:99";

const ROLE: &str = "TOWER_GWAG_TEST_ROLE";
/// Before each line that is meant for the parent; libtest prints, too.
const MARK: &str = "told: ";

#[tokio::test]
async fn packets_that_are_dropped_cost_the_lease_and_it_comes_back_once() {
    let network = match Network::new().await {
        Ok(network) => network,
        Err(why) => {
            println!("SKIPPED: no network namespaces here: {why}");
            return;
        }
    };
    let mut gateway = Process::start(&network.gateway, "gateway");
    gateway.until("listed 0").await;
    let mut service = Process::start(&network.service, "service");
    service.until("registered 1").await;
    gateway.until("listed 1").await;

    network.cut().await;
    gateway.until("listed 0").await;
    network.heal().await;
    let healed = Instant::now();
    service.until("registered 2").await;
    let took = healed.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    gateway.until("listed 1").await;

    service.end();
    service.until("left clean: true").await;
    gateway.until("listed 0").await;
    gateway.end();
}

/// What the processes do; does nothing where it is run as a test.
#[tokio::test]
async fn in_a_namespace() {
    match std::env::var(ROLE).as_deref() {
        Ok("gateway") => be_the_gateway().await,
        Ok("service") => be_the_service().await,
        _ => {}
    }
}

async fn be_the_gateway() {
    let gateway = EmbeddedGateway::builder()
        .listen(format!("{GATEWAY}:{PORT}"))
        .sweep_interval(Duration::from_millis(100));
    let gateway = gateway.start().await.expect("started");
    let mut before = usize::MAX;
    let watched = gateway.wait_until(|now| {
        let count = services_of(&now.registrations).count();
        if count != before {
            println!("{MARK}listed {count}");
            before = count;
        }
        false
    });
    tokio::select! {
        () = watched => {}
        () = input_ended() => {}
    }
}

async fn be_the_service() {
    let mut count = 0;
    let count = move |event: &Event| {
        if let Event::Registered { .. } = event {
            count += 1;
            println!("{MARK}registered {count}");
        }
    };
    let count = std::sync::Mutex::new(count);
    let options = lone_options((GATEWAY, PORT).into())
        .ttl(Duration::from_secs(1))
        .on_event(move |event| count.lock().expect("no panic")(event));
    let server = tonic_greeter_on(&format!("{SERVICE}:0"), options).await;
    input_ended().await;
    let report = server.stop().await;
    println!("{MARK}left clean: {}", report.is_clean());
}

async fn input_ended() {
    // An error ends it, too.
    let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
}

/// Two namespaces and a cable between them.
struct Network {
    service: String,
    gateway: String,
}

// === impl Network ===

impl Network {
    async fn new() -> Result<Self, String> {
        let name = |end: &str| format!("gwag-{}-{end}", std::process::id());
        let network = Self {
            service: name("service"),
            gateway: name("gateway"),
        };
        let (service, gateway) = (&network.service, &network.gateway);
        ip(&format!("netns add {service}")).await?;
        ip(&format!("netns add {gateway}")).await?;
        let cable = format!("type veth peer name {DEVICE} netns {gateway}");
        ip(&format!("link add {DEVICE} netns {service} {cable}")).await?;
        for (end, address) in [(service, SERVICE), (gateway, GATEWAY)] {
            ip(&format!("-n {end} addr add {address}/24 dev {DEVICE}")).await?;
            ip(&format!("-n {end} link set lo up")).await?;
            ip(&format!("-n {end} link set {DEVICE} up")).await?;
        }
        Ok(network)
    }

    /// From now on every packet is lost, in both directions, without a notice to either side.
    async fn cut(&self) {
        for (end, peer) in [(&self.service, GATEWAY), (&self.gateway, SERVICE)] {
            let entry = format!("{peer} lladdr {NOWHERE} dev {DEVICE} nud permanent");
            let cut = ip(&format!("-n {end} neigh replace {entry}")).await;
            cut.expect("cut");
        }
    }

    async fn heal(&self) {
        for (end, peer) in [(&self.service, GATEWAY), (&self.gateway, SERVICE)] {
            let healed = ip(&format!("-n {end} neigh del {peer} dev {DEVICE}")).await;
            healed.expect("healed");
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for end in [&self.service, &self.gateway] {
            // It may not have come to be.
            let _ = std::process::Command::new("ip")
                .args(["netns", "del", end])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Runs `ip`, if this is a system that has it.
async fn ip(arguments: &str) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err("this is not Linux".into());
    }
    let run = Command::new("ip").args(arguments.split(' ')).output();
    let Output { status, stderr, .. } = run.await.map_err(|error| format!("ip: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&stderr);
    Err(format!("ip {arguments}: {}", why.trim()))
}

/// One of the two, in its namespace; killed when it is dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

// === impl Process ===

impl Process {
    fn start(namespace: &str, role: &str) -> Self {
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace])
            .arg(std::env::current_exe().expect("this executable"))
            .args(["--exact", "namespaces::in_a_namespace", "--nocapture"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("spawned");
        let output = child.stdout.take().expect("an output");
        let lines = BufReader::new(output).lines();
        Self { child, lines }
    }

    /// Reads on until it has printed this.
    async fn until(&mut self, what: &str) {
        let told = async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                if line.split_once(MARK).is_some_and(|(_, told)| told == what) {
                    return;
                }
            }
            panic!("it ended without telling: {what}");
        };
        within(what, told).await;
    }

    /// Ends its input, which is the signal.
    fn end(&mut self) {
        drop(self.child.stdin.take());
    }
}
