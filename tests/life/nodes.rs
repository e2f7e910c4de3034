//! One gateway name with several nodes behind it: ids live on the node that gave them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use tower_gwag::{
    Cleanness, GatewayAddress, GwagRegistrationLayer, Hold, Options, Registration, Service, State,
    Status,
};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

/// Far above what anything takes here, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(20);
/// Nothing is evicted within a test: what goes was deregistered.
const SWEEP: Duration = Duration::from_secs(600);

async fn node() -> EmbeddedGateway {
    let builder = EmbeddedGateway::builder().sweep_interval(SWEEP);
    builder.start().await.expect("the embedded gateway starts")
}

/// A name whose addresses the test says.
#[derive(Clone)]
struct Name(&'static str, Arc<Mutex<Vec<SocketAddr>>>);

impl Name {
    fn new(name: &'static str, addresses: &[SocketAddr]) -> Self {
        Self(name, Arc::new(Mutex::new(addresses.to_vec())))
    }

    fn set(&self, addresses: &[SocketAddr]) {
        *self.1.lock().expect("nobody panics") = addresses.to_vec();
    }
}

fn options(name: &Name) -> Options {
    let proto = include_str!("../../examples/greeter/proto/greeter.proto");
    let addresses = name.1.clone();
    let gateway = GatewayAddress::from(format!("{}:50090", name.0))
        .resolved_by(move || addresses.lock().expect("nobody panics").clone());
    Options::new(gateway)
        .seed(7)
        .hold(Hold::Off)
        .heartbeat_interval(Duration::from_millis(50))
        .service(Service::proto(proto).namespace("greeter"))
}

fn start(options: Options) -> Registration {
    let registration = GwagRegistrationLayer::new(options).registration();
    // Nobody is called here, so that nobody needs to listen.
    let address = ([127, 0, 0, 1], 20_000).into();
    registration.start(address).expect("good options");
    registration
}

/// It knows of its registration, not only the gateway.
async fn registered(registration: &Registration) {
    let registered = timeout(DEADLINE, registration.registered()).await;
    assert!(matches!(registered, Ok(Ok(()))), "not registered");
}

async fn until_listed(node: &EmbeddedGateway, count: usize) {
    let listed = node.wait_until(|now| now.registrations.len() == count);
    let listed = timeout(DEADLINE, listed).await;
    let now = node.registrations();
    assert!(listed.is_ok(), "not {count} registrations: {now:?}");
}

fn deregistered(node: &EmbeddedGateway) -> u64 {
    node.rpc_counts().of(Rpc::Deregister).answered
}

/// A way to a node that can be cut, or closed.
struct Way {
    address: SocketAddr,
    /// Ends the connections of now.
    cut: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Way {
    async fn to(node: &EmbeddedGateway, from: SocketAddr) -> Self {
        let listener = TcpListener::bind(from).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let cut = watch::Sender::new(());
        let cuts = cut.clone();
        let node = node.address();
        let connections = async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                let mut cut = cuts.subscribe();
                connections.spawn(async move {
                    let Ok(mut there) = TcpStream::connect(node).await else {
                        return;
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        };
        let task = tokio::spawn(connections);
        Self { address, cut, task }
    }

    async fn close(self) {
        self.task.abort();
        // Only then is the listener gone.
        let _ = self.task.await;
    }
}

#[tokio::test]
async fn a_node_that_dies_is_left_for_the_next_of_the_name() {
    let (first, second) = (node().await, node().await);
    let name = Name::new("dies.test", &[first.address(), second.address()]);
    let registration = start(options(&name));
    registered(&registration).await;
    first.kill().await;
    until_listed(&second, 1).await;
    // What the resolver says is no reason to change back.
    first.revive().await.expect("the same ports");
    registration.leave().await;
    assert!(first.registrations().is_empty() && second.registrations().is_empty());
}

#[tokio::test]
async fn a_lost_connection_leads_back_to_the_node_that_took_the_registration() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&first, ([127, 0, 0, 1], 0).into()).await;
    let name = Name::new("turns.test", &[way.address, second.address()]);
    let registration = start(options(&name));
    registered(&registration).await;
    // As resolvers do that spread the load.
    name.set(&[second.address(), way.address]);
    way.cut.send_replace(());
    let beats = first.rpc_counts().of(Rpc::Heartbeat).answered;
    let beaten = first.wait_until(|now| now.rpc_counts.of(Rpc::Heartbeat).answered > beats + 1);
    assert!(timeout(DEADLINE, beaten).await.is_ok());
    assert_eq!(second.rpc_counts().of(Rpc::Heartbeat).received, 0);
    registration.leave().await;
    assert!(first.registrations().is_empty());
}

#[tokio::test]
async fn what_was_left_on_a_node_that_was_out_of_reach_is_removed_there() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&first, ([127, 0, 0, 1], 0).into()).await;
    let from = way.address;
    let name = Name::new("unreached.test", &[from, second.address()]);
    let registration = start(options(&name));
    registered(&registration).await;
    way.close().await;
    until_listed(&second, 1).await;
    assert_eq!(first.registrations().len(), 1, "nobody could tell it");
    let _way = Way::to(&first, from).await;
    until_listed(&first, 0).await;
    assert_eq!(deregistered(&first), 1);
    assert_eq!(second.registrations().len(), 1, "that one stays");
    let report = registration.leave().await;
    assert_eq!(report.abandoned(), 0);
}

