//! How the task ends: the report, also when its runtime ends under it.

use std::sync::Arc;

use tokio::time::Instant;

use super::Worker;
use crate::drain::Open;
use crate::driver::leaving::Leaving;
use crate::lease::Ending;
use crate::lease::Which;
use crate::status::{HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport};

// === impl Worker ===

impl Worker {
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The runtime ended under us: tells the gateway, and those that wait for the report.
    fn abandoned(&mut self) {
        if self.finished {
            return self.last_resort.act(|_| {});
        }
        let report = self.report_at_the_end(LeaveReason::RuntimeEnded);
        let life = Arc::clone(&self.life);
        self.last_resort
            .act(move |told| life.conclude(as_told(report, told)));
    }

    pub(super) fn report_at_the_end(&mut self, reason: LeaveReason) -> LeaveReport {
        let leaving = self.leaving.take();
        let leaving = leaving.unwrap_or_else(|| Leaving::begin(reason, &self.life));
        self.report(&leaving)
    }

    /// Makes the report, after a last look at what the gateway has.
    pub(super) fn finish(&mut self) {
        if self.last_look.is_some() {
            self.finish_is_due = true;
            return;
        }
        self.finished = true;
        if self.drain.take().is_some() && self.life.drain.stops() {
            // The leave timeout came first.
            self.life.drain.begin_stop(Instant::now());
            let cut = self.life.drain.in_flight.cut();
            if let Some(leaving) = &mut self.leaving {
                leaving.timed_out(Open {
                    cut,
                    ..Open::default()
                });
            }
        }
        if let Some(leaving) = &self.leaving {
            self.life.conclude(self.report(leaving));
        }
    }

    /// What the last look has found; `None` where that cannot be known.
    pub(super) fn looked(&mut self, ghosts: Option<u32>) {
        self.last_look = None;
        if let (Some(leaving), Some(ghosts)) = (&mut self.leaving, ghosts) {
            leaving.ghosts = Some(ghosts);
        }
        if std::mem::take(&mut self.finish_is_due) {
            self.finish();
        }
    }

    fn report(&self, leaving: &Leaving) -> LeaveReport {
        let ending = self.machine.ending(Which::Service);
        let released = self.machine.ending(Which::Hold);
        let mut report = leaving.report(ending, self.caller.hold(), released, &self.life);
        report.abandoned = self.clean_ups.abandoned();
        report.left = self.clean_ups.pending();
        // A gateway that died may still have, in its cluster, what its TTL should have ended; a hold
        // is no replica of the service.
        report.unconfirmed = report.abandoned > report.left
            || self.caller.suspects_ghosts()
            || [Which::Hold, Which::Former]
                .map(|which| self.machine.ending(which))
                .iter()
                .any(|ending| matches!(ending, Ending::Failed | Ending::Unanswered));
        if !report.is_clean() {
            report.failure.clone_from(&self.failure);
        }
        if matches!(report.hold(), HoldOutcome::Missing | HoldOutcome::Unknown) {
            report.hold_failure.clone_from(&self.hold_failure);
        }
        report
    }
}

/// With what became of the last attempt.
pub(super) fn as_told(mut report: LeaveReport, told: Option<bool>) -> LeaveReport {
    if report.hold == HoldOutcome::Unknown && told == Some(true) {
        report.hold = HoldOutcome::Held;
    }
    if report.outcome == LeaveOutcome::NotDeregistered && told == Some(true) {
        report.outcome = LeaveOutcome::Deregistered;
        report.unconfirmed = report.abandoned > report.left;
        report.failure = None;
    }
    report
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.abandoned();
    }
}
