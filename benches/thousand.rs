//! What do 1,000 registrations in one process cost?
//!
//! `cargo bench --bench thousand`: on one runtime, against an embedded gateway in a process of its
//! own; TCP connections to the gateway, tasks and resident memory of each registration, and the CPU
//! that all of them take while nothing happens but heartbeats. Linux only.

use std::error::Error;
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tower_gwag::{GwagRegistrationLayer, Options, Registration, Service};
use tower_gwag_gateway::EmbeddedGateway;

type BoxError = Box<dyn Error + Send + Sync>;

const REGISTRATIONS: usize = 1_000;
const PROTO: &str = include_str!("../examples/greeter/proto/greeter.proto");
/// Each looks around 1 s after it was registered; and the allocator comes to rest.
const SETTLE: Duration = Duration::from_secs(4);
/// A round of heartbeats takes 10 s.
const IDLE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(60);
/// Of `/proc/self/stat`; the same on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// The bench's own parts, chosen by the first argument.
const GATEWAY: &str = "gateway";

fn main() -> Result<(), BoxError> {
    if std::env::args().nth(1).as_deref() == Some(GATEWAY) {
        return be_the_gateway();
    }
    if !cfg!(target_os = "linux") {
        println!("skipped: it reads Linux's /proc");
        return Ok(());
    }
    let mut gateway = Command::new(std::env::current_exe()?)
        .arg(GATEWAY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut target = String::new();
    let output = gateway.stdout.take().ok_or("no output")?;
    std::io::BufReader::new(output).read_line(&mut target)?;
    let result = tokio::runtime::Runtime::new()?.block_on(measure(target.trim().parse()?));
    // The end of its input is its end.
    drop(gateway.stdin.take());
    gateway.wait()?;
    result
}

fn be_the_gateway() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Runtime::new()?;
    let gateway = runtime.block_on(EmbeddedGateway::builder().start())?;
    println!("{}", gateway.target());
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

async fn measure(gateway: SocketAddr) -> Result<(), BoxError> {
    // What is needed once, by whatever number, is not counted.
    let _first = register(gateway, 0).await?;
    tokio::time::sleep(SETTLE).await;
    let before = Usage::now(gateway)?;

    let start = Instant::now();
    let mut registrations = Vec::new();
    for number in 1..=REGISTRATIONS {
        registrations.push(start_one(gateway, number)?);
    }
    for registration in &registrations {
        tokio::time::timeout(DEADLINE, registration.registered()).await??;
    }
    let registered = start.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = Usage::now(gateway)?;
    let idle = Instant::now();
    tokio::time::sleep(IDLE).await;
    let later = Usage::now(gateway)?;
    let busy = (later.ticks - after.ticks) as f64 / TICKS_PER_SECOND;
    let cpu = 100.0 * busy / idle.elapsed().as_secs_f64();
    let lost = registrations.iter().filter(|it| !is_registered(it)).count();

    let each = |before: usize, after: usize| (after.saturating_sub(before)) / REGISTRATIONS;
    let tasks = after.tasks.saturating_sub(before.tasks) as f64 / REGISTRATIONS as f64;
    let bytes = each(before.resident, after.resident);
    let later_bytes = each(before.resident, later.resident);
    println!("{REGISTRATIONS} registrations, each with its hold     goal    Go client");
    println!("registered after     {:>10}", format!("{registered:.0?}"));
    println!(
        "connections          {:>10} {:>16} {:>12}",
        after.connections, 1, "1,000"
    );
    println!("tasks each           {tasks:>10.2} {:>16} {:>12}", "", "6");
    println!(
        "resident bytes each  {bytes:>10} {:>16} {:>12}",
        "< 8,192", "75,776"
    );
    println!("  after the idle time{later_bytes:>10}");
    println!(
        "idle CPU, of a core  {:>10} {:>16} {:>12}",
        format!("{cpu:.2} %"),
        "",
        "1.8 %"
    );
    println!("not registered       {lost:>10} {:>16}", 0);
    println!(
        "RESULT thousand connections={} tasks={tasks:.2} bytes={bytes} idle_bytes={later_bytes} \
         idle_cpu={cpu:.2}% registered_ms={} lost={lost}",
        after.connections,
        registered.as_millis()
    );
    for registration in &registrations {
        registration.leave_now().await;
    }
    Ok(())
}

fn start_one(gateway: SocketAddr, number: usize) -> Result<Registration, BoxError> {
    let options = Options::new(gateway).service(Service::proto(PROTO).namespace("greeter"));
    let registration = GwagRegistrationLayer::new(options).registration();
    // Nobody is called here, so that nobody needs to listen.
    registration.start(([127, 0, 0, 1], 20_000 + u16::try_from(number)?).into())?;
    Ok(registration)
}

async fn register(gateway: SocketAddr, number: usize) -> Result<Registration, BoxError> {
    let registration = start_one(gateway, number)?;
    tokio::time::timeout(DEADLINE, registration.registered()).await??;
    Ok(registration)
}

fn is_registered(registration: &Registration) -> bool {
    registration.status().borrow().is_registered()
}

/// What this process uses.
struct Usage {
    connections: usize,
    tasks: usize,
    /// In bytes.
    resident: usize,
    /// Of CPU time.
    ticks: u64,
}

// === impl Usage ===

impl Usage {
    fn now(gateway: SocketAddr) -> Result<Self, BoxError> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|rest| rest.split_whitespace().next());
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        // Behind the name, which may have spaces: user and system time are fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let times = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>);
        Ok(Self {
            connections: connections_to(gateway)?,
            tasks: Handle::current().metrics().num_alive_tasks(),
            resident: kibibytes.ok_or("no VmRSS")?.parse::<usize>()? * 1024,
            ticks: times.sum::<Result<u64, _>>()?,
        })
    }
}

/// Established ones, whoever holds them: nobody else knows this gateway.
fn connections_to(gateway: SocketAddr) -> Result<usize, BoxError> {
    /// As `/proc/net/tcp` has it.
    const ESTABLISHED: &str = "01";

    let port = format!(":{:04X}", gateway.port());
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let rows = table
        .lines()
        .skip(1)
        .map(|row| row.split_whitespace().collect::<Vec<_>>());
    let ours = rows.filter(|row| row.len() > 3 && row[2].ends_with(&port) && row[3] == ESTABLISHED);
    Ok(ours.count())
}
