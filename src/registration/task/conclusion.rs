//! How the task ends: the report, also when its runtime ends under it.

use tokio::time::Instant;

use super::Worker;
use crate::registration::lease::Ending;
use crate::registration::leaving::Leaving;
use crate::registration::machine::Which;
use crate::registration::report::{HoldOutcome, LeaveReason};

// === impl Worker ===

impl Worker {
    pub(in crate::registration) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The runtime ended under us: tells the gateway, and those that wait for the report.
    fn abandoned(&mut self) {
        let told = self.last_resort.act();
        if !self.finished {
            self.conclude_as_told(LeaveReason::RuntimeEnded, told);
        }
    }

    pub(super) fn conclude_as_told(&mut self, reason: LeaveReason, told: Option<bool>) {
        let ending = match (self.machine.ending(Which::Service), told) {
            (Ending::Failed, Some(true)) => Ending::Deregistered,
            (ending, _) => ending,
        };
        let leaving = self.leaving.take();
        let leaving = leaving.unwrap_or_else(|| Leaving::begin(reason, &self.core));
        self.conclude(&leaving, ending);
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
        if self.drain.take().is_some() && self.core.stops() {
            // The leave timeout came first.
            self.core.begin_stop(Instant::now());
        }
        if let Some(leaving) = &self.leaving {
            self.conclude(leaving, self.machine.ending(Which::Service));
        }
    }

    fn conclude(&self, leaving: &Leaving, ending: Ending) {
        let mut report = leaving.report(ending, self.caller.hold(), &self.core);
        report.abandoned = self.abandoned + self.clean_ups.len();
        if !report.is_clean() {
            report.failure.clone_from(&self.failure);
        }
        if report.hold() == HoldOutcome::Missing {
            report.hold_failure.clone_from(&self.hold_failure);
        }
        self.core.conclude(report);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.abandoned();
    }
}
