//! The task of a registration: does what the machine decides, and reports back what happened.

mod ending;
mod standing;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::calls::{Calls, Reply, Terms};
use super::clean_ups::{CleanUps, LivePeer};
use super::first_gateway::Preferred;
use super::last_resort::LastResort;
use super::leave_record::Leaving;
use super::life::{LeaveRequest, Life};
use crate::drain::Open;
use crate::error::{Error, ErrorKind};
use crate::lease::Ending;
use crate::lease::{Action, Answer, Call, Hold, Input, LeaseKind, Machine, SWEEP, Verb};
use crate::liveness::Liveness;
use crate::observe::reach::Reach;
use crate::observe::slots::{Before, Slots};
use crate::observe::verify::{Expected, ReadBack};
use crate::optional_future::{finished, optional, optional_sleep};
use crate::options::Config;
use crate::pace::Pace;
use crate::status::{Event, State};
use tower_gwag_schema::redact::redacted_url;
use tracing::Instrument;

/// The timeout of a probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);
/// How long the other nodes of a cluster keep a dead node's replicas, whatever the TTL.
const CLUSTER_TTL: Duration = Duration::from_secs(30);
/// How long after the report a late answer is still awaited and acted upon.
const AFTERMATH: Duration = Duration::from_secs(30);

/// The timeout of the last look at the gateway, in a hurry.
const HURRIED_LOOK: Duration = Duration::from_millis(200);

/// Counts ghosts.
type Look = Pin<Box<dyn Future<Output = Option<u32>> + Send>>;

pub(crate) struct Worker {
    pub(crate) life: Arc<Life>,
    machine: Machine,
    calls: Calls,
    /// Tells the gateway if the runtime ends first.
    last_resort: LastResort,
    call: Option<JoinHandle<Reply>>,
    probe: Option<JoinHandle<Liveness>>,
    read_back: ReadBack,
    reach: Reach,
    /// The address advertised to the gateway.
    advertised: String,
    slots: Slots,
    /// Why the service waits for its slots; shown again when a silent gateway answers.
    waits_as: Option<(State, Option<Arc<Error>>)>,
    /// What was seen before the last Register of the service, and the id of the resulting entry.
    registered: (String, Before),
    /// After a panic, what is registered must be looked at again.
    looks_due: bool,
    /// The last heartbeat was held back, and the next one is sent.
    held_back: bool,
    /// Counts the ghosts that a restart of the gateway left.
    ghost_watch: Option<JoinHandle<Option<u32>>>,
    /// Takes an exclusive identity over on nodes that were away.
    identity_watch: Option<JoinHandle<Option<Error>>>,
    watches_identity: bool,
    /// The last count of ghosts.
    ghosts: Option<u32>,
    /// Counts the ghosts once more when everything is deregistered.
    last_look: Option<Look>,
    /// The report waits for `last_look`.
    finish_is_due: bool,
    /// Set when `prefer_first` is on.
    preferred: Option<Preferred>,
    /// The gateway that was called last.
    silent: String,
    /// Returns what was still open at the end of the drain.
    drain: Option<Pin<Box<dyn Future<Output = Open> + Send>>>,
    /// The deadline of the drain: counted from the Deregister, and kept through panics.
    drain_until: Option<Instant>,
    disconnected: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Entries left on unreachable gateways, until those can be reached.
    clean_ups: CleanUps,
    failure: Option<Arc<Error>>,
    hold_failure: Option<Arc<Error>>,
    leaving: Option<Leaving>,
    /// The request to leave, and its deadline.
    leave: Option<(LeaveRequest, Instant)>,
    finished: bool,
    /// Late answers were awaited long enough, too.
    is_over: bool,
}

// === impl Worker ===

