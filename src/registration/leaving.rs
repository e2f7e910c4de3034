//! What is noted down while leaving, for the report.

use tokio::time::Instant;

use super::hold::Hold;
use super::in_flight::InFlight;
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
    arrived: u64,
    held: bool,
    open: usize,
    pub(super) ghosts: Option<u32>,
}

// === impl Leaving ===

impl Leaving {
    pub(super) fn begin(reason: LeaveReason, in_flight: &InFlight) -> Self {
        Self {
            reason,
            since: Instant::now(),
            withdrawn: None,
            drained: None,
            in_flight: in_flight.count(),
            arrived: in_flight.arrived(),
            held: false,
            open: 0,
            ghosts: None,
        }
    }

    /// The gateway knows, or cannot be told.
    pub(super) fn withdrawn(&mut self, held: bool) {
        self.withdrawn = Some(Instant::now());
        self.held = held;
    }

    /// The wait for calls in flight is over, and `open` were left; a hold that is gone by now was
    /// of no use.
    pub(super) fn drained(&mut self, held: bool, open: usize) {
        self.open = open;
        self.drained = Some(Instant::now());
        self.held &= held;
    }

    /// `hold` is `None` where none is needed; what is open is cut if the server stops.
    pub(super) fn report(
        &self,
        ending: Ending,
        hold: Option<Hold>,
        stops: bool,
        in_flight: &InFlight,
    ) -> LeaveReport {
        let now = Instant::now();
        let withdrawn = self.withdrawn.unwrap_or(now);
        let drained = self.drained.unwrap_or(now);
        let outcome = match ending {
            Ending::NothingHeld => LeaveOutcome::NothingRegistered,
            Ending::Deregistered => LeaveOutcome::Deregistered,
            Ending::Failed => LeaveOutcome::NotDeregistered,
            Ending::Unanswered => LeaveOutcome::Unanswered,
        };
        let hold = match hold {
            None => HoldOutcome::NotNeeded,
            Some(Hold::Off) => HoldOutcome::Off,
            // Nothing came through the gateway, or nobody was there to answer it.
            Some(_) if ending == Ending::NothingHeld || self.withdrawn.is_none() => {
                HoldOutcome::NotNeeded
            }
            Some(_) if self.held => HoldOutcome::Held,
            Some(_) => HoldOutcome::Missing,
        };
        let mut report = LeaveReport::nothing(self.reason, outcome, self.in_flight);
        report.hold = hold;
        report.late = in_flight.arrived() - self.arrived;
        match (self.drained, stops) {
            (Some(_), true) => report.cut = self.open,
            (Some(_), false) => report.unfinished = self.open,
            (None, true) => report.cut = in_flight.cut(),
            (None, false) => report.unfinished = in_flight.open(),
        }
        report.ghosts = self.ghosts;
        report.withdrawal = withdrawn - self.since;
        report.drain = drained - withdrawn;
        report.release = now - drained;
        report
    }
}
