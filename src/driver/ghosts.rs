//! Counts the ghosts of the services (contract, Ghosts): after a restart of the gateway, and after
//! the last Deregister.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::control::{ControlPlane, ghosts};
use crate::observe::verify::Expected;

/// The timeout of one look for ghosts.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
/// The pause between two of these looks.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a list may lag behind a Deregister (contract § 2), plus a margin.
const LIST_LAG: Duration = Duration::from_millis(3_200);
/// The number of looks after a gateway's restart: within this time every replica registers again.
const RESTART_LOOKS: usize = 4;
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The ghosts of one registration's services.
pub(super) struct Ghosts {
    controls: Arc<[ControlPlane]>,
    services: Arc<[Expected]>,
    /// A gateway has lost an entry, as after a restart.
    saw_restart: AtomicBool,
    /// The number of ghosts reported while the service was up.
    known: AtomicU32,
    /// The last look has found ghosts that may only be replicas removed late.
    are_suspected: AtomicBool,
}

// === impl Ghosts ===

impl Ghosts {
    pub(super) fn new(controls: Arc<[ControlPlane]>, services: Arc<[Expected]>) -> Self {
        Self {
            controls,
            services,
            saw_restart: AtomicBool::new(false),
            known: AtomicU32::new(0),
            are_suspected: AtomicBool::new(false),
        }
    }

    /// The gateway has lost an entry.
    pub(super) fn saw_restart(&self) {
        self.saw_restart.store(true, Ordering::Relaxed);
    }

    /// The last look ended before it was known whether its findings are only removed late.
    pub(super) fn are_suspected(&self) -> bool {
        self.are_suspected.load(Ordering::Relaxed)
    }

    /// Counts them after a restart of the gateway, in a few looks; `None` if there was no restart,
    /// or if they cannot be known.
    pub(super) fn after_restart(
        self: &Arc<Self>,
        gateway: usize,
    ) -> Option<impl Future<Output = Option<u32>> + Send + use<>> {
        if !self.saw_restart.load(Ordering::Relaxed) {
            return None;
        }
        let ghosts = Arc::clone(self);
        Some(async move {
            let mut found = None;
            for _ in 0..RESTART_LOOKS {
                sleep(RESTART_PAUSE).await;
                if let Some(count) = ghosts.count(gateway).await {
                    found = Some(found.unwrap_or(count).min(count));
                }
                if found == Some(0) {
                    break;
                }
            }
            let known = found.unwrap_or(0);
            ghosts.known.store(known, Ordering::Relaxed);
            found
        })
    }

    /// Counts them after the last Deregister; `None` if they cannot be known. Looks several times
    /// only if it finds new ones: a list may lag.
    pub(super) fn at_the_end(
        self: &Arc<Self>,
        gateway: usize,
    ) -> impl Future<Output = Option<u32>> + Send + use<> {
        let ghosts = Arc::clone(self);
        async move {
            let begun = Instant::now();
            let known = ghosts.known.load(Ordering::Relaxed);
            let first = timeout(LOOK_TIMEOUT, ghosts.count(gateway)).await;
            let mut found = first.ok().flatten()?;
            ghosts.are_suspected.store(found > 0, Ordering::Relaxed);
            while found > known && begun.elapsed() < LIST_LAG {
                sleep(PAUSE).await;
                let again = timeout(LOOK_TIMEOUT, ghosts.count(gateway)).await;
                // A node that does not answer now may do so later.
                found = again.ok().flatten().unwrap_or(found).min(found);
            }
            ghosts.are_suspected.store(false, Ordering::Relaxed);
            Some(found)
        }
    }

    /// Asks every known node: those behind the gateway's name, and the other gateways.
    async fn count(&self, gateway: usize) -> Option<u32> {
        let control = &self.controls[gateway];
        let names: Vec<String> = self.services.iter().map(Expected::name).collect();
        let mut nodes = vec![control.clone()];
        nodes.extend(control.other_nodes().await);
        let others = self.controls.iter().enumerate();
        let others = others.filter(|(place, _)| *place != gateway);
        nodes.extend(others.map(|(_, other)| other.apart(None)));
        ghosts::count(&nodes, &names, self.saw_restart.load(Ordering::Relaxed)).await
    }
}
