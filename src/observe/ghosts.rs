//! Ghosts: replicas that a clustered gateway routes to without an entry (contract, Ghosts).
//!
//! Replicas are counted over the whole cluster, registrations by node: the two can be compared only
//! if every living node answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ControlPlane;
use super::proto::{Peer, Registration};

/// The timeout for the answers of one node.
const NODE_TIMEOUT: Duration = Duration::from_millis(400);
/// How long after its restart a gateway lists its former self among its peers, plus a margin.
const FORMER_SELF: Duration = Duration::from_secs(60);
/// How far the gateway's clock may be ahead of ours, in milliseconds.
const FORMER_SELF_SKEW: i64 = 10_000;

/// The ghosts of `services` ("namespace/version"), after one look at all `nodes`, the first of
/// which is asked for the replicas; `None` if nodes do not answer, or are not all that live. After
/// an observed restart, a peer with the name of a younger one is its former self.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
pub(crate) async fn count(
    nodes: &[ControlPlane],
    services: &[String],
    saw_restart: bool,
) -> Option<u32> {
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
    let alive = living(&peers, saw_restart);
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

/// The number of living nodes; a gateway without a cluster lists none and counts as one.
pub(super) fn living(peers: &[Peer], saw_restart: bool) -> usize {
    let mut names: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for peer in peers {
        names
            .entry(&peer.name)
            .or_default()
            .push(peer.joined_unix_ms);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let recent = i64::try_from(FORMER_SELF.as_millis()).unwrap_or(i64::MAX);
    let formers = names.values().map(|joined| {
        // Nodes without a name are listed by their address: several may have the same name.
        let restarted = joined
            .iter()
            // A clock that differs by more says nothing about restarts.
            .filter(|it| (-FORMER_SELF_SKEW..recent).contains(&now.saturating_sub(**it)))
            .count();
        restarted.min(joined.len().saturating_sub(1))
    });
    let formers = if saw_restart { formers.sum() } else { 0 };
    peers.len().saturating_sub(formers).max(1)
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

    fn peer(id: &str, name: &str, age: i64) -> Peer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Peer {
            node_id: id.to_owned(),
            name: name.to_owned(),
            joined_unix_ms: i64::try_from(now.as_millis()).unwrap() - age * 1_000,
        }
    }

    #[test]
    fn a_former_self_does_not_live() {
        for (peers, saw_restart, count) in [
            (vec![], true, 1),
            (vec![peer("A", "one", 500)], true, 1),
            (vec![peer("A", "one", 500), peer("B", "one", 5)], true, 1),
            (vec![peer("A", "one", 500), peer("B", "one", 5)], false, 2),
            (vec![peer("A", "one", 500), peer("B", "two", 5)], true, 2),
            // The clock is ahead.
            (vec![peer("A", "one", 500), peer("B", "one", -5)], true, 1),
            (
                vec![peer("A", "one", 500), peer("B", "one", -3_600)],
                true,
                2,
            ),
            // Same name, and both have been there for long.
            (vec![peer("A", "one", 500), peer("B", "one", 400)], true, 2),
            // One of two nodes with the same name has restarted.
            (
                vec![
                    peer("A", "one", 500),
                    peer("B", "one", 400),
                    peer("C", "one", 3),
                ],
                true,
                2,
            ),
        ] {
            assert_eq!(living(&peers, saw_restart), count, "{peers:?}");
        }
    }

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
