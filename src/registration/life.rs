//! What the layer, the listener, the handles and the task of one registration share.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address;
use super::drain::{self, Open};
use super::event::Event;
use super::exempt::Prefixes;
use super::in_flight::InFlight;
use super::leaving::Leaving;
use super::log::Log;
use super::proof::Proof;
use super::report::{Cleanness, LeaveOutcome, LeaveReason, LeaveReport};
use super::sever::Severer;
use super::status::{State, Status};
use super::supervisor;
use crate::error::{Error, ErrorKind};
use crate::options::{OnFinding, OnRefusal, Options, Plan};
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::service::{Resolved, Service};
use tracing::{Instrument, Level};

/// Shared by everything that belongs to one registration.
pub(crate) struct Core {
    /// But for the services, which are there until they are registered: they may be large.
    pub(crate) options: Options,
    services: Mutex<Vec<Service>>,
    /// Paths of requests that are not waited for.
    pub(crate) exempt: Prefixes,
    pub(crate) in_flight: InFlight,
    pub(crate) proof: Proof,
    stage: Mutex<Stage>,
    status: watch::Sender<Status>,
    leave: watch::Sender<Option<LeaveRequest>>,
    /// Ends the drain at once.
    hurry: CancellationToken,
    /// The gateway sends no new calls any more.
    leaving: CancellationToken,
    /// The server stops when the drain is over, and would wait without end for what is open.
    stops: AtomicBool,
    stop_begun: AtomicBool,
    /// The drain is over: the server need not accept any more.
    accepting_is_over: CancellationToken,
    /// `finish()` was called after that: the server's own future has ended.
    server_is_over: CancellationToken,
    listener_is_gone: AtomicBool,
    /// What was open at the server's end.
    stopped: watch::Sender<Option<Open>>,
    pub(crate) severer: Severer,
    report: watch::Sender<Option<LeaveReport>>,
    /// The gateway refused, and the user wants the server to stop then.
    refused: CancellationToken,
    wiring: Wiring,
    was_registered: AtomicBool,
    /// The task was started, or the server serves without it.
    began: AtomicBool,
    pub(super) log: Log,
    said: Mutex<Said>,
}

/// What the log has of the present state.
#[derive(Debug)]
struct Said {
    at: Instant,
    text: String,
    /// The gateway has just taken it, as the last line says.
    registered: bool,
}

/// A failure that lasts is said again this often, where its cause is another one by now.
const REMINDER: Duration = Duration::from_secs(60);

/// Why to leave, and whether a server is there that has requests to finish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaveRequest {
    pub(crate) reason: LeaveReason,
    pub(crate) drain: bool,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// A listener is wrapped; its first poll starts the task.
    Wired(Box<Plan>),
    /// The same, and nothing is registered because of what the check found.
    Faulty,
    Running,
    Left,
}

/// Which parts of the wiring were seen.
#[derive(Debug, Default)]
struct Wiring {
    layer: AtomicBool,
    listener: AtomicBool,
    /// The listener is one of ours.
    wrapped: AtomicBool,
    shutdown: AtomicBool,
    /// Bits of [`Part`]: what was said to be missing.
    said: AtomicU8,
}

/// A part of the wiring that a user may forget.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Part {
    Layer = 1,
    Listener = 2,
    Shutdown = 4,
}

/// A report that is given when everything else is done, also by a log that panics: others wait
/// for it.
struct Due<'a> {
    core: &'a Core,
    report: LeaveReport,
}

/// Leaves when the layer, its services, the listener and every handle are gone.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) core: Arc<Core>,
}

// === impl Stage ===

impl Stage {
    /// Whether a listener may be wrapped.
    fn check_idle(&self) -> Result<(), Error> {
        match self {
            Self::Idle => Ok(()),
            Self::Left => Err(Error::new(
                ErrorKind::Left,
                "this registration has ended: make a new GwagRegistrationLayer for a new one",
            )),
            Self::Wired(_) | Self::Faulty | Self::Running => Err(Error::new(
                ErrorKind::Misuse,
                "this registration already has a listener: make one GwagRegistrationLayer for each",
            )),
        }
    }
}

// === impl Core ===

