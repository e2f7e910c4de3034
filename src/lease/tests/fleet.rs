//! A fleet of services on tokio's paused clock, and a gateway that restarts.

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::*;
use super::sim::LEAVE;
use crate::control::hold_binding;
use crate::control::proto::RegisterRequest;
use crate::options::{Config, Options};
use tower_gwag_schema::service::Service;

const CLIENTS: usize = 10_000;
/// The time in which the fleet starts.
const ROLLOUT: Duration = Duration::from_secs(20);
const OUTAGE: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(30);
/// A real standalone gateway answers 27,400 calls a second on a machine of two cores.
const WORK: Duration = Duration::from_nanos(1_000_000_000 / 27_400);
/// One-way latency.
const NETWORK: Duration = Duration::from_micros(500);
/// When the gateway is asked how many replicas it lists, as in the task.
const LOOK_AFTER: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(100);

/// A gateway that handles one call after another.
struct FleetGateway {
    books: Mutex<Books>,
    /// Its current life; a restart begins a new one.
    life: watch::Sender<Option<u32>>,
}

#[derive(Default)]
struct Books {
    ids: u32,
    busy_until: Option<Instant>,
    /// When each Register arrived, and when each service was registered.
    registers: Vec<Instant>,
    registered: Vec<Instant>,
    beats: usize,
    attempts: usize,
}

// === impl FleetGateway ===

impl FleetGateway {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// The result of a call that is made now.
    async fn call(self: Arc<Self>, call: Call) -> Answer {
        let mut lives = self.life.subscribe();
        let Some(life) = *lives.borrow_and_update() else {
            self.books().attempts += 1;
            sleep(2 * NETWORK).await;
            return Answer::NotSent;
        };
        let answered = sleep_until(self.turn(&call));
        tokio::select! {
            _ = lives.changed() => return Answer::Broken,
            () = answered => {}
        }
        match call.verb {
            Verb::Register { .. } => {
                let mut books = self.books();
                if call.which == LeaseKind::Service {
                    books.registered.push(Instant::now());
                }
                books.ids += 1;
                let id = format!("{life}-{}", books.ids);
                Answer::Registered {
                    id,
                    ttl: TTL,
                    node: None,
                }
            }
            Verb::Heartbeat(entry) => {
                let (born, _) = entry.id.split_once('-').unwrap();
                let known = born == life.to_string();
                Answer::Beat { known }
            }
            Verb::Deregister(_) => Answer::Deregistered,
            // These leave no doubt: nothing is looked for.
            Verb::Recall => Answer::Recalled { found: 0 },
        }
    }

    /// When the answer is ready.
    fn turn(&self, call: &Call) -> Instant {
        let mut books = self.books();
        let arrival = Instant::now() + NETWORK;
        match call.verb {
            Verb::Register { .. } => books.registers.push(arrival),
            _ => books.beats += 1,
        }
        let end = books.busy_until.map_or(arrival, |busy| busy.max(arrival)) + WORK;
        books.busy_until = Some(end);
        end + NETWORK
    }

    /// Resolves when the current connection, or the next one, has ended.
    async fn disconnected(self: Arc<Self>) {
        let mut lives = self.life.subscribe();
        // Both fail only when `self` is gone.
        let _ = lives.wait_for(Option::is_some).await;
        let _ = lives.wait_for(Option::is_none).await;
    }
}

