//! What the task does after a panic.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::conclusion::as_told;
use super::{Worker, machine};
use crate::lease::Which;
use crate::observe::slots::Before;
use crate::pace::Pace;
use crate::status::LeaveReason;

/// How long a call that is in flight at a panic is waited for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Worker ===

impl Worker {
    /// After a panic: a new machine, in which nothing is out of order, takes over what is
    /// registered, so that calls go on coming.
    pub(crate) async fn recover(&mut self) {
        (self.drain, self.probe) = (None, None);
        (self.last_look, self.finish_is_due) = (None, false);
        self.read_back.pause();
        self.watch_connection();
        let now = Instant::now();
        let rest = |end: Instant| end.saturating_duration_since(now);
        if let Some(mut call) = self.call.take() {
            let patience = match self.left {
                Some((_, end)) => SETTLE_TIMEOUT.min(rest(end) / 4),
                None => SETTLE_TIMEOUT,
            };
            match timeout(patience, &mut call).await {
                Ok(Ok(reply)) => self.note_lease(&reply),
                Ok(Err(_)) => {}
                Err(_) => {
                    let gateway = self.machine.gateway();
                    let take_back = self.caller.take_back(gateway, call);
                    self.clean_ups.spawn(take_back, now + SETTLE_TIMEOUT);
                }
            }
        }
        let config = self.caller.config();
        // Another sequence than the one that led here.
        let pace = Pace::new(config.heartbeat_interval, config.seed.rotate_left(17));
        let leave_timeout = self.left.map_or(config.leave_timeout, |(_, end)| rest(end));
        let mut machine = machine(&self.caller, pace, leave_timeout);
        machine.succeed(&self.machine);
        for (which, id, ttl) in self.last_resort.held() {
            machine.adopt(which, id, ttl, Instant::now());
        }
        self.machine = machine;
        if self.left.is_some() {
            self.slots.pause();
        } else if self.machine.waits_for_slots() {
            self.wait_for_slots(true);
        } else if self.machine.holds_the_service() && !self.machine.is_withdrawn() {
            // What was seen before the panic is not known any more.
            let is_service = |it: &(Which, String, Duration)| it.0 == Which::Service;
            let service = self.last_resort.held().find(is_service);
            let own = service.map(|(_, id, _)| id).unwrap_or_default();
            let before = Before {
                aside: self.slots.without().clone(),
                ..Before::default()
            };
            self.registered = (own, before);
            // By the task itself: it may panic, too.
            self.looks_due = true;
        } else {
            self.slots.pause();
        }
    }

    /// Ends the registration after too many panics.
    pub(crate) async fn give_up(&mut self) {
        let (done, told) = oneshot::channel();
        self.last_resort.act(|told| {
            // Nobody waits any more.
            let _ = done.send(told);
        });
        let told = told.await.ok().flatten();
        let report = self.report_at_the_end(LeaveReason::Panicked);
        self.life.conclude(as_told(report, told));
        self.finished = true;
    }
}