impl Core {
    pub(crate) fn new(mut options: Options) -> Self {
        let is_disabled = options.is_disabled();
        let state = if is_disabled {
            State::Disabled
        } else {
            State::Idle
        };
        let wiring = Wiring::default();
        // Nothing is missing where nothing is to be registered.
        wiring.listener.store(is_disabled, Ordering::Relaxed);
        Self {
            services: Mutex::new(options.take_services()),
            exempt: Prefixes::new(&options.exempt),
            options,
            in_flight: InFlight::new(),
            proof: Proof::default(),
            stage: Mutex::new(Stage::Idle),
            status: watch::Sender::new(Status::new(state, None)),
            leave: watch::Sender::new(None),
            hurry: CancellationToken::new(),
            leaving: CancellationToken::new(),
            stops: AtomicBool::new(false),
            stop_begun: AtomicBool::new(false),
            accepting_is_over: CancellationToken::new(),
            server_is_over: CancellationToken::new(),
            listener_is_gone: AtomicBool::new(false),
            stopped: watch::Sender::new(None),
            severer: Severer::default(),
            report: watch::Sender::new(None),
            refused: CancellationToken::new(),
            wiring,
            was_registered: AtomicBool::new(false),
            began: AtomicBool::new(false),
            log: Log::default(),
            said: Mutex::new(Said {
                at: Instant::now(),
                text: String::new(),
                registered: false,
            }),
        }
    }

