//! Abandoned entries on unreachable gateways, until they are removed or have expired.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::control::ControlPlane;

/// The interval at which to check whether other nodes still route to an entry.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The time limit of a last attempt to remove an entry while leaving.
const LAST_TRY: Duration = Duration::from_millis(700);
/// The timeout of one check.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// One task for each entry, which returns whether the gateway confirmed it.
#[derive(Debug)]
pub(crate) struct CleanUps {
    tasks: JoinSet<bool>,
    expiries: HashMap<Id, Instant>,
    /// When the remaining entries expire.
    expiring: watch::Sender<Vec<Instant>>,
    given_up: usize,
}

/// A gateway that answers, and may route to replicas that another node of its cluster accepted.
#[derive(Debug)]
pub(crate) struct LivePeer {
    pub(crate) control: ControlPlane,
    /// The registered services, as "namespace/version".
    pub(crate) services: Vec<String>,
}

// === impl CleanUps ===

impl CleanUps {
    pub(crate) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            expiries: HashMap::new(),
            expiring: watch::Sender::new(Vec::new()),
            given_up: 0,
        }
    }

    /// Adds an entry that expires at `expiry` at the latest.
    pub(crate) fn spawn(
        &mut self,
        clean_up: impl Future<Output = bool> + Send + 'static,
        expiry: Instant,
    ) {
        let id = self.tasks.spawn(clean_up).id();
        self.expiries.insert(id, expiry);
        self.tell();
    }

    /// Resolves when the next entry is removed or given up; pending while there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn next(&mut self) {
        let (id, told) = match self.tasks.join_next_with_id().await {
            Some(Ok(done)) => done,
            Some(Err(error)) => (error.id(), false),
            None => return std::future::pending().await,
        };
        self.given_up += usize::from(!told);
        self.expiries.remove(&id);
        self.tell();
    }

    fn tell(&self) {
        self.expiring
            .send_replace(self.expiries.values().copied().collect());
    }

    /// The number of entries that expired before they could be removed, or are not removed yet.
    pub(crate) fn abandoned(&self) -> usize {
        self.given_up + self.tasks.len()
    }

    /// The number of those that have not expired.
    pub(crate) fn pending(&self) -> usize {
        self.tasks.len()
    }

    /// Resolves when no entry is left, or after enough time for a gateway that is back to answer.
    pub(crate) fn tried(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut expiring = self.expiring.subscribe();
        async move {
            // On a timeout there is nothing more to do.
            let _ = timeout(LAST_TRY, expiring.wait_for(Vec::is_empty)).await;
        }
    }

    /// Resolves when, as far as can be known, no node routes to an abandoned entry: it was removed,
    /// or no other node knows of it. Entries that expire after `deadline` are not awaited, because
    /// waiting for them would be pointless.
    pub(crate) fn over(
        &self,
        peer: Option<LivePeer>,
        deadline: Instant,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mut expiring = self.expiring.subscribe();
        async move {
            let Some(peer) = peer else { return };
            let mut was_told = false;
            loop {
                let expiry = last_in_time(&expiring.borrow_and_update(), deadline);
                let Some(expiry) = expiry else { return };
                if !peer.may_route_elsewhere().await {
                    return;
                }
                if !std::mem::replace(&mut was_told, true) {
                    tracing::info!(
                        target: "tower_gwag",
                        state = "Leaving",
                        gateway = %peer.control.gateway().target(),
                        "leaving waits for the entry on an unreachable node to expire, {:.0?} at \
                         most, because other nodes may still route calls to it",
                        expiry.saturating_duration_since(Instant::now())
                    );
                }
                tokio::select! {
                    changed = expiring.changed() => if changed.is_err() { return },
                    () = sleep(LOOK_INTERVAL) => {}
                }
            }
        }
    }
}

/// How long waiting is useful.
fn last_in_time(expiries: &[Instant], deadline: Instant) -> Option<Instant> {
    let in_time = expiries.iter().filter(|expiry| **expiry <= deadline);
    in_time.max().copied()
}

// === impl LivePeer ===

impl LivePeer {
    /// Whether the gateway routes to replicas that other nodes accepted.
    async fn may_route_elsewhere(&self) -> bool {
        let look = async {
            if self.control.is_clustered().await != Some(true) {
                return false;
            }
            let is_ours = |name: &String| self.services.contains(name);
            let Some(listed) = self.control.services().await else {
                return false;
            };
            let of_ours = listed
                .iter()
                .filter(|it| is_ours(&format!("{}/{}", it.namespace, it.version)));
            let replicas: usize = of_ours.map(|it| it.replica_count as usize).sum();
            let mut here = 0;
            // Registrations are only counted, not kept.
            let counted = self.control.registrations(LOOK_TIMEOUT, |it| {
                here += it.namespaces.iter().filter(|name| is_ours(name)).count();
                false
            });
            if counted.await.is_err() {
                here = 0;
            }
            replicas > here
        };
        timeout(LOOK_TIMEOUT, look).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outlives_the_deadline_does_not_hide_what_does_not() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (expiries, waited_for) in [
            (&[][..], None),
            (&[5], Some(5)),
            (&[30], None),
            (&[5, 30], Some(5)),
            (&[30, 5, 7], Some(7)),
            (&[10], Some(10)),
        ] {
            let expiries: Vec<_> = expiries.iter().copied().map(at).collect();
            assert_eq!(last_in_time(&expiries, at(10)), waited_for.map(at));
        }
    }
}
