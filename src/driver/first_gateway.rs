//! Watches for the return of the first gateway while the registration is with another one.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::control::ControlPlane;
use crate::optional_future::{finished, optional_sleep};
use crate::pace::Pace;

/// The interval between two probes.
const INTERVAL: Duration = Duration::from_secs(5);

/// Regularly asks the first gateway whether it is there.
#[derive(Debug)]
pub(crate) struct Preferred {
    control: ControlPlane,
    pace: Pace,
    look_at: Option<Instant>,
    look: Option<JoinHandle<bool>>,
}

// === impl Preferred ===

impl Preferred {
    pub(crate) fn new(control: ControlPlane, seed: u64) -> Self {
        Self {
            control,
            pace: Pace::new(None, seed),
            look_at: None,
            look: None,
        }
    }

    /// Starts to watch: the registration is with another gateway.
    pub(crate) fn watch(&mut self) {
        self.look_at = Some(Instant::now() + self.pace.about(INTERVAL));
    }

    pub(crate) fn stop(&mut self) {
        self.look_at = None;
        if let Some(look) = self.look.take() {
            look.abort();
        }
    }

    /// Resolves each time the gateway has answered.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn is_there(&mut self) {
        loop {
            tokio::select! {
                there = finished(&mut self.look) => {
                    self.watch();
                    if there.unwrap_or(false) {
                        return;
                    }
                }
                () = optional_sleep(self.look_at), if self.look.is_none() => {
                    self.look_at = None;
                    let control = self.control.clone();
                    // Changes nothing, so it may be cancelled.
                    self.look = Some(tokio::spawn(async move { control.is_there().await }));
                }
            }
        }
    }
}

impl Drop for Preferred {
    fn drop(&mut self) {
        self.stop();
    }
}