    /// They are only read, or all taken.
    fn services(&self) -> MutexGuard<'_, Vec<Service>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // A stage is replaced whole, so that a panic elsewhere leaves it valid.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.status.borrow().state() == State::Disabled
    }

    /// Checks the options and keeps them for the first poll of a listener.
    pub(crate) fn wire(&self, bound: Option<SocketAddr>) -> Result<(), Error> {
        self.wiring.listener.store(true, Ordering::Relaxed);
        if self.is_disabled() {
            self.say_disabled();
            return Ok(());
        }
        self.stage().check_idle()?;
        let plan = Plan::of(&self.options, &self.services());
        let plan = match plan {
            Err(error) if self.may_serve_unregistered(&error) => {
                let mut stage = self.stage();
                stage.check_idle()?;
                *stage = Stage::Faulty;
                drop(stage);
                self.serve_unregistered(error);
                return Ok(());
            }
            plan => plan?,
        };
        self.log
            .of_services(plan.services.iter().map(Resolved::name));
        // Whether there is any; which one is known once the gateway is.
        address::advertised(&self.options.advertise, bound, &[])?;
        let mut stage = self.stage();
        stage.check_idle()?;
        *stage = Stage::Wired(Box::new(plan));
        Ok(())
    }

    /// Whoever runs it sees why the gateway does not know it.
    fn say_disabled(&self) {
        if self.began.swap(true, Ordering::Relaxed) {
            return;
        }
        let why = match self.options.gateway.is_empty() {
            true => "no gateway is given (GWAG_GATEWAY)",
            false => "it is switched off (GWAG_ENABLED, `Options::disabled_if`)",
        };
        let text = format!("the server serves, and nothing is registered: {why}");
        self.say(Level::INFO, None, &text);
    }

    /// Only where schemas are at fault: other options are wrong from the first start on.
    fn may_serve_unregistered(&self, error: &Error) -> bool {
        let is_wanted = self.options.on_finding == OnFinding::ServeUnregistered;
        let is_of_schemas = |found: &tower_gwag_schema::Findings| {
            let mut errors = found.errors();
            errors.all(|finding| finding.rule().is_allowable())
        };
        is_wanted && error.findings().is_some_and(is_of_schemas)
    }

    fn serve_unregistered(&self, error: Error) {
        let kind = error.kind();
        let found = error.findings();
        let found = found.map(|it| it.errors().map(Finding::in_a_line).collect::<Vec<_>>());
        let message = format!(
            "nothing is registered, and the server serves without the gateway, as \
             `Options::on_finding` wants it, because the check found: {}",
            found.unwrap_or_default().join("; ")
        );
        let reason = Error::new(kind, message).caused_by(error);
        self.began.store(true, Ordering::Relaxed);
        self.set_status(State::Refused, Some(Arc::new(reason)));
    }

    /// The listener was dropped before it was polled: another may be wrapped.
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn unwire(&self) {
        let mut stage = self.stage();
        if let Stage::Wired(_) | Stage::Faulty = *stage {
            *stage = Stage::Idle;
            // Whoever forgets the next one is told again.
            self.wiring.listener.store(false, Ordering::Relaxed);
            self.wiring
                .said
                .fetch_and(!(Part::Listener as u8), Ordering::Relaxed);
        }
    }

    /// Starts the task, once; called at the first poll for a connection.
    pub(crate) fn begin(self: &Arc<Self>, bound: Option<SocketAddr>) {
        let mut stage = self.stage();
        let plan = match std::mem::replace(&mut *stage, Stage::Running) {
            Stage::Wired(plan) => plan,
            // It runs already, or a leave came first.
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        self.began.store(true, Ordering::Relaxed);
        *self.services() = Vec::new();
        for finding in &plan.warnings {
            self.say(Level::WARN, None, &finding.in_a_line());
        }
        let task = supervisor::run(Arc::clone(self), *plan, bound);
        tokio::spawn(task.instrument(self.log.span()));
    }

    /// Asks for leaving; the first request counts.
    pub(crate) fn request_leave(self: &Arc<Self>, request: LeaveRequest) {
        let mut first = false;
        self.leave.send_if_modified(|asked| {
            first = asked.is_none();
            asked.get_or_insert(request);
            first
        });
        if !first {
            return;
        }
        self.in_flight.close();
        let mut stage = self.stage();
        if let Stage::Idle | Stage::Wired(_) | Stage::Faulty = *stage {
            *stage = Stage::Left;
            drop(stage);
            let outcome = if self.is_disabled() {
                LeaveOutcome::Disabled
            } else {
                LeaveOutcome::NothingRegistered
            };
            if request.drain && self.stops() {
                if !self.is_disabled() {
                    self.set_status(State::Leaving, None);
                }
                let leave = drain::leave_unregistered(Arc::clone(self), request.reason, outcome);
                tokio::spawn(leave);
                return;
            }
            self.conclude(Leaving::begin(request.reason, self).report_unregistered(outcome, self));
        }
    }

    pub(super) fn leave_requests(&self) -> watch::Receiver<Option<LeaveRequest>> {
        self.leave.subscribe()
    }

    /// Ends a drain at once.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    pub(super) fn hurried(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Cancelled once the gateway sends no new calls any more.
    pub(crate) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// A shutdown future has had its signal.
    pub(crate) fn server_stops(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    pub(super) fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    /// Resolves when the server may stop accepting.
    pub(crate) async fn may_stop(&self) {
        self.accepting_is_over.cancelled().await;
    }

    /// Lets the server stop, and cuts at `deadline` what is open then; the first call counts.
    pub(super) fn begin_stop(self: &Arc<Self>, deadline: Instant) {
        // A task of its own, which no panic of the registration's ends.
        if !self.stop_begun.swap(true, Ordering::AcqRel) {
            tokio::spawn(drain::stop(Arc::clone(self), deadline));
        }
    }

    /// Resolves at the end of the stop that was begun.
    pub(super) async fn stopped(&self) -> Open {
        let mut stopped = self.stopped.subscribe();
        let open = stopped.wait_for(Option::is_some).await;
        // invariant: the sender is a field of `self`, and the value was just seen to be there.
        open.ok().and_then(|open| *open).unwrap_or_default()
    }

    pub(super) fn set_stopped(&self, open: Open) {
        self.stopped.send_replace(Some(open));
    }

    /// Resolves at the end of leaving and of the stop, for a server that stops: the stop begins
    /// here if the registration has ended without one.
    pub(crate) async fn over(self: &Arc<Self>) {
        self.left().await;
        if !self.stop_begun.load(Ordering::Acquire) {
            let deadline = Instant::now() + self.options.longest_drain();
            let nothing_else = std::future::ready(());
            drain::drain(Arc::clone(self), Duration::ZERO, deadline, nothing_else).await;
        }
        self.stopped().await;
    }

    pub(super) fn accepting_is_over(&self) -> &CancellationToken {
        &self.accepting_is_over
    }

    pub(super) fn server_is_over(&self) -> &CancellationToken {
        &self.server_is_over
    }

    /// Somebody waits for the report only. Before the server could have ended this says nothing.
    pub(super) fn finishes(&self) {
        if self.accepting_is_over.is_cancelled() || self.listener_is_gone.load(Ordering::Relaxed) {
            self.server_is_over.cancel();
        }
    }

    /// The wrapped listener was dropped: the server has ended, or accepts no more.
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn listener_is_gone(&self) {
        self.listener_is_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the end of the server's connections is seen.
    pub(super) fn is_serving_wrapped(&self) -> bool {
        self.wiring.wrapped.load(Ordering::Relaxed)
    }

    /// Whether the layer is there and saw any request, if any came.
    pub(super) fn counts(&self) -> bool {
        let may_have_come = self.severer.was_used() || !self.is_serving_wrapped();
        self.in_flight.arrived() > 0 || self.wiring.layer.load(Ordering::Relaxed) && !may_have_come
    }

    /// The task was started, or the server serves on without it.
    fn began(&self) -> bool {
        self.began.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.in_flight.is_closing()
    }

    pub(super) fn conclude(&self, report: LeaveReport) {
        self.leaving.cancel();
        *self.stage() = Stage::Left;
        let report = Due { core: self, report };
        let level = match (report.report.cleanness(), report.report.outcome) {
            (Cleanness::NotClean, _) => Level::WARN,
            // One that never began, as after an error of `main`, is no news.
            (_, LeaveOutcome::NothingRegistered) if !self.began() => Level::DEBUG,
            _ => Level::INFO,
        };
        let text = report.report.to_string();
        self.log.say(level, State::Left, None, &text);
        if !self.is_disabled() {
            self.set_status(State::Left, None);
        }
        self.emit(&Event::Left(report.report.clone()));
    }

    /// The report, once leaving is over.
    pub(crate) async fn left(&self) -> LeaveReport {
        let mut reports = self.report.subscribe();
        let report = reports.wait_for(Option::is_some).await;
        // invariant: the sender is a field of `self`, and the value was just seen to be there.
        report
            .ok()
            .and_then(|report| report.clone())
            .unwrap_or_else(|| {
                LeaveReport::nothing(LeaveReason::Finished, LeaveOutcome::NothingRegistered, 0)
            })
    }

    /// The gateway refused the content.
    pub(super) fn was_refused(self: &Arc<Self>) {
        if self.options.on_refusal == OnRefusal::Stop {
            self.refused.cancel();
            self.request_leave(LeaveRequest {
                reason: LeaveReason::Refused,
                drain: true,
            });
        }
    }

    /// Cancelled when the server is to stop because the gateway refused.
    pub(crate) fn refused(&self) -> &CancellationToken {
        &self.refused
    }

    pub(super) fn state(&self) -> State {
        self.status.borrow().state()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Sets the status. The same state with the same kind of reason is no change; only its text
    /// is then the latest.
    pub(super) fn set_status(&self, state: State, reason: Option<Arc<Error>>) {
        let next = Status::new(state, reason);
        let mut repeated = 0;
        let mut was = State::Idle;
        let changed = self.status.send_if_modified(|status| {
            let same = status.state() == next.state() && status.reason_kind() == next.reason_kind();
            if same {
                status.explain(&next);
            } else {
                (was, repeated) = (status.state(), status.failures().saturating_sub(1));
                *status = next.clone();
            }
            !same
        });
        let text = next.to_string();
        if !changed {
            return self.remind(&next, &text);
        }
        let said = self.note_said(&text, false);
        let is_news = match state {
            // The first time it says with which gateway.
            State::Registering => was == State::Idle,
            State::Left => false,
            // The line about the entry has said so.
            State::Registered => !said.registered,
            // As it is to be.
            State::Listed => !matches!(was, State::Registering | State::Registered),
            _ => true,
        };
        let level = match is_news {
            true => level_of(state),
            false => Level::DEBUG,
        };
        self.log.say(
            level,
            state,
            next.reason_kind(),
            &with_repeated(text, repeated),
        );
        self.emit(&Event::StatusChanged(next));
    }

    /// A failure whose cause is not what was said of it.
    fn remind(&self, now: &Status, text: &str) {
        let Some(kind) = now.reason_kind() else {
            return;
        };
        {
            let said = self.said();
            if said.text == text || said.at.elapsed() < REMINDER {
                return;
            }
        }
        self.note_said(text, false);
        let line = format!("still {text}");
        self.log
            .say(level_of(now.state()), now.state(), Some(kind), &line);
    }

    /// It is replaced whole, so that it is valid after a panic.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was said before.
    fn note_said(&self, text: &str, registered: bool) -> Said {
        let now = Said {
            at: Instant::now(),
            text: text.to_owned(),
            registered,
        };
        std::mem::replace(&mut *self.said(), now)
    }

    /// Says what happened, with the fields of the registration.
    pub(super) fn say(&self, level: Level, kind: Option<ErrorKind>, text: &str) {
        self.log.say(level, self.state(), kind, text);
    }

    /// The gateway took it.
    pub(super) fn say_registered(&self, event: &Event) {
        let repeated = self.status.borrow().failures().saturating_sub(1);
        self.note_said("", true);
        let line = with_repeated(event.to_string(), repeated);
        self.log.say(Level::INFO, State::Registered, None, &line);
        self.emit(event);
    }

    pub(super) fn latch_ready(&self) {
        self.was_registered.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.was_registered() && !self.is_closing()
    }

    /// The gateway took it at least once, or nobody wants it to.
    pub(crate) fn was_registered(&self) -> bool {
        self.was_registered.load(Ordering::Relaxed) || self.is_disabled()
    }

    pub(super) fn emit(&self, event: &Event) {
        if let Some(callback) = &self.options.on_event
            && std::panic::catch_unwind(AssertUnwindSafe(|| callback(event))).is_err()
        {
            let text = format!("the on_event callback panicked on: {event}");
            self.say(Level::ERROR, None, &text);
        }
    }

    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn saw_wrapped_listener(&self) {
        self.wiring.wrapped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn saw_layer(&self) {
        self.wiring.layer.store(true, Ordering::Relaxed);
    }

    pub(crate) fn saw_shutdown(&self) {
        self.wiring.shutdown.store(true, Ordering::Relaxed);
    }

    /// The server serves: somebody must have wrapped the listener.
    #[inline]
    pub(crate) fn check_listener(&self) {
        if !self.wiring.listener.load(Ordering::Relaxed) {
            self.miss_listener();
        }
    }

    #[cold]
    fn miss_listener(&self) {
        self.complain(
            Part::Listener,
            "the server runs, but nothing is registered, because the listener is not wrapped: \
             serve `registration.listener(listener)?` (axum) or `registration.incoming(listener)?` \
             (tonic), or call `registration.start(address)?`",
        );
    }

    /// Once the gateway has the registration, what is missing by then is missing.
    pub(super) fn check_wiring(&self) {
        if !self.wiring.layer.load(Ordering::Relaxed) {
            self.complain(
                Part::Layer,
                "registered, but the layer is not installed, so that requests in flight are not \
                 counted, and calls that come late may be lost when it leaves: add \
                 `.layer(layer)` to the server or router (axum: last, because it is around the \
                 routes that were added before it only)",
            );
        }
        if !self.wiring.shutdown.load(Ordering::Relaxed) {
            self.complain(
                Part::Shutdown,
                "registered, but the server does not know when to stop: pass \
                 `registration.shutdown(stop_signal())` to `with_graceful_shutdown` (axum) or \
                 `serve_with_incoming_shutdown` (tonic), so that it leaves without losing requests",
            );
        }
    }

    /// The server stops, with calls in flight, and the layer saw none ever.
    pub(super) fn complain_of_the_layer(&self, connections: usize) {
        let text = format!(
            "the server stops while {connections} connections are busy, and the layer has seen no \
             request: they are answered until `drain_timeout`, but not counted; add `.layer(layer)` \
             around all routes (axum: last, because it is around the routes that were added before \
             it only)"
        );
        self.complain(Part::Layer, &text);
    }

    /// For servers of another kind, which have no place for the layer or the shutdown.
    pub(crate) fn wired_by_hand(&self) {
        self.saw_layer();
        self.saw_shutdown();
    }

    fn complain(&self, part: Part, text: &str) {
        // Once it was said, each request only looks.
        if self.wiring.said.load(Ordering::Relaxed) & part as u8 != 0 {
            return;
        }
        let said = self.wiring.said.fetch_or(part as u8, Ordering::Relaxed);
        if said & part as u8 == 0 {
            self.say(Level::WARN, None, text);
            self.emit(&Event::HalfWired(text.to_owned()));
        }
    }
}

fn level_of(state: State) -> Level {
    match state {
        State::Unreachable | State::Blocked => Level::WARN,
        State::Refused | State::Displaced => Level::ERROR,
        _ => Level::INFO,
    }
}

fn with_repeated(mut line: String, repeated: u64) -> String {
    if repeated > 0 {
        // Formatting into a string does not fail.
        let _ = write!(line, "; {repeated} more like the last were not logged");
    }
    line
}

/// The options show no secrets; what is made of them has addresses as they are dialled.
impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("options", &self.options)
            .field("status", &*self.status.borrow())
            .field("in_flight", &self.in_flight.count())
            .finish_non_exhaustive()
    }
}

// === impl Due ===

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.core.report.send_replace(Some(self.report.clone()));
    }
}

// === impl Handle ===

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.request_leave(LeaveRequest {
            reason: LeaveReason::HandlesDropped,
            drain: false,
        });
    }
}