impl Worker {
    /// Dropping it, run or not, produces a report.
    pub(crate) fn new(life: Arc<Life>, config: Config, bound: Option<SocketAddr>) -> Self {
        let (services, gateway_http) = (Arc::clone(&config.services), config.gateway_http.clone());
        let (seed, reclaim_after) = (config.seed, config.reclaim_after);
        let (leave_timeout, prefer_first) = (config.leave_timeout, config.prefer_first);
        let pace = Pace::new(config.heartbeat_interval, seed);
        let calls = Calls::new(config, bound);
        let first = || Preferred::new(calls.control(0).clone(), seed.rotate_left(32));
        let preferred = prefer_first.then(first);
        let expected = calls.expected();
        life.board.log.of_gateway(calls.target(0).to_string());
        life.board.log.of_instance(calls.instance_id());
        let machine = machine(&calls, pace, leave_timeout);
        let slots = Slots::new(
            Arc::clone(&services),
            Arc::clone(&expected),
            gateway_http.clone(),
            reclaim_after,
        );
        Self {
            slots,
            waits_as: None,
            registered: Default::default(),
            looks_due: false,
            held_back: false,
            disconnected: Box::pin(Arc::clone(calls.control(0).gateway()).disconnected()),
            last_resort: LastResort::new(),
            clean_ups: CleanUps::new(),
            machine,
            calls,
            call: None,
            probe: None,
            ghost_watch: None,
            identity_watch: None,
            watches_identity: false,
            ghosts: None,
            last_look: None,
            finish_is_due: false,
            preferred,
            silent: String::new(),
            reach: Reach::new(Arc::clone(&life.board), Arc::clone(&life.proof), bound),
            advertised: String::new(),
            read_back: ReadBack::new(
                Arc::clone(&life.proof),
                services,
                expected,
                gateway_http,
                !seed,
            ),
            drain: None,
            drain_until: None,
            failure: None,
            hold_failure: None,
            leaving: None,
            leave: None,
            finished: false,
            is_over: false,
            life,
        }
    }

    /// Runs until nothing is registered; after a panic, call [`recover`](Self::recover) and run it
    /// again.
    pub(crate) async fn run(&mut self) {
        if let Some((request, _)) = self.leave {
            let (drain, in_doubt) = (request.drain, self.calls.in_doubt());
            self.step(Input::Leave { drain, in_doubt });
        } else if !self.machine.is_busy() {
            self.life.board.set_status(State::Registering, None);
        }
        if std::mem::take(&mut self.looks_due) {
            self.begin_looks();
        }
        let mut leave_requests = self.life.leave_requests();
        let hurried = self.life.drain.hurried().clone();
        let mut hurry_heard = false;
        let mut give_up = None::<Instant>;
        // The first Register is due now, but made in the loop: an earlier signal takes precedence,
        // so that nothing is registered only to be deregistered.
        loop {
            if self.finished {
                let end = *give_up.get_or_insert_with(|| Instant::now() + AFTERMATH);
                if !self.machine.is_busy() || Instant::now() >= end {
                    break;
                }
            }
            let wake_at = [self.machine.wake_at().map(Instant::from_std), give_up]
                .into_iter()
                .flatten()
                .min();
            let leaves = self.leave.is_some();
            tokio::select! {
                biased;
                reply = finished(&mut self.call) => self.replied(reply),
                seen = self.read_back.next(self.calls.control(self.machine.gateway())), if !leaves => self.saw(&seen),
                found = self.reach.next(), if !leaves => self.found(found),
                what = self.slots.next(), if !leaves => self.saw_slots(what),
                () = first_is_there(&mut self.preferred), if !leaves => self.step(Input::FirstIsBack),
                found = finished(&mut self.probe) => {
                    self.step(Input::Probed(found.unwrap_or(Liveness::Silent)));
                }
                found = finished(&mut self.ghost_watch) => self.haunted(found.flatten()),
                found = finished(&mut self.identity_watch) => self.succeeded(found.flatten()),
                found = optional(&mut self.last_look) => self.looked(found),
                request = leave_requests.wait_for(Option::is_some), if !leaves => {
                    // `life` owns the sender.
                    let request = request.ok().and_then(|request| *request);
                    self.leave(request);
                }
                open = optional(&mut self.drain) => {
                    self.drain = None;
                    if let Some(leaving) = &mut self.leaving {
                        leaving.drained(self.machine.is_holding(), open);
                    }
                    self.step(Input::Drained);
                }
                () = hurried.cancelled(), if !hurry_heard => {
                    hurry_heard = true;
                    self.step(Input::Hurry);
                    if let Some(look) = self.last_look.take() {
                        self.last_look = Some(at_most(look, Instant::now() + HURRIED_LOOK));
                    }
                }
                () = &mut self.disconnected => {
                    self.watch_connection();
                    // The next answer may come from another node than the last one.
                    self.read_back.doubt();
                    self.step(Input::Disconnected);
                }
                () = self.clean_ups.next() => {}
                () = optional_sleep(wake_at) => self.step(Input::Woken),
            }
        }
        self.is_over = true;
    }

    fn watch_connection(&mut self) {
        let control = self.calls.control(self.machine.gateway());
        self.disconnected = Box::pin(Arc::clone(control.gateway()).disconnected());
    }