/// Whichever comes first, the end of the connection or the leave.
#[tokio::test]
async fn leaving_tells_the_node_that_has_the_registration() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&first, ([127, 0, 0, 1], 0).into()).await;
    let name = Name::new("leaves.test", &[way.address, second.address()]);
    let registration = start(options(&name));
    registered(&registration).await;
    // The next connection leads to the second.
    name.set(&[second.address()]);
    way.cut.send_replace(());
    let report = registration.leave().await;
    assert!(first.registrations().is_empty(), "{report}");
    assert!(second.registrations().is_empty(), "{report}");
    assert_eq!(report.abandoned(), 0, "{report}");
}

/// The connection ends when the Deregister is about to be sent, and the next one leads elsewhere.
#[tokio::test]
async fn a_deregister_goes_to_no_other_node_if_its_connection_ends() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&first, ([127, 0, 0, 1], 0).into()).await;
    let name = Name::new("ends.test", &[way.address, second.address()]);
    let leaves = Arc::new(AtomicBool::new(false));
    let is_leaving = Arc::clone(&leaves);
    let options = options(&name).heartbeat_interval(Duration::from_secs(10));
    let (options, stops) = Stops::of(options, move |count| {
        count == 0 && is_leaving.load(Ordering::SeqCst)
    });
    let registration = start(options);
    registered(&registration).await;
    leaves.store(true, Ordering::SeqCst);
    let moves = async {
        stops.next().await;
        name.set(&[second.address()]);
        way.cut.send_replace(());
        round_trip(&second).await;
        stops.go();
    };
    let (report, ()) = tokio::join!(registration.leave(), moves);
    assert!(first.registrations().is_empty(), "{report}");
    assert_eq!(report.cleanness(), Cleanness::Clean, "{report}");
}

/// Two addresses of one gateway: silence proves nothing, and the call stays out.
#[tokio::test]
async fn a_gateway_that_is_frozen_on_all_its_addresses_is_waited_for() {
    let first = node().await;
    let way = Way::to(&first, ([127, 0, 0, 1], 0).into()).await;
    let name = Name::new("frozen.test", &[first.address(), way.address]);
    let options = options(&name).ttl(Duration::from_secs(3));
    let registration = start(options);
    registered(&registration).await;
    let before = first.rpc_counts().of(Rpc::Register).received;
    first.freeze();
    let mut status = registration.status();
    let doubted = status.wait_for(|now| now.state() == State::Unreachable);
    assert!(timeout(DEADLINE, doubted).await.is_ok());
    // For long after 2/3 of the TTL, which is when it would be given up.
    let stays = status.wait_for(|now| now.state() != State::Unreachable);
    assert!(timeout(Duration::from_secs(6), stays).await.is_err());
    first.thaw();
    let back = status.wait_for(Status::is_registered);
    assert!(timeout(DEADLINE, back).await.is_ok());
    assert_eq!(first.rpc_counts().of(Rpc::Register).received, before);
    registration.leave().await;
    assert!(first.registrations().is_empty());
}

#[tokio::test]
async fn a_node_that_falls_silent_is_left_and_reported_when_it_is_back() {
    let (first, second) = (node().await, node().await);
    let name = Name::new("silent.test", &[first.address(), second.address()]);
    let registration = start(options(&name).ttl(Duration::from_secs(3)));
    registered(&registration).await;
    first.freeze();
    until_listed(&second, 1).await;
    first.thaw();
    until_listed(&first, 0).await;
    assert_eq!(second.registrations().len(), 1, "that one stays");
    registration.leave().await;
    assert!(second.registrations().is_empty());
}

