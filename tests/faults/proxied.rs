//! A proxy between them misbehaves.

use std::time::{Duration, Instant};

use tower_gwag::{ErrorKind, Options, State, Status};
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Rpc};

use crate::fault_proxy::{FaultProxy, Mode};
use crate::lone_options;
use crate::support::{
    Events, PROMPTLY, Running, assert_orderly, greet, listed, registered, tonic_greeter,
    until_state, within,
};

/// Beats so often that no test waits for one.
const BEAT: Duration = Duration::from_millis(50);

/// A greeter whose way to the gateway leads through the proxy.
struct Scene {
    gateway: EmbeddedGateway,
    proxy: FaultProxy,
    server: Running,
    events: Events,
}

impl Scene {
    /// Begins in `mode`; `adjust` changes the usual options.
    async fn new(mode: Mode, adjust: impl FnOnce(Options) -> Options) -> Self {
        let gateway = EmbeddedGateway::builder().sweep_interval(BEAT);
        let gateway = gateway.start().await.expect("started");
        let proxy = FaultProxy::before(gateway.address()).await.expect("bound");
        proxy.set(mode).await;
        let (options, events) = Events::of(adjust(lone_options(proxy.address())));
        let server = tonic_greeter(options).await;
        Self {
            gateway,
            proxy,
            server,
            events,
        }
    }

    async fn registered(adjust: impl FnOnce(Options) -> Options) -> Self {
        let scene = Self::new(Mode::Pass, adjust).await;
        registered(&scene.server.registration).await;
        scene
    }

    fn status(&self) -> Status {
        self.server.registration.status().borrow().clone()
    }

    fn received(&self, rpc: Rpc) -> u64 {
        self.gateway.rpc_counts().of(rpc).received
    }

    /// Unreachable for this reason, in words that name the gateway; and the server serves.
    async fn assert_unreachable(&self, kind: ErrorKind) -> Status {
        until_state(&self.server.registration, State::Unreachable).await;
        let status = self.status();
        assert_eq!(status.reason_kind(), Some(kind), "{status}");
        assert_eq!(greet(self.server.address).await, "Hello, Ada!");
        status
    }

    /// Registered again and listed once, within `limit` from now; then it leaves well.
    async fn assert_back(self, limit: Duration) {
        let start = Instant::now();
        until_state(&self.server.registration, State::Registered).await;
        assert_eq!(listed(&self.gateway, 1).await.len(), 1);
        let took = start.elapsed();
        assert!(took < limit, "{took:?}");
        assert_eq!(greet(self.gateway.address()).await, "Hello, Ada!");
        assert!(self.server.stop().await.is_clean());
        listed(&self.gateway, 0).await;
        assert_orderly(&self.gateway);
    }
}

/// The shortest that there is.
fn short_lived(options: Options) -> Options {
    options.ttl(Duration::from_secs(1))
}

fn beating(options: Options) -> Options {
    options.heartbeat_interval(BEAT)
}

#[tokio::test]
async fn refused_it_polls_and_registers_as_soon_as_it_may() {
    let scene = Scene::new(Mode::Refuse, |it| it).await;
    let status = scene.assert_unreachable(ErrorKind::Unavailable).await;
    let text = status.to_string();
    assert!(text.contains(&scene.proxy.address().to_string()), "{text}");
    assert!(text.contains("refused"), "{text}");
    scene.proxy.set(Mode::Pass).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_costs_no_second_registration() {
    let scene = Scene::registered(|it| it).await;
    scene.proxy.set(Mode::Reset).await;
    // The next heartbeat was seconds away, so the reset revealed it.
    scene.assert_unreachable(ErrorKind::Unavailable).await;
    scene.proxy.set(Mode::Pass).await;
    assert_eq!(scene.received(Rpc::Register), 1);
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn connections_that_are_reset_as_soon_as_they_are_up_are_a_gateway_out_of_reach() {
    let scene = Scene::new(Mode::Reset, |it| it).await;
    scene.assert_unreachable(ErrorKind::Unavailable).await;
    scene.proxy.set(Mode::Pass).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn dropped_packets_cost_the_lease_and_it_comes_back_once() {
    let scene = Scene::registered(short_lived).await;
    let first = scene.gateway.registrations().remove(0);
    scene.proxy.set(Mode::Drop).await;
    listed(&scene.gateway, 0).await;
    scene.proxy.set(Mode::Pass).await;
    let again = scene.gateway.clone();
    scene.events.until_registered(2).await;
    assert_ne!(again.registrations()[0].id, first.id);
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_stalled_connection_is_found_dead_and_another_is_made() {
    let scene = Scene::registered(short_lived).await;
    scene.proxy.set(Mode::Stall).await;
    scene.assert_unreachable(ErrorKind::TimedOut).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_half_open_connection_is_found_dead_and_another_is_made() {
    let scene = Scene::registered(short_lived).await;
    scene.proxy.set(Mode::HalfOpen).await;
    scene.assert_unreachable(ErrorKind::TimedOut).await;
    scene.assert_back(PROMPTLY).await;
}

#[tokio::test]
async fn a_slow_network_is_not_a_fault() {
    let delay = Mode::Delay(Duration::from_millis(100));
    let scene = Scene::new(delay, beating).await;
    let beaten = |now: &GatewayView| now.rpc_counts.of(Rpc::Heartbeat).answered >= 4;
    within("beats", scene.gateway.wait_until(beaten)).await;
    assert_eq!(
        scene.events.states(),
        [State::Registering, State::Registered]
    );
    assert_eq!(scene.received(Rpc::Register), 1);
    scene.assert_back(PROMPTLY).await;
}
