//! One row of the table: a gateway, a kind of call, an order of leaving.

use std::fmt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::BoxError;
use crate::load::{Caller, Load};

const REPLICAS: usize = 2;
/// For everything that should take milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Naive,
    StopFirst,
    Ours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    Stream,
    Http,
}

/// Which gateway is registered with, and called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateways {
    Standalone,
    /// Registered with the first node, called through the second.
    SecondNode,
    External,
}

pub(crate) struct Scenario {
    pub(crate) gateways: Gateways,
    pub(crate) kind: Kind,
    pub(crate) order: Order,
    pub(crate) delay: Duration,
    pub(crate) quick: bool,
}

pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) lost: usize,
    total: usize,
    first_loss: Option<String>,
    /// The longest time from the signal to the end of a process.
    exit: Duration,
    p99_before: Duration,
    p99_during: Duration,
}

/// The gateway of one run, and where to call it.
struct Running {
    register_at: String,
    call_at: String,
    http: String,
    _nodes: Vec<EmbeddedGateway>,
}

struct Replica {
    process: Child,
}

// === impl Order ===

impl Order {
    pub(crate) fn parse(text: &str) -> Result<Self, BoxError> {
        [Self::Naive, Self::StopFirst, Self::Ours]
            .into_iter()
            .find(|order| order.name() == text)
            .ok_or_else(|| format!("no order {text}").into())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::StopFirst => "stop-first",
            Self::Ours => "ours",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Real gateways fail streaming calls whose request has a `uint32`.
    pub(crate) fn all() -> &'static [Self] {
        if std::env::var_os("GWAG_GATEWAY").is_some() {
            &[Self::Unary, Self::Http]
        } else {
            &[Self::Unary, Self::Stream, Self::Http]
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, BoxError> {
        [Self::Unary, Self::Stream, Self::Http]
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("no kind {text}").into())
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Stream => "stream",
            Self::Http => "http",
        }
    }
}

// === impl Gateways ===

impl Gateways {
    pub(crate) fn all() -> Vec<Self> {
        if std::env::var_os("GWAG_GATEWAY").is_some() {
            vec![Self::External]
        } else {
            vec![Self::Standalone, Self::SecondNode]
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::SecondNode => "second-node",
            Self::External => "external",
        }
    }

    async fn start(self) -> Result<Running, BoxError> {
        if self == Self::External {
            let control_plane = std::env::var("GWAG_GATEWAY")?;
            let http = std::env::var("GWAG_GATEWAY_HTTP").unwrap_or_default();
            return Ok(Running {
                call_at: std::env::var("GWAG_GATEWAY_CALLED").unwrap_or(control_plane.clone()),
                register_at: control_plane,
                http: http.trim_end_matches('/').to_owned(),
                _nodes: Vec::new(),
            });
        }
        let profile = match self {
            Self::SecondNode => Profile::Clustered,
            _ => Profile::Standalone,
        };
        let first = EmbeddedGateway::builder().profile(profile).start().await?;
        let mut nodes = vec![first.clone()];
        if self == Self::SecondNode {
            let second = EmbeddedGateway::builder().profile(profile).join(&first);
            nodes.push(second.start().await?);
        }
        let called = nodes.last().unwrap_or(&first);
        Ok(Running {
            register_at: first.target(),
            call_at: called.target(),
            http: called.http_url(),
            _nodes: nodes,
        })
    }
}

// === impl Scenario ===

impl Scenario {
    pub(crate) async fn run(self) -> Result<Outcome, BoxError> {
        let gateway = self.gateways.start().await?;
        // Its own name in each run, so that nothing of an earlier one is in the way.
        let namespace =
            format!("rolling_{}_{}", std::process::id(), self.order.name()).replace('-', "_");
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            replicas.push(Replica::start(&gateway, &namespace, &self).await?);
        }
        // A standalone gateway has no HTTP ingress.
        let is_http_alone = self.kind == Kind::Http && self.gateways == Gateways::Standalone;
        let by_graphql = is_http_alone || std::env::var_os("GWAG_GRAPHQL").is_some();
        let mut caller = if by_graphql {
            Caller::graphql(self.kind, &gateway.http, &namespace, self.delay)?
        } else {
            let Running { call_at, http, .. } = &gateway;
            Caller::new(self.kind, call_at, http, &namespace, self.delay)?
        };
        answered(&mut caller).await?;

