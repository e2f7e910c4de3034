//! How the task ends or recovers: the report, also if the runtime ends first, and what follows a
//! panic.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::{Worker, machine};
use crate::control::ControlPlane;
use crate::drain::Open;
use crate::driver::leave_record::Leaving;
use crate::lease::{Ending, LeaseKind};
use crate::observe::slots::Before;
use crate::pace::Pace;
use crate::status::{HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport};

/// How long to wait for a call that is in flight at a panic.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Worker ===

impl Worker {
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The runtime ended first: deregisters, and hands out the report.
    fn abandoned(&mut self) {
        let calls = self.last_calls();
        if self.finished {
            return self.last_resort.act(calls, |_| {});
        }
        let report = self.report_at_the_end(LeaveReason::RuntimeEnded);
        let life = Arc::clone(&self.life);
        let in_doubt = self.is_in_doubt();
        self.last_resort.act(calls, move |told| {
            life.conclude(as_told(report, told, in_doubt));
        });
    }

    /// Takes the Deregisters of all entries on the gateway, once.
    pub(super) fn last_calls(&mut self) -> Vec<(LeaseKind, ControlPlane, String)> {
        if std::mem::replace(&mut self.is_over, true) {
            return Vec::new();
        }
        let entries = self.machine.entries_to_the_last();
        entries.map(|entry| self.calls.last_call(entry)).collect()
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

    /// Records the result of the last look; `None` if it cannot be known.
    pub(super) fn looked(&mut self, ghosts: Option<u32>) {
        self.last_look = None;
        if let (Some(leaving), Some(ghosts)) = (&mut self.leaving, ghosts) {
            leaving.ghosts = Some(ghosts);
        }
        if std::mem::take(&mut self.finish_is_due) {
            self.finish();
        }
    }

    /// The gateway may have an entry whose id nobody knows.
    fn is_in_doubt(&self) -> bool {
        self.calls.ghosts().are_suspected() || self.calls.are_in_doubt()
    }

    fn report(&self, leaving: &Leaving) -> LeaveReport {
        let ending = self.machine.ending(LeaseKind::Service);
        let released = self.machine.ending(LeaseKind::Hold);
        let mut report = leaving.report(ending, self.calls.hold(), released, &self.life);
        report.abandoned = self.clean_ups.abandoned();
        report.pending = self.clean_ups.pending();
        // The cluster of a dead gateway may still have what its TTL should have ended; a hold is
        // not a replica of the service.
        report.unconfirmed = report.abandoned > report.pending
            || self.is_in_doubt()
            || [LeaseKind::Hold, LeaseKind::Former]
                .map(|which| self.machine.ending(which))
                .iter()
                .any(|ending| matches!(ending, Ending::Failed | Ending::Unanswered));
        if !report.is_clean() && self.failure.is_some() {
            report.failure.clone_from(&self.failure);
        }
        if matches!(report.hold(), HoldOutcome::Missing | HoldOutcome::Unknown) {
            report.hold_failure.clone_from(&self.hold_failure);
        }
        report
    }

    /// After a panic, a new machine in a consistent state takes over the entries, so that calls
    /// keep coming.
    pub(crate) async fn recover(&mut self) {
        (self.drain, self.probe) = (None, None);
        (self.last_look, self.finish_is_due) = (None, false);
        self.read_back.pause();
        self.watch_connection();
        let now = Instant::now();
        let rest = |end: Instant| end.saturating_duration_since(now);
        if let Some(mut call) = self.call.take() {
            let patience = match self.leave {
                Some((_, end)) => SETTLE_TIMEOUT.min(rest(end) / 4),
                None => SETTLE_TIMEOUT,
            };
            match timeout(patience, &mut call).await {
                Ok(Ok(reply)) => {
                    self.clean_up_elsewhere(&reply);
                    self.machine.note(&reply.call, &reply.answer, super::now());
                }
                Ok(Err(_)) => {}
                Err(_) => {
                    let gateway = self.machine.gateway();
                    let take_back = self.calls.take_back(gateway, call);
                    self.clean_ups.spawn(take_back, now + SETTLE_TIMEOUT);
                }
            }
        }
        let config = self.calls.config();
        // A different sequence of jitter than the one that led here.
        let pace = Pace::new(config.heartbeat_interval, config.seed.rotate_left(17));
        let leave_timeout = self
            .leave
            .map_or(config.leave_timeout, |(_, end)| rest(end));
        let mut machine = machine(&self.calls, pace, leave_timeout);
        machine.succeed(&self.machine);
        for entry in self.machine.entries() {
            machine.adopt(entry, super::now());
        }
        self.machine = machine;
        if self.leave.is_some() {
            self.slots.pause();
        } else if self.machine.waits_for_slots() {
            self.wait_for_slots(true);
        } else if self.machine.holds_the_service() && !self.machine.is_withdrawn() {
            // What was seen before the panic is no longer known.
            let mut entries = self.machine.entries();
            let service = entries.find(|it| it.kind == LeaseKind::Service);
            let own = service.map(|it| it.id.clone()).unwrap_or_default();
            let before = Before {
                aside: self.slots.without().clone(),
                ..Before::default()
            };
            self.registered = (own, before);
            // Done by the task itself, because it may panic, too.
            self.looks_due = true;
        } else {
            self.slots.pause();
        }
    }

    /// Ends the registration after too many panics.
    pub(crate) async fn give_up(&mut self) {
        let (done, told) = oneshot::channel();
        let calls = self.last_calls();
        self.last_resort.act(calls, |told| {
            // Whoever waited may be gone.
            let _ = done.send(told);
        });
        let told = told.await.ok().flatten();
        let report = self.report_at_the_end(LeaveReason::Panicked);
        let in_doubt = self.is_in_doubt();
        self.life.conclude(as_told(report, told, in_doubt));
        self.finished = true;
    }
}

/// Adds the result of the last attempt to the report.
pub(super) fn as_told(mut report: LeaveReport, told: Option<bool>, in_doubt: bool) -> LeaveReport {
    if report.hold == HoldOutcome::Unknown && told == Some(true) {
        report.hold = HoldOutcome::Held;
    }
    if report.outcome == LeaveOutcome::NotDeregistered && told == Some(true) {
        report.outcome = LeaveOutcome::Deregistered;
        report.unconfirmed = report.abandoned > report.pending || in_doubt;
        report.failure = None;
    }
    report
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop_identity_watch();
        self.abandoned();
    }
}
