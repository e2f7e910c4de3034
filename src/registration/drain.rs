//! The wait for requests in flight while leaving.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::core::Core;

/// Waits until no gateway has an entry left, `left_behind`, and nothing has been in flight for
/// `quiet`; for the drain timeout at most, and not at all in a hurry. Then cuts what is open, if the
/// server stops. Gives the number that was open.
pub(super) async fn drain(
    core: Arc<Core>,
    quiet: Duration,
    mut left_behind: watch::Receiver<usize>,
) -> usize {
    let in_flight = core.in_flight.clone();
    if !core.hurried().is_cancelled() {
        let drained = async {
            // A gateway that is cut off from here may still reach the service. The sender lives as
            // long as the task.
            let _ = left_behind.wait_for(|entries| *entries == 0).await;
            in_flight.drained(quiet).await;
        };
        // Either way it is over.
        let _ = timeout(core.options.drain_timeout, drained).await;
    }
    if core.stops() {
        in_flight.cut_and_tell().await
    } else {
        in_flight.open()
    }
}
