//! The life of one registration: a listener is wrapped, its first poll starts the task, and the
//! first request to leave ends it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::advertised_address;
use super::leave_record::{Leaving, leave_unregistered};
use super::supervisor;
use crate::drain::{Drain, InFlight};
use crate::error::{Error, ErrorKind};
use crate::health::Readiness;
use crate::observe::proof::Proof;
use crate::options::{Config, LONGEST_TIMEOUT, OnFinding, OnRefusal, Options};
use crate::status::{Board, Cleanness, Event, LeaveOutcome, LeaveReason, LeaveReport, State};
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::service::Resolved;
use tracing::{Instrument, Level};

/// Shared by everything that belongs to one registration.
pub(crate) struct Life {
    pub(crate) board: Arc<Board>,
    pub(crate) drain: Arc<Drain>,
    pub(crate) proof: Arc<Proof>,
    /// Held until the task begins and takes the configuration; they may be large.
    options: Mutex<Option<Options>>,
    on_finding: OnFinding,
    on_refusal: OnRefusal,
    pub(crate) readiness: Readiness,
    stage: Mutex<Stage>,
    /// The task was started, or the server serves without it.
    began: AtomicBool,
    leave: watch::Sender<Option<LeaveRequest>>,
    report: watch::Sender<Option<LeaveReport>>,
    /// The gateway refused, and `OnRefusal::Stop` is set.
    refused: CancellationToken,
}

/// Why to leave, and whether a server has requests to finish.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaveRequest {
    pub(crate) reason: LeaveReason,
    pub(crate) drain: bool,
}

#[derive(Debug)]
enum Stage {
    Idle,
    /// A listener is wrapped; its first poll starts the task.
    Wired(Box<Config>),
    /// Like `Wired`, but nothing is registered because of the check's findings.
    Faulty,
    Running,
    Left,
}

/// A report that is delivered after everything else, even if logging panics: others wait for it.
struct Due<'a> {
    life: &'a Life,
    report: LeaveReport,
}

/// Leaves when the layer, its services, the listener and every handle are gone.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) life: Arc<Life>,
}

// === impl Stage ===

impl Stage {
    /// Whether a listener may be wrapped.
    fn check_idle(&self) -> Result<(), Error> {
        match self {
            Self::Idle => Ok(()),
            Self::Left => Err(Error::new(
                ErrorKind::Left,
                "this registration has ended: create a new GwagRegistrationLayer",
            )),
            Self::Wired(_) | Self::Faulty | Self::Running => Err(Error::new(
                ErrorKind::Misuse,
                "this registration already has a listener: create one GwagRegistrationLayer for \
                 each listener",
            )),
        }
    }
}

// === impl Life ===

impl Life {
    pub(crate) fn new(options: Options) -> Self {
        let board = Board::new(options.is_disabled(), options.on_event.clone());
        let board = Arc::new(board);
        let drain = Drain::new(
            InFlight::new(options.drains_event_streams),
            &options.exempt,
            // Longer ones are refused, but a disabled registration is not checked.
            options.longest_drain().min(LONGEST_TIMEOUT),
            Arc::clone(&board),
        );
        Self {
            board,
            drain: Arc::new(drain),
            proof: Arc::default(),
            on_finding: options.on_finding,
            on_refusal: options.on_refusal,
            readiness: options.readiness.unwrap_or_default(),
            options: Mutex::new(Some(options)),
            stage: Mutex::new(Stage::Idle),
            began: AtomicBool::new(false),
            leave: watch::Sender::new(None),
            report: watch::Sender::new(None),
            refused: CancellationToken::new(),
        }
    }

    fn options(&self) -> MutexGuard<'_, Option<Options>> {
        // Only read or taken whole, so valid after a panic elsewhere.
        self.options.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // A stage is only replaced whole, so it is valid after a panic elsewhere.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the options and keeps them for the first poll of a listener.
    pub(crate) fn wire(&self, bound: Option<SocketAddr>) -> Result<(), Error> {
        self.drain.wiring.saw_listener();
        if self.board.is_disabled() {
            self.say_disabled();
            return Ok(());
        }
        self.stage().check_idle()?;
        let config = match &*self.options() {
            Some(options) => Config::of(options),
            // The task has just taken them.
            None => return Stage::Running.check_idle(),
        };
        let config = match config {
            Err(error) if self.may_serve_unregistered(&error) => {
                let mut stage = self.stage();
                stage.check_idle()?;
                *stage = Stage::Faulty;
                drop(stage);
                self.serve_unregistered(error);
                return Ok(());
            }
            config => config?,
        };
        self.board
            .log
            .of_services(config.services.iter().map(Resolved::name));
        let names: Vec<String> = config.services.iter().map(Resolved::name).collect();
        self.board.meter.of_services(&names.join(","));
        // Only whether there is an address; the gateway decides which one.
        advertised_address::advertised(&config.advertise, bound, &[])?;
        self.readiness.check(&config.advertise, bound)?;
        let mut stage = self.stage();
        stage.check_idle()?;
        *stage = Stage::Wired(Box::new(config));
        Ok(())
    }

    /// Tells operators why the gateway does not know the service.
    fn say_disabled(&self) {
        if self.began.swap(true, Ordering::Relaxed) {
            return;
        }
        let has_none = |it: &Options| it.gateway.is_empty();
        let why = match self.options().as_ref().is_some_and(has_none) {
            true => "no gateway is set (GWAG_GATEWAY)",
            false => "registration is switched off (GWAG_ENABLED, `Options::disabled_if`)",
        };
        let text = format!("the server runs without a registration: {why}");
        self.board.say(Level::INFO, None, &text);
    }

