//! Counts the requests in flight, bodies included, and waits for them to end. `server/service.rs`
//! counts them in, and the guard that `server/body.rs` keeps counts them out.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use tokio::time::{sleep, timeout};

use super::gauge::Gauge;
use super::wakers::{Place, Wakers};

/// How long requests that arrive too late to come from the gateway may extend a drain.
const LATE_LIMIT: Duration = Duration::from_secs(2);

/// The time for telling callers that their calls are cut.
const TOLD_LIMIT: Duration = Duration::from_millis(200);

/// The requests in flight of one server; clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct InFlight(Arc<Shared>);

/// One request in flight, from its arrival until this is dropped.
// Two words, because it moves with every response.
#[derive(Debug)]
pub(crate) struct InFlightGuard {
    shared: Arc<Shared>,
    /// Where the waker is stored that a cut wakes. Claimed at the first wait: many requests never
    /// wait.
    place: Option<Place>,
    lane: Lane,
    protocol: Protocol,
}

/// A request that is about to be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    lane: Lane,
    protocol: Protocol,
}

/// The protocol of a request, which decides how it ends when it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    /// The reply is an event stream, over any version of HTTP.
    Events,
    /// When leaving, its connection is closed.
    Http1,
    /// Servers send GOAWAY by themselves.
    Http2,
}

#[derive(Debug)]
struct Shared {
    /// Indexed by [`Lane`].
    gauges: [Gauge; 4],
    /// Bits of [`Sign`].
    signs: AtomicU8,
    /// Event streams are waited for like other calls.
    drains_event_streams: bool,
    waiting: Wakers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Lane {
    /// Arrived before leaving, or so soon after it that the gateway may have sent them.
    Early,
    /// Arrived later: direct callers, scrapes.
    Late,
    /// Arrived after the cut: short requests are still served.
    Spared,
    /// Exempt from the drain: health watches, reflection, event streams.
    Exempt,
}

/// The signs that leaving gives to requests; each request reads one number.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Sign {
    /// Leaving has begun: HTTP/1 connections are closed.
    Closing = 1,
    ArrivalsAreLate = 2,
    Cut = 4,
    /// The exempt requests are cut before the others.
    ExemptCut = 8,
}

/// While this exists, requests that are polled on this thread are parts of one that is already
/// counted.
#[derive(Debug)]
pub(crate) struct Inside {
    before: usize,
}

thread_local! {
    /// The server whose layer is the innermost on this thread's stack, or 0.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
    /// The ones around it, from the inside out: several registrations may have their layers around
    /// one router.
    static AROUND: Cell<[usize; 3]> = const { Cell::new([0; 3]) };
}

// === impl InFlight ===

impl InFlight {
    pub(crate) fn new(drains_event_streams: bool) -> Self {
        Self(Arc::new(Shared {
            gauges: std::array::from_fn(|_| Gauge::new()),
            signs: AtomicU8::new(0),
            drains_event_streams,
            waiting: Wakers::default(),
        }))
    }

    /// A request arrives that is not exempt; `None` while leaving.
    #[inline]
    pub(crate) fn arrives_before_leaving(&self, protocol: Protocol) -> Option<Arrival> {
        let lane = Lane::Early;
        let signs = self.0.signs.load(Ordering::Acquire);
        (signs == 0).then_some(Arrival { lane, protocol })
    }

    /// Any request arrives.
    pub(crate) fn arrives(&self, protocol: Protocol, is_exempt: bool) -> Arrival {
        let lane = match is_exempt {
            true => Lane::Exempt,
            false => Lane::amid(self.0.signs.load(Ordering::Acquire)),
        };
        Arrival { lane, protocol }
    }

