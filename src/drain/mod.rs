//! The wait for requests in flight while leaving, and for the server's own end after it.
//!
//! Until the drain is over the server accepts and serves; then its shutdown futures resolve. What
//! its connections are still busy with then is waited for until one moment, `drain_timeout` after
//! the Deregister, whether or not the layer counted it. Only then is anything cut.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Level;

use super::core::Core;
use super::leaving::Leaving;
use super::report::{LeaveOutcome, LeaveReason};

/// How long after its stop a server may take to close what nothing is in flight on.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// For callers to take the last bytes of what was cut, and for servers to end connections in their
/// own way.
const LAST_BYTES: Duration = Duration::from_millis(200);

/// What was open when the wait was over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    /// Calls that were cut.
    pub(super) cut: usize,
    /// Calls that go on.
    pub(super) unfinished: usize,
    /// Connections that were busy, and were ended.
    pub(super) severed: usize,
}

/// Waits until `others` is over and nothing has been in flight for `quiet`, at the longest until
/// `deadline`, and not at all in a hurry; then, if the server stops, until its connections have
/// ended, likewise.
pub(super) async fn drain(
    core: Arc<Core>,
    quiet: Duration,
    deadline: Instant,
    others: impl Future<Output = ()> + Send,
) -> Open {
    let in_flight = core.in_flight.count();
    if in_flight > 0 {
        let text = format!(
            "leaving waits for {in_flight} calls in flight, for {:.0?} at most",
            deadline.saturating_duration_since(Instant::now())
        );
        core.say(Level::INFO, None, &text);
    }
    tokio::select! {
        biased;
        () = core.hurried().cancelled() => {}
        () = async {
            others.await;
            core.in_flight.drained(quiet).await;
        } => {}
        () = sleep_until(deadline) => {}
    }
    if !core.stops() {
        return Open {
            unfinished: core.in_flight.open(),
            ..Open::default()
        };
    }
    core.begin_stop(deadline);
    core.stopped().await
}

/// Lets the server stop, and waits for its end.
pub(super) async fn stop(core: Arc<Core>, deadline: Instant) {
    let exempt = core.in_flight.cut_exempt_and_tell().await;
    core.severer.stop();
    let began = Instant::now();
    core.accepting_is_over().cancel();

    let mut looked = false;
    let ended = loop {
        tokio::select! {
            biased;
            () = server_ends(&core) => break true,
            () = core.server_is_over().cancelled() => break false,
            () = core.hurried().cancelled() => break false,
            () = sleep_until((began + IDLE_AFTER).min(deadline)), if !looked => {
                looked = true;
                if began + IDLE_AFTER <= deadline {
                    core.severer.sever_idle();
                    tell_what_is_waited_for(&core, deadline);
                }
            }
            () = sleep_until(deadline), if looked => break false,
        }
    };
    if ended {
        // For what the server might begin yet.
        core.in_flight.cut();
        core.set_stopped(Open {
            cut: exempt,
            ..Open::default()
        });
    } else if core.server_is_over().is_cancelled() {
        // Whatever is open is not the server's any more; the process decides how long it lives.
        core.set_stopped(Open {
            cut: exempt,
            unfinished: core.in_flight.open(),
            ..Open::default()
        });
        tokio::select! {
            () = core.hurried().cancelled() => {}
            () = sleep_until(deadline) => {}
        }
        core.in_flight.cut_and_tell().await;
        core.severer.sever();
        return;
    } else {
        let cut = exempt + core.in_flight.cut_and_tell().await;
        let mut end = Instant::now() + LAST_BYTES;
        if !core.hurried().is_cancelled() {
            end = end.max(began + IDLE_AFTER);
        }
        // Either way it is over.
        let _ = timeout_at(end, core.severer.ended()).await;
        core.severer.sever_idle();
        core.set_stopped(Open {
            cut,
            unfinished: 0,
            severed: core.severer.sever(),
        });
        return;
    }
    // A connection that was accepted at the last moment.
    sleep_until(deadline).await;
    core.severer.sever();
}

/// Nothing tells of the end of a server whose listener is not wrapped, but `finish()`.
async fn server_ends(core: &Core) {
    if !core.is_serving_wrapped() {
        std::future::pending::<()>().await;
    }
    core.severer.ended().await;
    // Of another server with the same layer.
    core.in_flight.idle().await;
}

fn tell_what_is_waited_for(core: &Core, deadline: Instant) {
    let connections = core.severer.waited_for();
    if connections == 0 {
        return;
    }
    let rest = deadline.saturating_duration_since(Instant::now());
    let calls = core.in_flight.count();
    if calls == 0 && !core.counts() && !core.options.is_disabled() {
        core.complain_of_the_layer(connections);
    }
    let calls = match calls {
        0 => "with calls that the layer has not counted".to_owned(),
        calls => format!("with {calls} calls that the layer has counted"),
    };
    let text = format!(
        "the server stops; {connections} connections are busy {calls}, and are cut in {rest:.0?}"
    );
    core.say(Level::INFO, None, &text);
}

/// The end of a registration that never began, while its server stops.
pub(super) async fn leave_unregistered(
    core: Arc<Core>,
    reason: LeaveReason,
    outcome: LeaveOutcome,
) {
    let leaving = Leaving::begin(reason, &core);
    let mut ending = Unregistered {
        core,
        leaving,
        outcome,
    };
    ending.leaving.withdrawn(false);
    let core = &ending.core;
    core.leaving().cancel();
    let deadline = Instant::now() + core.options.longest_drain();
    let others = std::future::ready(());
    let open = drain(Arc::clone(core), Duration::ZERO, deadline, others).await;
    ending.leaving.drained(false, open);
}

/// Makes the report, also when the runtime ends first.
struct Unregistered {
    core: Arc<Core>,
    leaving: Leaving,
    outcome: LeaveOutcome,
}

impl Drop for Unregistered {
    fn drop(&mut self) {
        let report = self.leaving.report_unregistered(self.outcome, &self.core);
        self.core.conclude(report);
    }
}
