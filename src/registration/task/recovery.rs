//! What the task does after a panic.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Worker, machine};
use crate::registration::last_resort::LastResort;
use crate::registration::pace::{Pace, random_seed};
use crate::registration::report::LeaveReason;

/// How long a call that is in flight at a panic is waited for.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Worker ===

impl Worker {
    /// After a panic: a new machine, in which nothing is out of order, takes over what is
    /// registered, so that calls go on coming.
    pub(in crate::registration) async fn recover(&mut self) {
        (self.drain, self.probe) = (None, None);
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
                    self.clean_ups.spawn(self.caller.take_back(gateway, call));
                }
            }
        }
        let options = &self.core.options;
        let pace = Pace::new(options.heartbeat_interval, random_seed());
        let leave_timeout = self
            .left
            .map_or(options.leave_timeout, |(_, end)| rest(end));
        let mut machine = machine(&self.caller, pace, leave_timeout);
        machine.succeed(&self.machine);
        for (which, id, ttl) in self.last_resort.held() {
            machine.adopt(which, id, ttl, Instant::now());
        }
        self.machine = machine;
    }

    /// Ends the registration after too many panics.
    pub(in crate::registration) async fn give_up(&mut self) {
        let mut last_resort = std::mem::replace(&mut self.last_resort, LastResort::new());
        let told = tokio::task::spawn_blocking(move || last_resort.act()).await;
        self.conclude_as_told(LeaveReason::Panicked, told.ok().flatten());
        self.finished = true;
    }
}
