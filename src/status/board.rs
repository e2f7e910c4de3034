//! The observable state of one registration: the status, the events, the log lines.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Level;

use super::event::{Event, EventCallback};
use super::log::Log;
use super::{State, Status, counted};
use crate::error::{Error, ErrorKind};
use crate::metrics::Meter;

/// How often a lasting failure is logged again if its cause has changed.
const REMINDER: Duration = Duration::from_secs(60);

/// The observable state of one registration.
pub(crate) struct Board {
    is_disabled: bool,
    on_event: Option<EventCallback>,
    status: watch::Sender<Status>,
    was_registered: AtomicBool,
    was_routed: AtomicBool,
    /// Signals changes that may affect readiness.
    pulse: watch::Sender<()>,
    pub(crate) log: Log,
    pub(crate) meter: Meter,
    said: Mutex<Said>,
}

/// What the log already says about the current state.
#[derive(Debug)]
struct Said {
    at: Instant,
    text: String,
    /// The last line says that the gateway has just accepted the registration.
    registered: bool,
}

// === impl Board ===

impl Board {
    pub(crate) fn new(is_disabled: bool, on_event: Option<EventCallback>) -> Self {
        let state = match is_disabled {
            true => State::Disabled,
            false => State::Idle,
        };
        Self {
            is_disabled,
            on_event,
            status: watch::Sender::new(Status::new(state, None)),
            was_registered: AtomicBool::new(false),
            was_routed: AtomicBool::new(false),
            pulse: watch::Sender::new(()),
            meter: Meter::default(),
            log: Log::default(),
            said: Mutex::new(Said {
                at: Instant::now(),
                text: String::new(),
                registered: false,
            }),
        }
    }

    /// The registration is disabled.
    pub(crate) fn is_disabled(&self) -> bool {
        self.is_disabled
    }

    pub(crate) fn state(&self) -> State {
        self.status.borrow().state()
    }

    /// Why the state is what it is.
    pub(crate) fn reason(&self) -> Option<Arc<Error>> {
        self.status.borrow().reason.clone()
    }

    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(crate) fn latch_ready(&self) {
        self.was_registered.store(true, Ordering::Relaxed);
        self.beat_pulse();
    }

    /// Whether the gateway has called at least once.
    #[cfg_attr(
        not(any(feature = "axum", feature = "health")),
        allow(dead_code, reason = "for probes")
    )]
    pub(crate) fn was_routed(&self) -> bool {
        self.was_routed.load(Ordering::Relaxed)
    }

    /// Signals changes that may affect readiness.
    #[cfg(feature = "health")]
    pub(crate) fn pulse(&self) -> watch::Receiver<()> {
        self.pulse.subscribe()
    }

    /// Signals that readiness may have changed.
    pub(crate) fn beat_pulse(&self) {
        self.pulse.send_replace(());
    }

    /// Whether the gateway has accepted the registration at least once, or the registration is
    /// disabled.
    pub(crate) fn was_registered(&self) -> bool {
        self.was_registered.load(Ordering::Relaxed) || self.is_disabled
    }

    /// Sets the status. The same state with a reason of the same kind is not a change; it only
    /// updates the text.
    pub(crate) fn set_status(&self, state: State, reason: Option<Arc<Error>>) {
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
        if state == State::Routed {
            self.was_routed.store(true, Ordering::Relaxed);
        }
        self.beat_pulse();
        self.meter.state(state);
        let said = self.note_said(&text, false);
        let is_news = match state {
            // The first line names the gateway; the next one says why it takes long.
            State::Registering => was == State::Idle || next.reason().is_some(),
            State::Left => false,
            // The line about the entry already says this.
            State::Registered => !said.registered,
            // The expected course needs no line.
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

    /// Logs a lasting failure again if its cause has changed.
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

    /// The value is only replaced whole, so it is valid after a panic.
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what was logged, and returns the previous record.
    fn note_said(&self, text: &str, registered: bool) -> Said {
        let now = Said {
            at: Instant::now(),
            text: text.to_owned(),
            registered,
        };
        std::mem::replace(&mut *self.said(), now)
    }

    /// Logs an event with the registration's fields.
    pub(crate) fn say(&self, level: Level, kind: Option<ErrorKind>, text: &str) {
        self.log.say(level, self.state(), kind, text);
    }

    /// Logs that the gateway accepted the registration.
    pub(crate) fn say_registered(&self, event: &Event) {
        let repeated = self.status.borrow().failures().saturating_sub(1);
        self.note_said("", true);
        self.meter.registered();
        // The line has a field for the id.
        let text = match event {
            Event::Registered { ttl, address, .. } => {
                format!("Registered {address}, TTL {} s", ttl.as_secs())
            }
            event => event.to_string(),
        };
        let line = with_repeated(text, repeated);
        self.log.say(Level::INFO, State::Registered, None, &line);
        self.emit(event);
    }

    pub(crate) fn emit(&self, event: &Event) {
        if let Some(callback) = &self.on_event
            && std::panic::catch_unwind(AssertUnwindSafe(|| callback(event))).is_err()
        {
            let text = format!("the on_event callback panicked on: {event}");
            self.say(Level::ERROR, None, &text);
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
        let failures = counted(
            usize::try_from(repeated).unwrap_or(usize::MAX),
            "more failure like the last was",
            "more failures like the last were",
        );
        // Writing to a `String` does not fail.
        let _ = write!(line, "; {failures} not logged");
    }
    line
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&*self.status.borrow(), f)
    }
}
