//! Ghosts: replicas that a clustered gateway routes to without an entry (contract, Ghosts). They are
//! counted after a restart of the gateway, and after the last Deregister.
//!
//! Replicas are counted over the whole cluster, registrations by node: the two can be compared only
//! if every living node answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::control::proto::{Peer, Registration};
use crate::control::{ControlPlane, live_nodes};
use crate::observe::verify::Expected;

/// The timeout for the answers of one node.
const NODE_TIMEOUT: Duration = Duration::from_millis(400);
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
pub(crate) struct Ghosts {
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
    pub(crate) fn new(controls: Arc<[ControlPlane]>, services: Arc<[Expected]>) -> Self {
        Self {
            controls,
            services,
            saw_restart: AtomicBool::new(false),
            known: AtomicU32::new(0),
            are_suspected: AtomicBool::new(false),
        }
    }

    /// The gateway has lost an entry.
    pub(crate) fn saw_restart(&self) {
        self.saw_restart.store(true, Ordering::Relaxed);
    }

    /// The last look ended before it was known whether its findings are only removed late.
    pub(crate) fn are_suspected(&self) -> bool {
        self.are_suspected.load(Ordering::Relaxed)
    }

    /// Counts them after a restart of the gateway, in a few looks; `None` if there was no restart,
    /// or if they cannot be known.
    pub(crate) fn after_restart(
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
    pub(crate) fn at_the_end(
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
        count(&nodes, &names, self.saw_restart.load(Ordering::Relaxed)).await
    }
}

/// The ghosts of `services` ("namespace/version"), after one look at all `nodes`, the first of
/// which is asked for the replicas; `None` if nodes do not answer, or are not all that live. After
/// an observed restart, a peer with the name of a younger one is its former self.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
async fn count(nodes: &[ControlPlane], services: &[String], saw_restart: bool) -> Option<u32> {
    let [first, others @ ..] = nodes else {
        return None;
    };
    let peers = timeout(NODE_TIMEOUT, first.peers()).await.ok()??;
    let listed = timeout(NODE_TIMEOUT, first.services()).await.ok()??;
    let replicas: u32 = listed
        .iter()
        .filter(|it| services.contains(&format!("{}/{}", it.namespace, it.version)))
        .map(|it| it.replica_count)
        .fold(0, u32::saturating_add);
    if replicas == 0 {
        return Some(0);
    }
    let home = timeout(NODE_TIMEOUT, first.entries_of(services))
        .await
        .ok()??;
    let mut all = vec![home];
    let alive = match saw_restart {
        true => live_nodes(&peers, SystemTime::now()),
        false => peers.len().max(1),
    };
    if alive > 1 {
        all.extend(lists_of(others, &peers, services).await);
    }
    if different(&all) < alive {
        return None;
    }
    let entries = entries(&all, services);
    Some(replicas.saturating_sub(u32::try_from(entries).ok()?))
}

/// The registrations of those nodes that belong to the same cluster and answer.
async fn lists_of(
    nodes: &[ControlPlane],
    peers: &[Peer],
    services: &[String],
) -> Vec<Vec<Registration>> {
    let mut asked = JoinSet::new();
    for node in nodes {
        let (node, services) = (node.clone(), services.to_vec());
        asked.spawn(timeout(NODE_TIMEOUT, async move {
            Some((node.peers().await?, node.entries_of(&services).await?))
        }));
    }
    let mut lists = Vec::new();
    while let Some(answer) = asked.join_next().await {
        if let Ok(Ok(Some((theirs, list)))) = answer
            && theirs.iter().any(|it| is_among(it, peers))
        {
            lists.push(list);
        }
    }
    lists
}

fn is_among(peer: &Peer, peers: &[Peer]) -> bool {
    peers.iter().any(|it| it.node_id == peer.node_id)
}

/// How many of these lists come from different nodes: an id is valid on one node only. Empty lists
/// may all come from one node.
fn different(lists: &[Vec<Registration>]) -> usize {
    let mut seen = BTreeSet::new();
    let mut count = 0;
    let mut has_empty = false;
    for list in lists {
        match list.first() {
            None => has_empty = true,
            Some(_) => {
                let ids = list.iter().map(|it| it.registration_id.as_str());
                let is_new = ids.clone().all(|id| !seen.contains(id));
                seen.extend(ids);
                count += usize::from(is_new);
            }
        }
    }
    count + usize::from(has_empty)
}

/// The number of registrations of the services.
fn entries(lists: &[Vec<Registration>], services: &[String]) -> usize {
    let of_service = |registration: &&Registration| {
        let names = registration.namespaces.iter();
        names
            .filter(|name| services.contains(name))
            .cloned()
            .collect::<Vec<_>>()
    };
    let entries: BTreeSet<(&str, String)> = lists
        .iter()
        .flatten()
        .flat_map(|it| {
            let names = of_service(&it);
            names
                .into_iter()
                .map(|name| (it.registration_id.as_str(), name))
        })
        .collect();
    entries.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_one_node_are_one() {
        let list = |ids: &[&str]| -> Vec<Registration> {
            let of = |id: &&str| Registration {
                registration_id: (*id).to_owned(),
                namespaces: vec!["greeter/v1".to_owned(), "other/v1".to_owned()],
                ..Registration::default()
            };
            ids.iter().map(of).collect()
        };
        for (lists, count) in [
            (vec![list(&["a"]), list(&["b"])], 2),
            (vec![list(&["a", "b"]), list(&["b"])], 1),
            (vec![list(&["a"]), list(&[])], 2),
            (vec![list(&[]), list(&[])], 1),
        ] {
            assert_eq!(different(&lists), count, "{lists:?}");
        }
        let both = [list(&["a", "b"]), list(&["b"])];
        assert_eq!(entries(&both, &["greeter/v1".to_owned()]), 2);
    }
}