    /// Only for errors in schemas: other wrong options fail at the very first start.
    fn may_serve_unregistered(&self, error: &Error) -> bool {
        let is_wanted = self.on_finding == OnFinding::ServeUnregistered;
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
            "the server runs without a registration, as `Options::on_finding` asks for, because \
             the check found: {}",
            found.unwrap_or_default().join("; ")
        );
        let reason = Error::new(kind, message).caused_by(error);
        self.began.store(true, Ordering::Relaxed);
        self.board.beat_pulse();
        self.board
            .set_status(State::Refused, Some(Arc::new(reason)));
    }

    /// The listener was dropped before it was polled: another one may be wrapped.
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn unwire(&self) {
        let mut stage = self.stage();
        if let Stage::Wired(_) | Stage::Faulty = *stage {
            *stage = Stage::Idle;
            self.drain.wiring.lost_listener();
        }
    }

    /// Starts the task once, at the first poll for a connection.
    pub(crate) fn begin(self: &Arc<Self>, bound: Option<SocketAddr>) {
        let mut stage = self.stage();
        let config = match std::mem::replace(&mut *stage, Stage::Running) {
            Stage::Wired(config) => config,
            // The task already runs, or leaving came first.
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        self.began.store(true, Ordering::Relaxed);
        self.board.beat_pulse();
        #[cfg(feature = "metrics")]
        crate::metrics::Meter::sample(self);
        *self.options() = None;
        for finding in &config.warnings {
            self.board.say(Level::WARN, None, &finding.in_a_line());
        }
        let task = supervisor::run(Arc::clone(self), *config, bound);
        tokio::spawn(task.instrument(self.board.log.span()));
    }

    /// Asks the registration to leave; only the first request counts.
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
        self.drain.in_flight.close();
        self.board.beat_pulse();
        let mut stage = self.stage();
        if let Stage::Idle | Stage::Wired(_) | Stage::Faulty = *stage {
            *stage = Stage::Left;
            drop(stage);
            let is_disabled = self.board.is_disabled();
            let outcome = match is_disabled {
                true => LeaveOutcome::Disabled,
                false => LeaveOutcome::NothingRegistered,
            };
            if request.drain && self.drain.stops() {
                if !is_disabled {
                    self.board.set_status(State::Leaving, None);
                }
                let leave = leave_unregistered(Arc::clone(self), request.reason, outcome);
                tokio::spawn(leave);
                return;
            }
            self.conclude(Leaving::begin(request.reason, self).report_unregistered(outcome, self));
        }
    }

    pub(crate) fn leave_requests(&self) -> watch::Receiver<Option<LeaveRequest>> {
        self.leave.subscribe()
    }

    /// Resolves at the end of leaving and of the server's stop; begins the stop if the registration
    /// ended without one.
    pub(crate) async fn over(&self) {
        self.ended().await;
        self.drain.over().await;
    }

    pub(crate) fn conclude(&self, report: LeaveReport) {
        self.drain.leaving().cancel();
        *self.stage() = Stage::Left;
        let report = Due { life: self, report };
        let level = match (report.report.cleanness(), report.report.outcome()) {
            (Cleanness::NotClean, _) => Level::WARN,
            // A registration that never began, as after an error in `main`, is not worth a log
            // line.
            (_, LeaveOutcome::NothingRegistered) if !self.began.load(Ordering::Relaxed) => {
                Level::DEBUG
            }
            _ => Level::INFO,
        };
        let text = report.report.to_string();
        self.board.log.say(level, State::Left, None, &text);
        if !self.board.is_disabled() {
            self.board.set_status(State::Left, None);
        }
        self.board.meter.left(&report.report);
        self.board.emit(&Event::Left(report.report.clone()));
    }

    /// The report, once leaving is over.
    pub(crate) async fn ended(&self) -> LeaveReport {
        let mut reports = self.report.subscribe();
        let report = reports.wait_for(Option::is_some).await;
        // invariant: `self` owns the sender, and the value was just seen.
        report
            .ok()
            .and_then(|report| report.clone())
            .unwrap_or_else(|| {
                LeaveReport::nothing(LeaveReason::Finished, LeaveOutcome::NothingRegistered, 0)
            })
    }

    /// The gateway refused the content.
    pub(crate) fn was_refused(self: &Arc<Self>) {
        if self.on_refusal == OnRefusal::Stop {
            self.refused.cancel();
            self.request_leave(LeaveRequest {
                reason: LeaveReason::Refused,
                drain: true,
            });
        }
    }

    /// Cancelled when the server must stop because the gateway refused.
    pub(crate) fn refused(&self) -> &CancellationToken {
        &self.refused
    }

    /// Leaving was asked for.
    pub(crate) fn is_closing(&self) -> bool {
        self.drain.in_flight.is_closing()
    }

    /// The task was started, or the server serves without it.
    #[cfg_attr(
        not(any(feature = "axum", feature = "health")),
        allow(dead_code, reason = "for probes")
    )]
    pub(crate) fn began(&self) -> bool {
        self.began.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.board.was_registered() && !self.is_closing()
    }
}

/// Options show no secrets, but the configuration has addresses as they are dialled.
impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life")
            .field("options", &*self.options())
            .field("status", &self.board)
            .field("in_flight", &self.drain.in_flight.count())
            .finish_non_exhaustive()
    }
}

// === impl Due ===

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.life.report.send_replace(Some(self.report.clone()));
    }
}

// === impl Handle ===

impl Drop for Handle {
    fn drop(&mut self) {
        self.life.request_leave(LeaveRequest {
            reason: LeaveReason::HandlesDropped,
            drain: false,
        });
    }
}