/// The task's loop with nothing but the machine.
async fn client(gateway: Arc<FleetGateway>, number: usize) {
    sleep(ROLLOUT.mul_f64(number as f64 / CLIENTS as f64)).await;
    let pace = Pace::new(None, number as u64);
    let mut machine = Machine::new(pace, 1, Hold::AtStart, 1, LEAVE, Instant::now().into_std());
    let mut call: Pin<Box<dyn Future<Output = Answer> + Send>> = Box::pin(pending());
    let mut look_at: Option<Instant> = None;
    let mut disconnected = Box::pin(Arc::clone(&gateway).disconnected());
    let mut event = Input::Woken;
    loop {
        for action in machine.on(event, Instant::now().into_std()) {
            match action {
                Action::Call(next) => call = Box::pin(Arc::clone(&gateway).call(next)),
                Action::Tell(Note::Registered) => look_at = Some(Instant::now() + LOOK_AFTER),
                Action::Tell(_) => {}
                other => panic!("{other:?} was not to be expected"),
            }
        }
        let wake_at = machine.wake_at().map(Instant::from_std);
        event = tokio::select! {
            answer = &mut call => {
                call = Box::pin(pending());
                Input::Answered(answer)
            }
            () = &mut disconnected => {
                disconnected = Box::pin(Arc::clone(&gateway).disconnected());
                Input::Disconnected
            }
            () = until(look_at) => {
                look_at = None;
                let replicas = u32::try_from(2 * gateway.books().registered.len()).unwrap();
                Input::Listed { replicas }
            }
            () = until(wake_at) => Input::Woken,
        };
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// The most moments within any window.
fn busiest(mut moments: Vec<Instant>) -> usize {
    moments.sort_unstable();
    let mut first = 0;
    let counts = moments.iter().enumerate().map(|(last, at)| {
        while *at - moments[first] >= WINDOW {
            first += 1;
        }
        last + 1 - first
    });
    counts.max().unwrap_or(0)
}

/// The size of the Register calls of one service and its hold.
fn bytes() -> usize {
    let proto = include_str!("../../../examples/greeter/proto/greeter.proto");
    let service = Service::proto(proto).namespace("greeter");
    let config = Config::of(&Options::new("gateway:50090").service(service)).unwrap();
    let address = "10.0.0.5:00050051";
    let of = |services| RegisterRequest {
        addr: address.to_owned(),
        services,
        ttl_seconds: config.ttl_seconds,
        instance_id: "greeter@greeter-6d4cf56db6-x2x7p:50051".to_owned(),
    };
    let service = of(config.bindings(address));
    service.encoded_len() + of(vec![hold_binding::binding(false)]).encoded_len()
}

#[tokio::test(start_paused = true)]
async fn fleet_of_10_000_after_a_gateway_restart() {
    let gateway = Arc::new(FleetGateway {
        books: Mutex::default(),
        life: watch::Sender::new(Some(1)),
    });
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(Arc::clone(&gateway), number));
    }
    sleep(ROLLOUT + 2 * TTL).await;
    assert_eq!(gateway.books().registered.len(), CLIENTS);
    *gateway.books() = Books::default();

    gateway.life.send_replace(None);
    sleep(OUTAGE).await;
    let up = Instant::now();
    gateway.life.send_replace(Some(2));
    sleep(Duration::from_secs(10)).await;

    let books = gateway.books();
    assert_eq!(books.registered.len(), CLIENTS, "once each");
    let back = *books.registered.iter().max().unwrap() - up;
    let registers = books.registers.len();
    let peak = busiest(books.registers.clone());
    let share = 100.0 * peak as f64 / registers as f64;
    println!(
        "{CLIENTS} clients, gateway away for {OUTAGE:?}: all back after {back:?}\n\
         Register calls {registers} (with holds), {} KiB; busiest {WINDOW:?}: {peak} ({share:.1} %)\n\
         connection attempts while it was away {} a second; heartbeats in the 10 s after {}",
        CLIENTS * bytes() / 1024,
        books.attempts / OUTAGE.as_secs() as usize,
        books.beats,
    );
    println!(
        "RESULT fleet clients={CLIENTS} back={back:.2?} registers={registers} peak={peak} \
         share={share:.1}%",
    );
    // 3 s, and one poll.
    assert!(back <= Duration::from_millis(3_500), "{back:?}");
    assert!(share <= 20.0, "{share} %");
}
