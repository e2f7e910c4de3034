//! The wait for requests in flight while leaving.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::core::Core;

/// Waits until nothing has been in flight for `quiet`, for the drain timeout at most and not at
/// all in a hurry; then cuts what is open, if the server stops. Gives the number that was open.
pub(super) async fn drain(core: Arc<Core>, quiet: Duration) -> usize {
    let in_flight = core.in_flight.clone();
    if !core.hurried().is_cancelled() {
        // Either way it is over.
        let _ = timeout(core.options.drain_timeout, in_flight.drained(quiet)).await;
    }
    if core.stops() {
        in_flight.cut_and_tell().await
    } else {
        in_flight.open()
    }
}
