//! Many registrations, in one process or in many, whose gateway restarts: they do not come back at
//! one moment.
//!
//! Registrations of one process have the clock of the test, which advances only when they have done
//! what is due: the windows show the moments that they choose, however busy the machine is.

use std::collections::HashSet;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_gwag::{GwagRegistrationLayer, Options, Registration};

use crate::answers::{answered, good, granted, id, proto};
use crate::peer::{Handler, Peer};
use crate::support::{self, Clock, HOLD_NAMESPACE, eventually, greeter_service, within};

const PROCESSES: u16 = 50;
const REGISTRATIONS: u16 = 200;
const RUNS: usize = 10;
const WINDOW: Duration = Duration::from_millis(100);
/// From a registration to the look at how many there are, on a busy machine too.
const LOOKED: Duration = Duration::from_millis(2_500);
/// Above it a run is made again.
const MOST_STALLED: Duration = Duration::from_millis(40);
/// The gateway that a process of the herd registers with.
const GATEWAY: &str = "HERD_GATEWAY";
const PORT: &str = "HERD_PORT";

/// A gateway that knows who registered since it started.
#[derive(Default)]
struct Ledger {
    known: HashSet<Vec<u8>>,
    /// When the services were registered, not the holds.
    registered: Vec<Instant>,
}

/// What gateways make of the greeter's schema.
async fn hash_of_the_greeter() -> String {
    let gateway = support::gateway().await;
    let registration = start(&gateway.target(), 20_000);
    within("registered", registration.registered())
        .await
        .expect("registered");
    let services = gateway.services();
    let greeter = services.iter().find(|it| it.namespace == "greeter");
    let hash = greeter.expect("listed").hash.clone();
    registration.leave_now().await;
    hash
}

/// What a gateway knows, and what it answers.
async fn gateway() -> (Arc<Mutex<Ledger>>, Handler) {
    let hash = hash_of_the_greeter().await;
    let ledger = Arc::<Mutex<Ledger>>::default();
    let here = Arc::clone(&ledger);
    let handler: Handler = Arc::new(move |method, number, message| {
        let mut ledger = here.lock().unwrap_or_else(PoisonError::into_inner);
        match method {
            "Register" => {
                let request = proto::RegisterRequest::decode(message).expect("a request");
                if request.services[0].namespace != HOLD_NAMESPACE {
                    ledger.registered.push(Instant::now());
                }
                let id = id(number);
                ledger.known.insert(id.clone().into_bytes());
                granted(id, 30)
            }
            "Heartbeat" => {
                let request = proto::HeartbeatRequest::decode(message).expect("a request");
                let ok = ledger.known.contains(request.registration_id.as_bytes());
                answered(&proto::HeartbeatResponse { ok })
            }
            "ListServices" => {
                let of_service = ledger.registered.len();
                let service = |namespace: &str, replicas: usize| proto::ServiceInfo {
                    namespace: namespace.to_owned(),
                    version: "v1".to_owned(),
                    hash_hex: hash.clone(),
                    replica_count: u32::try_from(replicas).expect("few"),
                    ..Default::default()
                };
                let holds = ledger.known.len() - of_service;
                answered(&proto::ListServicesResponse {
                    services: vec![
                        service("greeter", of_service),
                        service(HOLD_NAMESPACE, holds),
                    ],
                    ..Default::default()
                })
            }
            _ => good(method, number),
        }
    });
    (ledger, handler)
}

struct Gateway {
    peer: Peer,
    ledger: Arc<Mutex<Ledger>>,
}

impl Gateway {
    /// On threads of its own.
    async fn start() -> Self {
        let (ledger, handler) = gateway().await;
        let peer = Peer::http(handler);
        peer.begin();
        Self { peer, ledger }
    }