fn exclusive(name: &Name) -> Registration {
    // So long that the former life does not notice within the test.
    let beat = Duration::from_secs(10);
    let options = options(name).heartbeat_interval(beat);
    start(options.exclusive_instance("greeter-0"))
}

#[tokio::test]
async fn an_exclusive_identity_takes_over_on_every_node_of_the_name() {
    let (first, second) = (node().await, node().await);
    let former_name = Name::new("former.test", &[second.address()]);
    let former = exclusive(&former_name);
    until_listed(&second, 1).await;

    let name = Name::new("exclusive.test", &[first.address(), second.address()]);
    let registration = exclusive(&name);
    until_listed(&first, 1).await;
    assert!(second.registrations().is_empty(), "removed before");
    registration.leave().await;
    former.leave().await;
}

/// An entry of a life of `greeter-0` that sends no heartbeats.
async fn dead_entry(node: &EmbeddedGateway, incarnation: u64) {
    let proto = include_str!("../../examples/greeter/proto/greeter.proto");
    let request = crate::control::proto::RegisterRequest {
        addr: "127.0.0.1:9".to_owned(),
        services: vec![crate::control::proto::ServiceBinding {
            namespace: "greeter".to_owned(),
            proto_source: proto.as_bytes().to_vec(),
            ..Default::default()
        }],
        ttl_seconds: 300,
        instance_id: format!("greeter-0#{incarnation}"),
    };
    let mut client = crate::control::client(&node.target()).await;
    client.register(request).await.expect("registered");
}

/// Holds calls up between the choice of a connection and the call on it.
struct Stops {
    /// Whether to hold up this call, after so many others.
    is_due: Box<dyn Fn(usize) -> bool + Send + Sync>,
    count: AtomicUsize,
    waits: Notify,
    goes: Notify,
}

impl Stops {
    fn of(
        options: Options,
        is_due: impl Fn(usize) -> bool + Send + Sync + 'static,
    ) -> (Options, Arc<Self>) {
        let stops = Arc::new(Self {
            is_due: Box::new(is_due),
            count: AtomicUsize::new(0),
            waits: Notify::new(),
            goes: Notify::new(),
        });
        let of_calls = Arc::clone(&stops);
        let options = options.bearer_token_provider(move || {
            let stops = Arc::clone(&of_calls);
            async move {
                if (stops.is_due)(stops.count.load(Ordering::SeqCst)) {
                    stops.count.fetch_add(1, Ordering::SeqCst);
                    stops.waits.notify_one();
                    stops.goes.notified().await;
                }
                Ok::<_, std::convert::Infallible>("secret".to_owned())
            }
        });
        (options, stops)
    }

    /// A call is held up.
    async fn next(&self) {
        let held_up = timeout(DEADLINE, self.waits.notified()).await;
        assert!(held_up.is_ok(), "no call is held up");
    }

    fn go(&self) {
        self.goes.notify_one();
    }
}

/// Any answer: by then this runtime, which has one thread, has seen whatever happened before.
async fn round_trip(node: &EmbeddedGateway) {
    let mut client = crate::control::client(&node.target()).await;
    let request = crate::control::proto::ListPeersRequest {};
    client.list_peers(request).await.expect("answered");
}

/// The node that confirms a Deregister is not the one that listed the entry, and was never asked.
#[tokio::test]
async fn a_connection_that_moves_amid_a_takeover_leaves_no_node_out() {
    let (first, second) = (node().await, node().await);
    let mut ways = Vec::new();
    for node in [&first, &second] {
        dead_entry(node, 1).await;
        ways.push(Way::to(node, ([127, 0, 0, 1], 0).into()).await);
    }
    let at = [ways[0].address, ways[1].address];
    let name = Name::new("moves.test", &at);
    let nodes = [first.clone(), second.clone()];
    let (options, stops) = Stops::of(options(&name), move |count| match count {
        0 => nodes[0].rpc_counts().of(Rpc::ListRegistrations).received > 0,
        1 => nodes[1].rpc_counts().of(Rpc::Deregister).answered > 0,
        _ => false,
    });
    let beat = Duration::from_secs(10);
    let options = options.heartbeat_interval(beat);
    let registration = start(options.exclusive_instance("greeter-0"));
    // The first lists the former life, and is away for the Deregister.
    stops.next().await;
    ways.remove(0).close().await;
    round_trip(&second).await;
    stops.go();
    // The second answers one, and is away for the Register.
    stops.next().await;
    ways.remove(0).close().await;
    let _first = Way::to(&first, at[0]).await;
    round_trip(&first).await;
    stops.go();
    registered(&registration).await;
    until_listed(&first, 1).await;
    let _second = Way::to(&second, at[1]).await;
    until_listed(&second, 0).await;
    registration.leave().await;
    until_listed(&first, 0).await;
}