        let load = Load::start(&caller, self.callers());
        tokio::time::sleep(self.undisturbed()).await;
        let disturbed = Instant::now();
        let mut exit = Duration::ZERO;
        for round in 0..self.rounds() {
            for replica in &mut replicas {
                exit = exit.max(replica.stop().await?);
                *replica = Replica::start(&gateway, &namespace, &self).await?;
                // Routed a moment after it is registered, where there are several nodes.
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            if !self.quick {
                progress(&self, round + 1);
            }
        }
        let calls = load.finish().await;
        for replica in &mut replicas {
            replica.stop().await?;
        }
        Ok(Outcome {
            lost: calls.lost,
            total: calls.total(),
            p99_before: calls.p99(disturbed, true),
            p99_during: calls.p99(disturbed, false),
            first_loss: calls.first_loss,
            exit,
            scenario: self,
        })
    }

    fn callers(&self) -> usize {
        if self.quick { 20 } else { 50 }
    }

    fn rounds(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }

    fn undisturbed(&self) -> Duration {
        let calls = if self.quick { 6 } else { 20 };
        (self.delay * calls).clamp(Duration::from_millis(300), Duration::from_secs(4))
    }
}

/// The load would otherwise count the time before the first route.
async fn answered(caller: &mut Caller) -> Result<(), BoxError> {
    let start = Instant::now();
    while let Err(error) = caller.call().await {
        if start.elapsed() > DEADLINE {
            return Err(format!("no call is answered: {error}").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn progress(scenario: &Scenario, round: usize) {
    use std::io::{IsTerminal, Write};

    let mut out = std::io::stdout();
    if out.is_terminal() {
        let done = if round == scenario.rounds() {
            "\r\x1b[K"
        } else {
            ""
        };
        print!("\r  {round} rounds of restarts{done}");
        let _ = out.flush();
    }
}

// === impl Replica ===

impl Replica {
    /// Starts a process and waits until it says that it is registered.
    async fn start(
        gateway: &Running,
        namespace: &str,
        scenario: &Scenario,
    ) -> Result<Self, BoxError> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["replica", &gateway.register_at, namespace])
            .args([scenario.kind.name(), scenario.order.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process.stdout.take().ok_or("the process has no output")?;
        let mut lines = BufReader::new(output).lines();
        match timeout(DEADLINE, lines.next_line()).await?? {
            Some(line) if line == "registered" => Ok(Self { process }),
            other => Err(format!("the replica said {other:?}").into()),
        }
    }

    /// Ends its input, which is the signal, and waits for the end of the process.
    async fn stop(&mut self) -> Result<Duration, BoxError> {
        let signal = Instant::now();
        drop(self.process.stdin.take());
        let status = timeout(DEADLINE, self.process.wait()).await??;
        if !status.success() {
            return Err(format!("the replica ended with {status}").into());
        }
        Ok(signal.elapsed())
    }
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn result_line(&self) -> String {
        let scenario = &self.scenario;
        format!(
            "RESULT rolling order={} kind={} delay={} lost={} total={} gateway={} exit_ms={} \
             p99_before_ms={:.1} p99_during_ms={:.1}",
            scenario.order.name(),
            scenario.kind.name(),
            scenario.delay.as_millis(),
            self.lost,
            self.total,
            scenario.gateways.name(),
            self.exit.as_millis(),
            self.p99_before.as_secs_f64() * 1e3,
            self.p99_during.as_secs_f64() * 1e3,
        )
    }

    pub(crate) fn markdown(&self) -> String {
        let scenario = &self.scenario;
        format!(
            "| {} | {} | {} ms | {} | {} / {} | {:.0?} | {:.1?} → {:.1?} |",
            scenario.gateways.name(),
            scenario.kind.name(),
            scenario.delay.as_millis(),
            scenario.order.name(),
            self.lost,
            self.total,
            self.exit,
            self.p99_before,
            self.p99_during,
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scenario = &self.scenario;
        write!(
            f,
            "{:<12} {:<7} {:>4}ms {:<11} {:>5} / {:<7} {:>6.0?}   {:.1?} → {:.1?}",
            scenario.gateways.name(),
            scenario.kind.name(),
            scenario.delay.as_millis(),
            scenario.order.name(),
            self.lost,
            self.total,
            self.exit,
            self.p99_before,
            self.p99_during,
        )?;
        match &self.first_loss {
            Some(why) => write!(f, "\n             first loss: {}", why.trim()),
            None => Ok(()),
        }
    }
}