    fn step(&mut self, input: Input) {
        let actions = self.machine.on(input, now());
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Call(call) => {
                    if is_of_service(&call) {
                        self.read_back.distrust_calls();
                    }
                    self.silent = self.calls.target(self.machine.gateway()).to_string();
                    self.life.board.log.of_gateway(self.silent.clone());
                    let mut terms = Terms::default();
                    if call.which == LeaseKind::Service {
                        terms.needs_look = self.machine.waits_for_slots();
                        if !self.held_back {
                            terms.guard = self.slots.guard();
                        }
                    }
                    let call = self.calls.call(call, self.machine.gateway(), terms);
                    self.call = Some(tokio::spawn(call.in_current_span()));
                }
                Action::Turn { to } => {
                    match &mut self.preferred {
                        Some(preferred) if to == 0 => preferred.stop(),
                        Some(preferred) => preferred.watch(),
                        None => {}
                    }
                    self.read_back.pause();
                    self.slots.pause();
                    self.watch_connection();
                    if self.machine.waits_for_slots() {
                        self.wait_for_slots(true);
                    }
                }
                Action::CleanUp { entry, until } => {
                    let until = Instant::from_std(until).max(Instant::now() + CLUSTER_TTL);
                    let clean_up = self.calls.clean_up(entry, until);
                    self.clean_ups.spawn(clean_up, until);
                }
                Action::Probe => {
                    let control = self.calls.control(self.machine.gateway()).clone();
                    let probe = async move { control.probe(PROBE_TIMEOUT).await };
                    self.probe = Some(tokio::spawn(probe));
                }
                Action::MoveOn => self.calls.control(self.machine.gateway()).move_on(),
                Action::Disconnect => self.calls.control(self.machine.gateway()).disconnect(),
                Action::Drain => {
                    if let Some(leaving) = &mut self.leaving {
                        leaving.withdrawn(self.machine.is_holding());
                    }
                    self.start_drain();
                }
                Action::Finish => self.finish(),
                Action::Tell(note) => self.tell(note),
            }
        }
    }

    fn replied(&mut self, reply: Option<Reply>) {
        let Some(reply) = reply else {
            // A call that panicked may still have been carried out.
            let message = format!(
                "a call to the gateway {} panicked; please report it",
                self.calls.target(self.machine.gateway())
            );
            self.failure = Some(Arc::new(Error::new(ErrorKind::Unavailable, message)));
            self.step(Input::Answered(Answer::Broken));
            return;
        };
        // Recorded first: whatever panics from here on, the entries on the gateway are known.
        let actions = self
            .machine
            .on(Input::Answered(reply.answer.clone()), now());
        let which = reply.call.which;
        match which {
            // What is unreachable for the service is unreachable for the hold, too.
            _ if matches!(reply.answer, Answer::NotSent | Answer::Foreign) => {
                self.failure.clone_from(&reply.failure);
                self.hold_failure.clone_from(&reply.failure);
            }
            LeaseKind::Hold => self.hold_failure.clone_from(&reply.failure),
            LeaseKind::Service => {
                self.failure.clone_from(&reply.failure);
                if is_of_service(&reply.call) && reply.failure.is_some() {
                    self.read_back.trust_calls();
                }
            }
            // It was only to be removed, and the gateway also removes it by itself.
            LeaseKind::Former => {}
        }
        let meter = &self.life.board.meter;
        meter.called(&reply.call, &reply.answer, reply.took);
        self.look_for_ghosts(&reply);
        self.clean_up_elsewhere(&reply);
        if which == LeaseKind::Service {
            self.held_back = reply.answer == Answer::HeldBack;
            if self.held_back {
                self.slots.look_now();
            }
        }
        if let (LeaseKind::Service, Answer::Registered { id, ttl, .. }) = (which, &reply.answer) {
            self.registered = (id.clone(), reply.before.clone());
            let event = Event::Registered {
                registration_id: id.clone(),
                ttl: *ttl,
                address: redacted_url(&reply.address),
            };
            self.life.board.log.of_entry(Some(id.clone()));
            self.life.board.say_registered(&event);
            self.registered_at(&reply.address);
        }
        self.act(actions);
    }

    /// The answer counts, whatever the count of ghosts finds.
    fn look_for_ghosts(&mut self, reply: &Reply) {
        // The hold is deregistered last.
        let last = match self.calls.hold() {
            Some(Hold::AtStart | Hold::AtLeave) => LeaseKind::Hold,
            Some(Hold::Off) | None => LeaseKind::Service,
        };
        if reply.call.which != last || reply.answer != Answer::Deregistered {
            return;
        }
        if let Some((_, end)) = self.leave {
            let look = self.calls.ghosts().at_the_end(self.machine.gateway());
            let end = match self.life.drain.hurried().is_cancelled() {
                true => end.min(Instant::now() + HURRIED_LOOK),
                false => end,
            };
            self.last_look = Some(at_most(look, end));
        }
    }

    /// Ids are valid on one node: another node may not know an existing entry. The hold stays for
    /// calls in flight, and expires.
    fn clean_up_elsewhere(&mut self, reply: &Reply) {
        let (Verb::Heartbeat(entry), Answer::Beat { known: false }) =
            (&reply.call.verb, &reply.answer)
        else {
            return;
        };
        if entry.kind != LeaseKind::Hold && self.calls.is_elsewhere(entry) {
            let until = Instant::now() + CLUSTER_TTL.max(entry.ttl + SWEEP);
            let clean_up = self.calls.clean_up(entry.clone(), until);
            self.clean_ups.spawn(clean_up, until);
        }
    }

    /// A younger process has the identity, as a node says that was away at the start.
    fn succeeded(&mut self, displaced: Option<Error>) {
        let Some(displaced) = displaced else { return };
        self.read_back.pause();
        self.slots.pause();
        let displaced = Some(Arc::new(displaced));
        self.life.board.set_status(State::Displaced, displaced);
        self.step(Input::Withdraw { for_good: true });
    }

    fn stop_identity_watch(&mut self) {
        if let Some(watch) = self.identity_watch.take() {
            watch.abort();
        }
    }

    fn stop_ghost_watch(&mut self) {
        if let Some(watch) = self.ghost_watch.take() {
            watch.abort();
        }
    }

    fn leave(&mut self, request: Option<LeaveRequest>) {
        let Some(request) = request else { return };
        self.read_back.pause();
        self.slots.pause();
        self.stop_ghost_watch();
        self.stop_identity_watch();
        self.calls.leave();
        let mut leaving = Leaving::begin(request.reason, &self.life);
        leaving.ghosts = self.ghosts;
        self.leaving = Some(leaving);
        let end = Instant::now() + self.calls.config().leave_timeout;
        self.leave = Some((request, end));
        self.life.board.set_status(State::Leaving, None);
        let (drain, in_doubt) = (request.drain, self.calls.in_doubt());
        self.step(Input::Leave { drain, in_doubt });
    }

    fn start_drain(&mut self) {
        self.life.drain.leaving().cancel();
        // Without a registration, the gateway has sent nothing that could still arrive.
        let quiet = match self.machine.ending(LeaseKind::Service) {
            Ending::NothingHeld => Duration::ZERO,
            _ => self.calls.config().quiet,
        };
        let now = Instant::now();
        let end = self.leave.map_or(now, |(_, end)| end);
        let until = self.life.drain.deadline().min(end);
        let deadline = *self.drain_until.get_or_insert(until);
        let tried = self.clean_ups.tried();
        let over = self.clean_ups.over(self.live_peer(), deadline);
        let others = async move {
            tried.await;
            over.await;
        };
        let drain = Arc::clone(&self.life.drain);
        self.drain = Some(Box::pin(drain.wait(quiet, deadline, others)));
    }

    /// The gateway that the registration just left, if it answered.
    fn live_peer(&self) -> Option<LivePeer> {
        if self.machine.ending(LeaseKind::Service) != Ending::Deregistered {
            return None;
        }
        let expected = self.calls.expected();
        let name = |it: &Expected| format!("{}/{}", it.namespace, it.version);
        Some(LivePeer {
            control: self.calls.control(self.machine.gateway()).clone(),
            services: expected.iter().map(name).collect(),
        })
    }
}

/// Ends a look at `end`, whatever it has found.
fn at_most(look: impl Future<Output = Option<u32>> + Send + 'static, end: Instant) -> Look {
    Box::pin(async move { timeout_at(end, look).await.ok().flatten() })
}

/// Whether the call registers the service.
fn is_of_service(call: &Call) -> bool {
    call.which == LeaseKind::Service && matches!(call.verb, Verb::Register { .. })
}

async fn first_is_there(preferred: &mut Option<Preferred>) {
    match preferred {
        Some(preferred) => preferred.is_there().await,
        None => std::future::pending().await,
    }
}

fn machine(calls: &Calls, pace: Pace, leave_timeout: Duration) -> Machine {
    let hold_at = calls.hold().unwrap_or(Hold::Off);
    let bindings = u32::try_from(calls.expected().len()).unwrap_or(u32::MAX);
    let gateways = calls.gateways();
    Machine::new(pace, bindings, hold_at, gateways, leave_timeout, now())
}

/// The machine's clock is tokio's.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}
