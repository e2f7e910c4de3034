//! The stop of a server after its drain: what is awaited, what ends early, and what is cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Level;

use super::{Drain, Open};
use crate::status::counted;

/// How long after its stop a server may take to close connections on which nothing is in flight.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// How long the gateway may take to relay the last responses, which it may not have read yet when the
/// server has sent them: once the hold is gone, it cancels unanswered calls.
pub(crate) const RELAYED: Duration = Duration::from_millis(50);

/// How long callers may take to read the last bytes of what was cut, and servers to close
/// connections in their own way.
const LAST_BYTES: Duration = Duration::from_millis(200);

// === impl Drain ===

impl Drain {
    /// Lets the server stop, and cuts what is still open at `deadline`; only the first call counts.
    pub(crate) fn begin_stop(self: &Arc<Self>, deadline: Instant) {
        // A separate task, so that a panic of the registration's task does not end it.
        if !self.stop_begun.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).stop(deadline));
        }
    }

    /// Lets the server stop, and waits for its end.
    async fn stop(self: Arc<Self>, deadline: Instant) {
        let exempt = self.in_flight.cut_exempt_and_tell().await;
        self.severer.stop();
        let began = Instant::now();
        self.accepting_is_over.cancel();

        let mut looks = Some(began + IDLE_AFTER);
        let mut has_told = false;
        let ended = loop {
            tokio::select! {
                biased;
                () = self.server_ends() => break true,
                () = self.server_is_over.cancelled() => break false,
                () = self.hurry.cancelled() => break false,
                () = sleep_until(deadline) => break false,
                () = sleep_until(looks.unwrap_or(deadline)), if looks.is_some() => {
                    looks = self.severer.sever_idle();
                    if !std::mem::replace(&mut has_told, true) {
                        self.tell_what_is_waited_for(deadline);
                    }
                }
            }
        };
        if ended {
            tokio::select! {
                () = self.hurry.cancelled() => {}
                () = sleep_until(deadline.min(Instant::now() + RELAYED)) => {}
            }
            // For requests that the server may still begin.
            self.in_flight.cut();
            self.set_stopped(Open {
                cut: exempt,
                ..Open::default()
            });
        } else if self.server_is_over.is_cancelled() {
            // What is still open no longer depends on the server, but on how long the process
            // lives.
            self.set_stopped(Open {
                cut: exempt,
                unfinished: self.in_flight.open(),
                ..Open::default()
            });
            tokio::select! {
                () = self.hurry.cancelled() => {}
                () = sleep_until(deadline) => {}
            }
            self.in_flight.cut_and_tell().await;
            self.severer.sever();
            return;
        } else {
            let cut = exempt + self.in_flight.cut_and_tell().await;
            let mut end = Instant::now() + LAST_BYTES;
            if !self.hurry.is_cancelled() {
                end = end.max(began + IDLE_AFTER);
            }
            // On a timeout there is nothing more to do.
            let _ = timeout_at(end, self.severer.ended()).await;
            self.set_stopped(Open {
                cut,
                unfinished: 0,
                severed: self.severer.sever(),
            });
            return;
        }
        // For a connection that was accepted at the last moment.
        sleep_until(deadline).await;
        self.severer.sever();
    }

    /// Without a wrapped listener, only `finish()` shows that the server has ended.
    async fn server_ends(&self) {
        if !self.wiring.is_serving_wrapped() {
            std::future::pending::<()>().await;
        }
        self.severer.ended().await;
        // For requests of another server with the same layer.
        self.in_flight.idle().await;
    }

    fn tell_what_is_waited_for(&self, deadline: Instant) {
        let connections = self.severer.waited_for();
        if connections == 0 {
            return;
        }
        let rest = deadline.saturating_duration_since(Instant::now());
        let calls = self.in_flight.count();
        if calls == 0 && !self.counts() && !self.board.is_disabled() {
            self.wiring.complain_of_the_layer(connections);
        }
        let calls = match calls {
            0 => "with calls that the layer did not count".to_owned(),
            calls => {
                let calls = counted(calls, "call", "calls");
                format!("with {calls} that the layer counted")
            }
        };
        let connections = counted(connections, "connection is", "connections are");
        let text =
            format!("the server stops; {connections} busy {calls}, and will be cut in {rest:.0?}");
        self.board.say(Level::INFO, None, &text);
    }
}