    /// Counts a request in.
    #[inline]
    pub(crate) fn enter(&self, arrival: Arrival) -> InFlightGuard {
        let shared = &self.0;
        shared.gauge(arrival.lane).enter();
        InFlightGuard {
            shared: Arc::clone(shared),
            lane: arrival.lane,
            protocol: arrival.protocol,
            place: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn counts(&self, is_exempt: bool) -> InFlightGuard {
        self.enter(self.arrives(Protocol::Http2, is_exempt))
    }

    /// The number of requests that the drain waits for.
    pub(crate) fn count(&self) -> usize {
        let waited_for = [Lane::Early, Lane::Late, Lane::Spared];
        let counts = waited_for.map(|lane| self.0.gauge(lane).count());
        counts.iter().sum()
    }

    /// The number of exempt requests.
    pub(crate) fn exempt(&self) -> usize {
        self.0.gauge(Lane::Exempt).count()
    }

    /// The number of all arrivals so far, for [`arrived_since`](Self::arrived_since).
    pub(crate) fn arrived(&self) -> u32 {
        let gauges = self.0.gauges.iter();
        gauges.fold(0, |sum: u32, gauge| sum.wrapping_add(gauge.arrived()))
    }

    /// The number of requests that have arrived since then.
    pub(crate) fn arrived_since(&self, then: u32) -> u64 {
        self.arrived().wrapping_sub(then).into()
    }

    /// Leaving has begun: from now on, HTTP/1 responses close the connection.
    pub(crate) fn close(&self) {
        self.0.set(Sign::Closing);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.has(Sign::Closing)
    }

    /// Resolves once nothing has been in flight for `quiet`, or 2 s after the last request that the
    /// gateway can have sent has ended. Call it when the gateway sends no more.
    pub(crate) async fn drained(&self, quiet: Duration) {
        tokio::select! {
            () = self.quiet(quiet) => {}
            () = async {
                sleep(quiet).await;
                self.0.set(Sign::ArrivalsAreLate);
                self.0.idle(Lane::Early).await;
                // The drain is over even on a timeout.
                let _ = timeout(LATE_LIMIT, self.quiet(quiet)).await;
            } => {}
        }
    }

    async fn quiet(&self, quiet: Duration) {
        loop {
            self.idle().await;
            let arrived = self.arrived();
            sleep(quiet).await;
            if self.count() == 0 && self.arrived() == arrived {
                return;
            }
        }
    }

    /// The number of all requests in flight, exempt ones included.
    pub(crate) fn open(&self) -> usize {
        self.count() + self.exempt()
    }

    /// Cuts all open requests, so that the server's own wait for them ends; returns their number.
    pub(crate) fn cut(&self) -> usize {
        let open = self.count();
        self.0.set(Sign::Cut);
        open + self.cut_exempt()
    }

    /// Like [`cut`](Self::cut), and gives callers a moment to receive the status.
    pub(crate) async fn cut_and_tell(&self) -> usize {
        let open = self.cut();
        if open > 0 {
            let gone = async {
                self.idle().await;
                self.0.idle(Lane::Exempt).await;
            };
            // On a timeout there is nothing more to do.
            let _ = timeout(TOLD_LIMIT, gone).await;
        }
        open
    }

    fn cut_exempt(&self) -> usize {
        let open = self.exempt();
        self.0.set(Sign::ExemptCut);
        self.0.waiting.wake_all();
        open
    }

    /// Cuts exempt requests, present and future, and gives callers a moment to receive the status.
    pub(crate) async fn cut_exempt_and_tell(&self) -> usize {
        let open = self.cut_exempt();
        if open > 0 {
            // On a timeout there is nothing more to do.
            let _ = timeout(TOLD_LIMIT, self.0.idle(Lane::Exempt)).await;
        }
        open
    }

    /// Resolves once no request that the drain waits for is in flight.
    pub(crate) async fn idle(&self) {
        while self.count() > 0 {
            self.0.idle(Lane::Early).await;
            self.0.idle(Lane::Late).await;
            self.0.idle(Lane::Spared).await;
        }
    }
}

// === impl Lane ===

impl Lane {
    /// The lane of a request that arrives while leaving.
    #[cold]
    fn amid(signs: u8) -> Self {
        if signs & Sign::Cut as u8 != 0 {
            Self::Spared
        } else if signs & Sign::ArrivalsAreLate as u8 != 0 {
            Self::Late
        } else {
            Self::Early
        }
    }
}

// === impl Shared ===

impl Shared {
    #[inline]
    fn gauge(&self, lane: Lane) -> &Gauge {
        &self.gauges[lane as usize]
    }

    async fn idle(&self, lane: Lane) {
        std::future::poll_fn(|cx| self.gauge(lane).poll_idle(cx)).await;
    }

    #[inline]
    fn has(&self, sign: Sign) -> bool {
        self.signs.load(Ordering::Acquire) & sign as u8 != 0
    }

    fn set(&self, sign: Sign) {
        self.signs.fetch_or(sign as u8, Ordering::Release);
    }

    /// A unique id of the server, never 0.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

// === impl InFlightGuard ===

impl InFlightGuard {
    #[inline]
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The response is an event stream: it is exempt, unless the options say otherwise.
    #[cold]
    pub(crate) fn is_event_stream(&mut self) {
        self.protocol = Protocol::Events;
        if self.lane != Lane::Exempt && !self.shared.drains_event_streams {
            self.shared.gauge(Lane::Exempt).take_over();
            self.shared.gauge(self.lane).leave();
            self.lane = Lane::Exempt;
        }
    }

    /// Takes the arrival back.
    fn never_came(self) {
        self.shared.gauge(self.lane).take_back();
    }

    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.shared.has(Sign::Closing)
    }

    /// The rest of `drop` for a request that had to wait, or that a drain waits for.
    #[cold]
    #[inline(never)]
    fn drop_waiting(&self, wakes: bool) {
        if let Some(place) = self.place {
            self.shared.waiting.release(place);
        }
        if wakes {
            self.shared.gauge(self.lane).wake();
        }
    }

    /// Ready when the request is cut; polled while the request itself is pending.
    pub(crate) fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            self.place = self.shared.waiting.claim();
        }
        // Register the waker before reading the sign, so that a cut in between wakes us.
        if let Some(place) = self.place {
            self.shared.waiting.register(place, cx.waker());
        }
        let is_cut = match self.lane {
            Lane::Exempt => self.shared.has(Sign::ExemptCut),
            Lane::Early | Lane::Late => self.shared.has(Sign::Cut),
            Lane::Spared => false,
        };
        if is_cut {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for InFlightGuard {
    #[inline]
    fn drop(&mut self) {
        let wakes = self.shared.gauge(self.lane).leave_unwoken();
        if wakes | self.place.is_some() {
            self.drop_waiting(wakes);
        }
    }
}

// === impl Inside ===

impl Inside {
    /// A request is polled. If it is a part of one that is already counted, because the layer wraps
    /// both a router and parts of it, it no longer counts.
    #[inline]
    pub(crate) fn of(guard: &mut Option<InFlightGuard>) -> Self {
        let before = INSIDE.get();
        if before != 0 {
            Self::nested(guard, before);
        } else if let Some(guard) = guard {
            INSIDE.set(guard.shared.id());
        }
        Self { before }
    }

    #[cold]
    fn nested(guard: &mut Option<InFlightGuard>, innermost: usize) {
        let [first, second, third] = AROUND.get();
        let servers = [innermost, first, second, third];
        if let Some(part) = guard.take_if(|it| servers.contains(&it.shared.id())) {
            part.never_came();
        }
        if let Some(guard) = guard {
            AROUND.set([innermost, first, second]);
            INSIDE.set(guard.shared.id());
        }
    }

    #[cold]
    fn leaves(innermost: usize) {
        // A part changed nothing.
        if INSIDE.replace(innermost) != innermost {
            let [_, second, third] = AROUND.get();
            AROUND.set([second, third, 0]);
        }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        match self.before {
            0 => INSIDE.set(0),
            innermost => Self::leaves(innermost),
        }
    }
}

/// The path prefixes of exempt requests.
#[derive(Debug)]
pub(crate) struct Prefixes {
    all: Box<[Box<str>]>,
    /// A byte that all prefixes share, and its position: most other paths have another byte there.
    mark: Option<(usize, u8)>,
    /// All are paths of gRPC services, which only get POST requests.
    is_of_grpc: bool,
}

// === impl Prefixes ===

impl Prefixes {
    pub(crate) fn new(all: &[String]) -> Self {
        let mut prefixes = all.iter();
        let first = prefixes.next().map_or("", String::as_str);
        let common = prefixes.fold(first, |common, prefix| {
            let same = common.chars().zip(prefix.chars());
            let same = same.take_while(|(one, other)| one == other);
            &common[..same.map(|(it, _)| it.len_utf8()).sum()]
        });
        let last = common.len().checked_sub(1);
        Self {
            mark: last.map(|last| (last, common.as_bytes()[last])),
            is_of_grpc: all.iter().all(|it| it.starts_with("/grpc.")),
            all: all.iter().map(|it| it.as_str().into()).collect(),
        }
    }

    /// Whether [`holds`](Self::holds) must look closely; most requests differ in one byte.
    #[inline]
    pub(crate) fn may_hold(&self, uri: &Uri, is_post: bool) -> bool {
        if self.is_of_grpc && !is_post {
            return false;
        }
        // May include the query: cutting it off takes longer than the comparison.
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        match self.mark {
            Some((place, byte)) => path.as_bytes().get(place) == Some(&byte),
            None => true,
        }
    }

    pub(crate) fn holds(&self, uri: &Uri, is_post: bool) -> bool {
        self.may_hold(uri, is_post) && self.has_prefix_of(uri.path())
    }

    fn has_prefix_of(&self, path: &str) -> bool {
        self.all.iter().any(|prefix| path.starts_with(&**prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const QUIET: Duration = Duration::from_millis(100);

    async fn drained_after(in_flight: &InFlight) -> Duration {
        let start = Instant::now();
        in_flight.drained(QUIET).await;
        start.elapsed()
    }

    fn hold_for(in_flight: &InFlight, wait: u64, length: u64) {
        let in_flight = in_flight.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(wait)).await;
            let guard = in_flight.counts(false);
            sleep(Duration::from_millis(length)).await;
            drop(guard);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn the_drain_takes_the_longest_call_and_the_quiet_time() {
        let in_flight = InFlight::new(false);
        assert_eq!(drained_after(&in_flight).await, QUIET);
        let in_flight = InFlight::new(false);
        hold_for(&in_flight, 0, 300);
        hold_for(&in_flight, 0, 1_000);
        tokio::task::yield_now().await;
        assert_eq!(in_flight.count(), 2);
        assert_eq!(drained_after(&in_flight).await.as_millis(), 1_100);
        assert_eq!(in_flight.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_the_quiet_time_is_waited_for_like_an_early_one() {
        let in_flight = InFlight::new(false);
        hold_for(&in_flight, 60, 5_000);
        assert_eq!(drained_after(&in_flight).await.as_millis(), 5_160);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_without_end_extend_the_drain_by_two_seconds_at_most() {
        let in_flight = InFlight::new(false);
        for at in 0..500 {
            hold_for(&in_flight, at * 20, 30);
        }
        tokio::task::yield_now().await;
        let took = drained_after(&in_flight).await;
        assert!(took <= Duration::from_millis(2_300), "{took:?}");
        assert!(took >= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn exempt_calls_are_counted_apart_and_not_waited_for() {
        let in_flight = InFlight::new(false);
        let watch = in_flight.counts(true);
        let mut events = in_flight.counts(false);
        events.is_event_stream();
        assert_eq!((in_flight.count(), in_flight.exempt()), (0, 2));
        assert_eq!(drained_after(&in_flight).await, QUIET);
        drop((watch, events));
        assert_eq!(in_flight.exempt(), 0);
    }

    #[test]
    fn a_part_of_a_request_is_not_counted_again() {
        let servers: [InFlight; 4] = std::array::from_fn(|_| InFlight::new(false));
        let guards = servers.each_ref().map(|it| Some(it.counts(false)));
        let insides = guards.map(|mut guard| (Inside::of(&mut guard), guard));
        // Each server's layer counts for itself, and hides no other's.
        for server in &servers {
            let mut part = Some(server.counts(false));
            assert_eq!((server.count(), server.arrived()), (2, 2));
            let inside = Inside::of(&mut part);
            assert!(part.is_none());
            assert_eq!((server.count(), server.arrived()), (1, 1));
            drop(inside);
        }
        assert_eq!(INSIDE.get(), servers[3].0.id());
        for (inside, _guard) in insides.into_iter().rev() {
            drop(inside);
        }
        assert_eq!((INSIDE.get(), AROUND.get()), (0, [0; 3]));
        let mut next = Some(servers[0].counts(false));
        drop(Inside::of(&mut next));
        assert!(next.is_some());
        assert_eq!((servers[0].count(), servers[0].arrived()), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_waits_is_woken_by_the_cut() {
        let in_flight = InFlight::new(false);
        let mut guard = in_flight.counts(false);
        let waiting = tokio::spawn(async move {
            std::future::poll_fn(|cx| guard.poll_cut(cx)).await;
        });
        tokio::task::yield_now().await;
        assert_eq!(in_flight.cut_and_tell().await, 1);
        assert_eq!(in_flight.open(), 0);
        waiting.await.expect("cut");
        // Those that come later are spared.
        let mut late = in_flight.counts(false);
        let cut = std::future::poll_fn(|cx| late.poll_cut(cx));
        assert!(timeout(QUIET, cut).await.is_err());
    }

    #[test]
    fn a_path_is_exempt_by_any_prefix() {
        let prefixes = |all: &[&str]| {
            let all: Vec<_> = all.iter().map(|&it| it.to_owned()).collect();
            Prefixes::new(&all)
        };
        let holds = |prefixes: &Prefixes, path: &str| {
            let uri = Uri::builder().path_and_query(path).build();
            prefixes.holds(&uri.expect("a path"), true)
        };
        let grpc = prefixes(&["/grpc.health.v1.Health/Watch", "/grpc.reflection."]);
        assert_eq!(grpc.mark, Some((5, b'.')));
        assert!(holds(&grpc, "/grpc.reflection.v1.ServerReflection/Info"));
        let info = Uri::from_static("/grpc.reflection.v1.ServerReflection/Info");
        assert!(!grpc.holds(&info, false), "a GET is no call");
        for path in [
            "/",
            "/greeter.Greeter/Hello",
            "/grpc.health.v1.Health/Check",
        ] {
            assert!(!holds(&grpc, path), "{path}");
        }
        let mixed = prefixes(&["/grpc.reflection.", "/grün", "/gräte"]);
        assert_eq!(mixed.mark, Some((2, b'r')));
        assert!(holds(&mixed, "/grpc.reflection.x?y"));
        for path in ["/gr", "/", "/?gr", "/g?r"] {
            assert!(!holds(&mixed, path), "{path}");
        }
        assert!(!holds(&prefixes(&[]), "/"));
        assert!(holds(&prefixes(&["/a", ""]), "/b"));
        assert!(holds(&prefixes(&["/events"]), "/events/7"));
        let events = Uri::from_static("/events/7");
        assert!(prefixes(&["/events"]).holds(&events, false));
        assert!(prefixes(&["/events", "/grpc.x"]).holds(&events, false));
    }
}