    /// On this runtime.
    async fn start_here() -> Self {
        let (ledger, handler) = gateway().await;
        let peer = Peer::http_here(handler).await;
        Self { peer, ledger }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everybody is there, and has looked since how many there are.
    async fn until_all_are_known(&self, herd: u16) {
        let herd = usize::from(herd);
        eventually("all are registered", || {
            self.ledger().registered.len() == herd
        })
        .await;
        // Each looks a second after its registration, which nothing else shows than time.
        eventually("all have looked", || {
            let last = self.ledger().registered.last().copied();
            last.is_some_and(|last| last.elapsed() > LOOKED)
        })
        .await;
    }

    /// The most that came in one window, and how long it took until all were there.
    async fn restart(&self, herd: u16) -> (usize, Duration) {
        let begun = Instant::now();
        *self.ledger() = Ledger::default();
        self.peer.orders().restart();
        eventually("all are back", || {
            self.ledger().registered.len() >= usize::from(herd)
        })
        .await;
        let mut moments = self.ledger().registered.clone();
        moments.sort_unstable();
        let within_a_window = |from: &Instant| {
            let is_within = |it: &&Instant| **it >= *from && **it < *from + WINDOW;
            moments.iter().filter(is_within).count()
        };
        let most = moments.iter().map(within_a_window).max();
        (most.unwrap_or(0), begun.elapsed())
    }

    /// Whether more than a fifth come in one window.
    async fn exceeds(&self, herd: u16) -> bool {
        let (most, took) = self.restart(herd).await;
        println!("at most {most} of {herd} in {WINDOW:?}, all within {took:.1?}");
        most * 5 > usize::from(herd)
    }
}

/// How long a thread of this process waited for a processor.
struct Stalls {
    longest: Arc<Mutex<Duration>>,
}

impl Stalls {
    fn watch() -> Self {
        const TICK: Duration = Duration::from_millis(5);
        let longest = Arc::<Mutex<Duration>>::default();
        let seen = Arc::downgrade(&longest);
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(longest) = seen.upgrade() {
                let late = last.elapsed().saturating_sub(TICK);
                let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
                *longest = late.max(*longest);
                drop(longest);
                last = Instant::now();
                std::thread::sleep(TICK);
            }
        });
        Self { longest }
    }

    fn longest(&self) -> Duration {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(gateway: &str, port: u16) -> Registration {
    let options = Options::new(gateway.to_owned()).service(greeter_service());
    let registration = GwagRegistrationLayer::new(options).registration();
    // Nobody is called here, so that nobody needs to listen.
    let address = ([127, 0, 0, 1], port).into();
    registration.start(address).expect("good options");
    registration
}

/// A process of the herd, until its standard input ends.
#[tokio::test]
async fn one_of_the_herd() {
    let (Ok(gateway), Ok(port)) = (std::env::var(GATEWAY), std::env::var(PORT)) else {
        println!("skipped: it is for processes that other tests start");
        return;
    };
    let registration = start(&gateway, port.parse().expect("a port"));
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    let _ = end.await;
    registration.leave_now().await;
}

/// Ends with its standard input.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if !std::thread::panicking() {
            support::end_of(&mut self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fifty_processes_do_not_come_back_at_one_moment() {
    let gateway = Gateway::start().await;
    let process = |number: u16| {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command
            .args(["herd::one_of_the_herd", "--exact"])
            .env(GATEWAY, gateway.peer.address.to_string())
            .env(PORT, (20_000 + number).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        Process(command.spawn().expect("spawned"))
    };
    let mut processes: Vec<Process> = (0..PROCESSES).map(process).collect();
    let (mut counted, mut exceeded, mut stalled) = (0, 0, 0);
    while counted < RUNS {
        gateway.until_all_are_known(PROCESSES).await;
        let stalls = Stalls::watch();
        let exceeds = gateway.exceeds(PROCESSES).await;
        let longest = stalls.longest();
        println!("no processor for {longest:.1?}");
        // A run in which this process stood still says nothing: what was due meanwhile comes at once.
        if exceeds && longest > MOST_STALLED && stalled < RUNS {
            stalled += 1;
            continue;
        }
        counted += 1;
        exceeded += usize::from(exceeds);
    }
    println!("{exceeded} of {RUNS} runs exceed a fifth; {stalled} stalled");
    assert!(exceeded <= 1, "{exceeded} of {RUNS} runs");
    processes.iter_mut().for_each(|it| drop(it.0.stdin.take()));
}

#[tokio::test]
async fn registrations_of_one_process_do_not_come_back_at_one_moment() {
    let gateway = Gateway::start_here().await;
    let target = gateway.peer.address.to_string();
    let start = |number| start(&target, 20_000 + number);
    let herd: Vec<Registration> = (0..REGISTRATIONS).map(start).collect();
    let clock = Clock::start();
    let mut exceeded = 0;
    for _ in 0..RUNS {
        gateway.until_all_are_known(REGISTRATIONS).await;
        exceeded += usize::from(gateway.exceeds(REGISTRATIONS).await);
    }
    println!("{exceeded} of {RUNS} runs exceed a fifth");
    assert!(exceeded <= 1, "{exceeded} of {RUNS} runs");
    let leave = async |it: Registration| it.leave_now().await;
    let leaving: JoinSet<_> = herd.into_iter().map(leave).collect();
    within("left", leaving.join_all()).await;
    drop(clock);
}