/// It was away when the new life began, and the name may leave it out meanwhile.
#[tokio::test]
async fn an_exclusive_identity_takes_over_on_a_node_that_is_reached_later() {
    for is_left_out in [false, true] {
        let (first, second) = (node().await, node().await);
        let former = exclusive(&Name::new("former-late.test", &[second.address()]));
        until_listed(&second, 1).await;
        let way = Way::to(&second, ([127, 0, 0, 1], 0).into()).await;
        let from = way.address;
        way.close().await;
        let all = [first.address(), from];
        let name = Name::new("late.test", &all[..if is_left_out { 1 } else { 2 }]);
        let registration = exclusive(&name);
        registered(&registration).await;
        assert_eq!(first.registrations().len(), 1);
        assert_eq!(second.registrations().len(), 1, "out of reach");
        let _way = Way::to(&second, from).await;
        name.set(&all);
        until_listed(&second, 0).await;
        assert!(registration.status().borrow().is_registered());
        assert_eq!(deregistered(&second), 1);
        registration.leave().await;
        former.leave().await;
    }
}

/// The same, where it is another gateway of the list.
#[tokio::test]
async fn an_exclusive_identity_takes_over_on_a_gateway_that_is_reached_later() {
    let (first, second) = (node().await, node().await);
    let former = exclusive(&Name::new("former-other.test", &[second.address()]));
    until_listed(&second, 1).await;
    let way = Way::to(&second, ([127, 0, 0, 1], 0).into()).await;
    let from = way.address;
    way.close().await;
    let proto = include_str!("../../examples/greeter/proto/greeter.proto");
    let both = Options::new([first.address(), from])
        .seed(7)
        .hold(Hold::Off);
    let both = both.service(Service::proto(proto).namespace("greeter"));
    let registration = start(both.exclusive_instance("greeter-0"));
    registered(&registration).await;
    let _way = Way::to(&second, from).await;
    until_listed(&second, 0).await;
    assert_eq!(first.registrations().len(), 1);
    registration.leave().await;
    former.leave().await;
}

/// A younger process lives on a node that only it could reach.
#[tokio::test]
async fn a_younger_process_on_a_node_that_is_reached_later_displaces_this_one() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&second, ([127, 0, 0, 1], 0).into()).await;
    let from = way.address;
    way.close().await;
    let registration = exclusive(&Name::new("older.test", &[first.address(), from]));
    registered(&registration).await;
    // It beats, which shows that it lives.
    let younger = options(&Name::new("younger.test", &[second.address()]));
    let younger = start(younger.exclusive_instance("greeter-0"));
    until_listed(&second, 1).await;
    let _way = Way::to(&second, from).await;
    let mut status = registration.status();
    let displaced = status.wait_for(|now| now.state() == State::Displaced);
    let displaced = timeout(DEADLINE, displaced).await.expect("displaced");
    let text = displaced.expect("alive").to_string();
    assert!(text.contains("`greeter-0`"), "{text}");
    until_listed(&first, 0).await;
    assert_eq!(second.registrations().len(), 1, "the younger one's stays");
    assert!(younger.status().borrow().is_registered());
    registration.leave().await;
    younger.leave().await;
}

/// The clock of a former life was ahead, and its entry gets no heartbeats.
#[tokio::test]
async fn a_dead_entry_that_seems_younger_displaces_nobody() {
    let (first, second) = (node().await, node().await);
    let way = Way::to(&second, ([127, 0, 0, 1], 0).into()).await;
    let from = way.address;
    way.close().await;
    dead_entry(&second, u64::MAX).await;
    let registration = exclusive(&Name::new("ahead.test", &[first.address(), from]));
    registered(&registration).await;
    let _way = Way::to(&second, from).await;
    let begun = std::time::Instant::now();
    let gone = second.wait_until(|now| now.registrations.is_empty());
    let patience = Duration::from_secs(60);
    assert!(timeout(patience, gone).await.is_ok(), "it stays");
    assert!(
        begun.elapsed() > Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(first.registrations().len(), 1);
    assert!(registration.status().borrow().is_registered());
    registration.leave().await;
}
