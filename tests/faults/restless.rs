//! Peers that end connections, or freeze: they are called as often as is of use.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::Body;
use http::Response;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower_gwag::{GwagRegistrationLayer, Hold, Options, Registration, State};

use crate::answers::{Is, answering, good, never, proto};
use crate::peer::Peer;
use crate::support::{eventually, greeter_service, registered, until_state, within};

fn options(address: SocketAddr) -> Options {
    Options::new(address).seed(7).service(greeter_service())
}

fn start(options: Options, port: u16) -> Registration {
    let registration = GwagRegistrationLayer::new(options).registration();
    // Nobody is called here, so that nobody needs to listen.
    let address = ([127, 0, 0, 1], port).into();
    registration.start(address).expect("good options");
    registration
}

/// Two leases are beaten every 10 s: 2 beats, and some that the first ends bring about.
async fn assert_calm(peer: Peer) {
    let beats = Arc::new(AtomicU64::new(0));
    peer.begin();
    let registration = start(options(peer.address), 20_000);
    registered(&registration).await;
    let heard = Arc::clone(&beats);
    peer.listen(move |method| {
        heard.fetch_add(u64::from(method == "Heartbeat"), Ordering::Relaxed);
    });
    sleep(Duration::from_secs(12)).await;
    let (beats, calls) = (beats.load(Ordering::Relaxed), peer.calls());
    println!("{beats} beats and {calls} calls in 12 s");
    assert!((1..=8).contains(&beats), "{beats} beats");
    assert!(calls < 60, "{calls} calls");
    registration.leave().await;
}

#[tokio::test]
async fn a_peer_that_ends_each_connection_is_not_hammered() {
    assert_calm(answering(Is::Ttl(30)).ending()).await;
}

#[tokio::test]
async fn a_peer_that_says_go_away_each_time_is_not_hammered() {
    assert_calm(answering(Is::Ttl(30)).going_away()).await;
}

/// Registers of this port are not answered before it says so.
struct Gate {
    open: Mutex<bool>,
    opens: Condvar,
    waits: AtomicBool,
}

/// The connection lives on for the slow call, and takes no other one.
#[tokio::test]
async fn a_go_away_amid_a_slow_register_is_nobody_elses_concern() {
    const SLOW: &str = "slow";
    let gate = Arc::new(Gate {
        open: Mutex::new(false),
        opens: Condvar::new(),
        waits: AtomicBool::new(false),
    });
    let beats = Arc::new(AtomicU64::new(0));
    let (here, heard) = (Arc::clone(&gate), Arc::clone(&beats));
    let peer = Peer::http(Arc::new(move |method, number, message| {
        heard.fetch_add(u64::from(method == "Heartbeat"), Ordering::Relaxed);
        if method == "Register" {
            let request = proto::RegisterRequest::decode(message).expect("a request");
            if request.instance_id == SLOW {
                here.waits.store(true, Ordering::Relaxed);
                return later(Arc::clone(&here), number);
            }
        }
        good(method, number)
    }));
    peer.begin();
    let beating = options(peer.address)
        .hold(Hold::Off)
        .heartbeat_interval(Duration::from_millis(50));
    let quick = start(beating.clone(), 20_000);
    registered(&quick).await;
    let connections = peer.connections();
    peer.orders().goes_away_once.store(false, Ordering::Relaxed);
    let slow = start(beating.instance_id(SLOW), 20_001);
    eventually("the slow Register is there", || {
        gate.waits.load(Ordering::Relaxed)
    })
    .await;
    peer.orders().goes_away_once.store(true, Ordering::Relaxed);
    // Those of before may have gone over the old connection.
    eventually("a new connection", || peer.connections() > connections).await;
    let before = beats.load(Ordering::Relaxed);
    let mut status = quick.status();
    tokio::select! {
        biased;
        unreachable = status.wait_for(|now| now.state() == State::Unreachable) => {
            panic!("{}", *unreachable.expect("alive"));
        }
        () = eventually("beats", || beats.load(Ordering::Relaxed) >= before + 5) => {}
    }
    *gate.open.lock().expect("no panic") = true;
    gate.opens.notify_all();
    registered(&slow).await;
    quick.leave().await;
    slow.leave().await;
}

