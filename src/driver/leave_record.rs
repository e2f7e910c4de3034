//! Records the steps of leaving for the report.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::life::Life;
use crate::drain::Open;
use crate::error::Error;
use crate::lease::Ending;
use crate::lease::Hold;
use crate::status::{HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport};

/// The steps of leaving, recorded as they happen.
#[derive(Debug)]
pub(crate) struct Leaving {
    reason: LeaveReason,
    since: Instant,
    withdrawn: Option<Instant>,
    drained: Option<Instant>,
    in_flight: usize,
    arrived: u32,
    held: bool,
    open: Open,
    /// Why the service was not registered when leaving began, if it is known.
    why: Option<Arc<Error>>,
    pub(crate) ghosts: Option<u32>,
}

// === impl Leaving ===

impl Leaving {
    pub(crate) fn begin(reason: LeaveReason, life: &Life) -> Self {
        let in_flight = &life.drain.in_flight;
        Self {
            reason,
            since: Instant::now(),
            withdrawn: None,
            drained: None,
            in_flight: in_flight.count(),
            arrived: in_flight.arrived(),
            held: false,
            open: Open::default(),
            why: life.board.reason(),
            ghosts: None,
        }
    }

    /// The gateway has deregistered the service, or cannot be reached.
    pub(crate) fn withdrawn(&mut self, held: bool) {
        self.withdrawn = Some(Instant::now());
        self.held = held;
    }

    /// The drain is over with `open` left; if the hold was gone by then, it had no effect.
    pub(crate) fn drained(&mut self, held: bool, open: Open) {
        self.open = open;
        self.drained = Some(Instant::now());
        self.held &= held;
    }

    /// The drain timed out, and `open` was ended.
    pub(crate) fn timed_out(&mut self, open: Open) {
        self.open = open;
        self.drained = Some(Instant::now());
    }

    /// `hold` is `None` if none is needed; `released` is what became of its entry.
    pub(crate) fn report(
        &self,
        ending: Ending,
        hold: Option<Hold>,
        released: Ending,
        life: &Life,
    ) -> LeaveReport {
        let outcome = match ending {
            Ending::NothingHeld => LeaveOutcome::NothingRegistered,
            Ending::Deregistered => LeaveOutcome::Deregistered,
            Ending::Failed => LeaveOutcome::NotDeregistered,
            Ending::Unanswered => LeaveOutcome::Unanswered,
        };
        let mut report = self.report_unregistered(outcome, life);
        report.hold = match hold {
            None => HoldOutcome::NotNeeded,
            Some(Hold::Off) => HoldOutcome::Off,
            // Nothing came through the gateway, or no server was there to answer it.
            Some(_) if ending == Ending::NothingHeld || !life.board.was_registered() => {
                HoldOutcome::NotNeeded
            }
            Some(_) if self.withdrawn.is_none() => HoldOutcome::NotNeeded,
            Some(_) if self.held && released == Ending::Deregistered => HoldOutcome::Held,
            Some(_) if self.held => HoldOutcome::Unknown,
            Some(_) => HoldOutcome::Missing,
        };
        report
    }

    pub(crate) fn report_unregistered(&self, outcome: LeaveOutcome, life: &Life) -> LeaveReport {
        let now = Instant::now();
        let withdrawn = self.withdrawn.unwrap_or(now);
        let drained = self.drained.unwrap_or(now);
        let in_flight = &life.drain.in_flight;
        let mut report = LeaveReport::nothing(self.reason, outcome, self.in_flight);
        if outcome == LeaveOutcome::NothingRegistered {
            report.failure.clone_from(&self.why);
        }
        report.counted = life.drain.counts();
        report.late = in_flight.arrived_since(self.arrived);
        let open = match self.drained {
            Some(_) => self.open,
            // Nothing waited for these calls; a server that stops later will.
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

/// The end of a registration that never began, while its server stops.
pub(crate) async fn leave_unregistered(
    life: Arc<Life>,
    reason: LeaveReason,
    outcome: LeaveOutcome,
) {
    let leaving = Leaving::begin(reason, &life);
    let mut ending = Unregistered {
        life,
        leaving,
        outcome,
    };
    ending.leaving.withdrawn(false);
    let drain = Arc::clone(&ending.life.drain);
    drain.leaving().cancel();
    let deadline = drain.deadline();
    let others = std::future::ready(());
    let open = drain.wait(Duration::ZERO, deadline, others).await;
    ending.leaving.drained(false, open);
}

/// Makes the report, also when the runtime ends first.
struct Unregistered {
    life: Arc<Life>,
    leaving: Leaving,
    outcome: LeaveOutcome,
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        let report = self.leaving.report_unregistered(self.outcome, &self.life);
        self.life.conclude(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn a_report_cuts_nothing() {
        let life = Life::new(Options::disabled());
        let leaving = Leaving::begin(LeaveReason::Signal, &life);
        life.drain.server_stops();
        let mut call = life.drain.in_flight.counts(false);
        let report = leaving.report_unregistered(LeaveOutcome::Disabled, &life);
        assert_eq!((report.cut(), report.unfinished()), (0, 1), "{report}");
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.poll_cut(&mut cx).is_pending(), "it goes on");
    }
}
