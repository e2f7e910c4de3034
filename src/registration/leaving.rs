//! What is noted down while leaving, for the report.

use tokio::time::Instant;

use super::core::Core;
use super::drain::Open;
use super::hold::Hold;
use super::lease::Ending;
use super::report::{HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport};

/// The steps of leaving, as they happen.
#[derive(Debug)]
pub(super) struct Leaving {
    reason: LeaveReason,
    since: Instant,
    withdrawn: Option<Instant>,
    drained: Option<Instant>,
    in_flight: usize,
    arrived: u32,
    held: bool,
    open: Open,
    pub(super) ghosts: Option<u32>,
}

// === impl Leaving ===

impl Leaving {
    pub(super) fn begin(reason: LeaveReason, core: &Core) -> Self {
        let in_flight = &core.in_flight;
        Self {
            reason,
            since: Instant::now(),
            withdrawn: None,
            drained: None,
            in_flight: in_flight.count(),
            arrived: in_flight.arrived(),
            held: false,
            open: Open::default(),
            ghosts: None,
        }
    }

    /// The gateway knows, or cannot be told.
    pub(super) fn withdrawn(&mut self, held: bool) {
        self.withdrawn = Some(Instant::now());
        self.held = held;
    }

    /// The wait for calls in flight is over, and `open` was left; a hold that is gone by now was
    /// of no use.
    pub(super) fn drained(&mut self, held: bool, open: Open) {
        self.open = open;
        self.drained = Some(Instant::now());
        self.held &= held;
    }

    /// The wait for calls in flight was given up, and `open` ended.
    pub(super) fn timed_out(&mut self, open: Open) {
        self.open = open;
        self.drained = Some(Instant::now());
    }

    /// `hold` is `None` where none is needed.
    pub(super) fn report(&self, ending: Ending, hold: Option<Hold>, core: &Core) -> LeaveReport {
        let outcome = match ending {
            Ending::NothingHeld => LeaveOutcome::NothingRegistered,
            Ending::Deregistered => LeaveOutcome::Deregistered,
            Ending::Failed => LeaveOutcome::NotDeregistered,
            Ending::Unanswered => LeaveOutcome::Unanswered,
        };
        let mut report = self.report_unregistered(outcome, core);
        report.hold = match hold {
            None => HoldOutcome::NotNeeded,
            Some(Hold::Off) => HoldOutcome::Off,
            // Nothing came through the gateway, or nobody was there to answer it.
            Some(_) if ending == Ending::NothingHeld || !core.was_registered() => {
                HoldOutcome::NotNeeded
            }
            Some(_) if self.withdrawn.is_none() => HoldOutcome::NotNeeded,
            Some(_) if self.held => HoldOutcome::Held,
            Some(_) => HoldOutcome::Missing,
        };
        report
    }

    pub(super) fn report_unregistered(&self, outcome: LeaveOutcome, core: &Core) -> LeaveReport {
        let now = Instant::now();
        let withdrawn = self.withdrawn.unwrap_or(now);
        let drained = self.drained.unwrap_or(now);
        let in_flight = &core.in_flight;
        let mut report = LeaveReport::nothing(self.reason, outcome, self.in_flight);
        report.counted = core.counts();
        report.late = in_flight.arrived_since(self.arrived);
        let open = match self.drained {
            Some(_) => self.open,
            // Nobody waited for them; a server that stops later does.
            None => Open {
                unfinished: in_flight.open(),
                ..Open::default()
            },
        };
        report.cut = open.cut;
        report.unfinished = open.unfinished;
        report.severed = open.severed;
        report.ghosts = self.ghosts;
        report.withdrawal = withdrawn - self.since;
        report.drain = drained - withdrawn;
        report.release = now - drained;
        report
    }
}