/// A Register that is cancelled may have been carried out: the limits of an `Endpoint` are not for it.
#[tokio::test]
async fn the_limits_of_an_endpoint_cancel_no_register() {
    let gate = Arc::new(Gate {
        open: Mutex::new(false),
        opens: Condvar::new(),
        waits: AtomicBool::new(false),
    });
    let registers = Arc::new(AtomicU64::new(0));
    let (here, counted) = (Arc::clone(&gate), Arc::clone(&registers));
    let peer = Peer::http(Arc::new(move |method, number, _| {
        if method == "Register" && counted.fetch_add(1, Ordering::Relaxed) == 0 {
            here.waits.store(true, Ordering::Relaxed);
            return later(Arc::clone(&here), number);
        }
        good(method, number)
    }));
    peer.begin();
    let limited = tonic::transport::Endpoint::from_shared(format!("http://{}", peer.address))
        .expect("a URL")
        .timeout(Duration::from_millis(50))
        .concurrency_limit(1)
        .rate_limit(1, Duration::from_secs(600));
    let options = Options::new(limited).seed(7).service(greeter_service());
    let registration = start(options.hold(Hold::Off), 20_000);
    eventually("the Register is there", || {
        gate.waits.load(Ordering::Relaxed)
    })
    .await;
    // Twenty times what the endpoint allows.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(registers.load(Ordering::Relaxed), 1);
    *gate.open.lock().expect("no panic") = true;
    gate.opens.notify_all();
    registered(&registration).await;
    registration.leave().await;
    assert_eq!(registers.load(Ordering::Relaxed), 1);
}

/// So many calls that may take long are on one connection at once.
const ROOM: u16 = 64;

/// Those that wait for room do not wait for it on a connection that takes no more calls.
#[tokio::test]
async fn who_waits_for_room_goes_over_the_next_connection_after_a_go_away() {
    const SLOW: &str = "slow";
    let waiting = Arc::new(AtomicU64::new(0));
    let (beats, waits) = (Arc::new(AtomicU64::new(0)), Arc::clone(&waiting));
    let heard = Arc::clone(&beats);
    let peer = Peer::http(Arc::new(move |method, number, message| {
        heard.fetch_add(u64::from(method == "Heartbeat"), Ordering::Relaxed);
        if method == "Register" {
            let request = proto::RegisterRequest::decode(message).expect("a request");
            if request.instance_id == SLOW {
                waits.fetch_add(1, Ordering::Relaxed);
                return never();
            }
        }
        good(method, number)
    }));
    peer.begin();
    let options = options(peer.address).hold(Hold::Off);
    // Its beats have room of their own.
    let beating = start(
        options
            .clone()
            .heartbeat_interval(Duration::from_millis(50)),
        20_000,
    );
    registered(&beating).await;
    let slow = options.clone().instance_id(SLOW);
    let crowd: Vec<Registration> = (1..=ROOM)
        .map(|number| start(slow.clone(), 20_000 + number))
        .collect();
    eventually("there is no room", || {
        waiting.load(Ordering::Relaxed) >= ROOM.into()
    })
    .await;
    let queued = start(options, 21_000);
    // It has asked once other calls of this runtime have gone to and fro.
    let heard = beats.load(Ordering::Relaxed);
    eventually("three more beats", || {
        beats.load(Ordering::Relaxed) >= heard + 3
    })
    .await;
    assert!(!queued.status().borrow().is_registered());
    let begun = Instant::now();
    peer.orders().goes_away_once.store(true, Ordering::Relaxed);
    registered(&queued).await;
    println!("registered {:.1?} after GOAWAY", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(4));
    beating.leave_now().await;
    queued.leave_now().await;
    let leave = async |it: Registration| it.leave_now().await;
    let leaving: JoinSet<_> = crowd.into_iter().map(leave).collect();
    within("left", leaving.join_all()).await;
}

/// An answer that comes when the gate opens.
fn later(gate: Arc<Gate>, number: u64) -> Response<Body> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let open = gate.open.lock().expect("no panic");
        let opened = gate.opens.wait_while(open, |open| !*open);
        drop(opened.expect("no panic"));
        let _ = answer.send(good("Register", number));
    });
    crate::answers::delayed(answered)
}

/// One probe for all.
#[tokio::test]
async fn a_frozen_gateway_is_probed_once_for_all_registrations() {
    const CROWD: u16 = 200;
    let frozen = Arc::new(AtomicBool::new(false));
    let freezes = Arc::clone(&frozen);
    let peer = Peer::http(Arc::new(move |method, number, _| {
        match freezes.load(Ordering::Relaxed) {
            true => never(),
            false => good(method, number),
        }
    }));
    peer.begin();
    let options = options(peer.address)
        .hold(Hold::Off)
        .ttl(Duration::from_secs(3))
        .heartbeat_interval(Duration::from_millis(200));
    let crowd: Vec<Registration> = (0..CROWD)
        .map(|number| start(options.clone(), 20_000 + number))
        .collect();
    for registration in &crowd {
        registered(registration).await;
    }
    let before = peer.connections();
    frozen.store(true, Ordering::Relaxed);
    until_state(&crowd[0], State::Unreachable).await;
    let begun = Instant::now();
    // Several rounds of probes, which take some 2 s each.
    sleep(Duration::from_secs(8)).await;
    let probes = peer.connections() - before;
    println!("{probes} connections in {:.1?}", begun.elapsed());
    assert!((1..=12).contains(&probes), "{probes}");
    frozen.store(false, Ordering::Relaxed);
    peer.orders().restart();
    let leave = async |it: Registration| it.leave_now().await;
    let leaving: JoinSet<_> = crowd.into_iter().map(leave).collect();
    within("left", leaving.join_all()).await;
}
