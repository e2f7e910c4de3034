//! A gateway's lists: services, registrations, nodes. Read as they arrive, and bounded.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, timeout};

use super::control_plane::{ControlPlane, LONGEST_ID};
use super::escape::make_plain;
use super::hold_binding;
use super::proto::{
    ListPeersRequest, ListRegistrationsRequest, ListServicesRequest, Peer, Registration,
    ServiceInfo,
};
use super::refusal::CallError;
use super::shared_looks::SlotList;
use crate::error::{Error, ErrorKind};

/// Enough to tell two nodes apart.
const MOST_OTHERS: usize = 16;
/// The most bytes that are kept of a list, whatever its length.
pub(super) const MAX_KEPT_BYTES: usize = 1024 * 1024;
/// The maximum number of nodes, and the maximum length of their names.
const MOST_PEERS: usize = 1_000;
const LONGEST_PEER_NAME: usize = 256;
/// How long after its restart a gateway lists its former self among its peers, plus a margin.
const FORMER_SELF: Duration = Duration::from_secs(60);
/// How far the gateway's clock may be ahead of ours, in milliseconds.
const FORMER_SELF_SKEW: i64 = 10_000;
/// The timeout for a list that several callers wait for.
const SHARED_TIMEOUT: Duration = Duration::from_secs(3);

// === impl ControlPlane ===

impl ControlPlane {
    /// The services of the whole cluster; `None` if the gateway does not say. Of a list that is too
    /// long to keep, those of the own namespaces and the first of the others.
    pub(crate) async fn services(&self) -> Option<Vec<ServiceInfo>> {
        let mut services = Vec::new();
        let (mut kept, mut kept_own) = (0, 0);
        let listed = self.list(
            "ListServices",
            &ListServicesRequest {},
            |mut it: ServiceInfo| {
                // Unused.
                it.manual_deprecation_reason = String::new();
                let texts = [&mut it.namespace, &mut it.version, &mut it.hash_hex];
                texts.into_iter().for_each(|text| {
                    make_plain(text);
                    text.shrink_to_fit();
                });
                let texts = [&it.namespace, &it.version, &it.hash_hex];
                let length = texts.iter().map(|text| text.len()).sum::<usize>();
                let kept = match self.is_own(&it.namespace) {
                    true => &mut kept_own,
                    false => &mut kept,
                };
                *kept += length + size_of::<ServiceInfo>();
                if *kept <= MAX_KEPT_BYTES {
                    services.push(it);
                }
            },
        );
        listed.await.ok()?;
        Some(services)
    }

    /// The services as an index, requested at `since` or later: registrations that ask at the same
    /// moment share one, unless the list is too long for one index to fit all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn slots(&self, since: Instant) -> Option<Arc<SlotList>> {
        // Other callers wait for it meanwhile.
        let ask = async { timeout(SHARED_TIMEOUT, self.services()).await.ok()? };
        let list = self.gateway().lists.list(since, ask).await?;
        if !list.may_be_cut() {
            return Some(list);
        }
        // A separate list, which has the own namespaces.
        Some(Arc::new(SlotList::of(self.services().await?)))
    }

    /// The next multiple of `every`: the same moment for all registrations.
    pub(crate) fn next_look(&self, every: Duration) -> Instant {
        self.gateway().lists.next(every)
    }

    /// The number of nodes: a restarted node is listed twice for a while, and several may have the
    /// same name. 0: standalone; `None` if the gateway does not say.
    pub(crate) async fn nodes(&self) -> Option<usize> {
        let mut peers = Vec::new();
        let listed = self.list("ListPeers", &ListPeersRequest {}, |peer: Peer| {
            let mut name = match peer.name.is_empty() {
                true => peer.node_id,
                false => peer.name,
            };
            if peers.len() < MOST_PEERS && name.len() <= LONGEST_PEER_NAME {
                name.shrink_to_fit();
                peers.push(Peer {
                    name,
                    joined_unix_ms: peer.joined_unix_ms,
                    ..Peer::default()
                });
            }
        });
        listed.await.ok()?;
        match peers.is_empty() {
            true => Some(0),
            false => Some(live_nodes(&peers, SystemTime::now())),
        }
    }

    /// The holds, and the entries with an `unstable` service, on this node, with only those names.
    pub(crate) async fn unstable_entries(&self) -> Result<Vec<Registration>, CallError> {
        let mut entries = Vec::new();
        let mut kept = 0;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            it.namespaces
                .retain(|name| name.ends_with("/unstable") || hold_binding::is_hold(name));
            if it.namespaces.is_empty() {
                return;
            }
            let length = slim(&mut it);
            if kept + length <= MAX_KEPT_BYTES {
                kept += length;
                entries.push(it);
            }
        });
        listed.await?;
        Ok(entries)
    }

    /// Whether the gateway is clustered, if only with one node; `None` if it does not say.
    pub(crate) async fn is_clustered(&self) -> Option<bool> {
        let mut is_clustered = false;
        let listed = self.list("ListPeers", &ListPeersRequest {}, |_: Peer| {
            is_clustered = true;
        });
        listed.await.ok()?;
        Some(is_clustered)
    }

    /// The nodes of the gateway's cluster; `None` if it does not say, or lists more than is kept.
    pub(crate) async fn peers(&self) -> Option<Vec<Peer>> {
        let mut peers = Vec::new();
        let mut kept = 0;
        let listed = self.list("ListPeers", &ListPeersRequest {}, |mut it: Peer| {
            kept += it.node_id.len() + it.name.len() + size_of::<Peer>();
            if kept <= MAX_KEPT_BYTES {
                it.node_id.shrink_to_fit();
                it.name.shrink_to_fit();
                peers.push(it);
            }
        });
        listed.await.ok()?;
        (kept <= MAX_KEPT_BYTES).then_some(peers)
    }

    /// This node's registrations of `services` ("namespace/version"), and some others, which tell
    /// nodes apart; `None` if the gateway does not say, or lists more than is kept.
    pub(crate) async fn entries_of(&self, services: &[String]) -> Option<Vec<Registration>> {
        let mut entries = Vec::new();
        let (mut others, mut kept) = (0, 0);
        let mut is_cut = false;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            it.namespaces.retain(|name| services.contains(name));
            let is_ours = !it.namespaces.is_empty();
            others += usize::from(!is_ours);
            if !is_ours && others > MOST_OTHERS {
                return;
            }
            (it.addr, it.instance_id) = Default::default();
            let length = slim(&mut it);
            // A gateway never grants such an id.
            let is_absurd = it.registration_id.chars().count() > LONGEST_ID;
            if is_absurd || kept + length > MAX_KEPT_BYTES {
                is_cut |= is_ours;
            } else {
                kept += length;
                entries.push(it);
            }
        });
        listed.await.ok()?;
        (!is_cut).then_some(entries)
    }

    /// The node that answered, and its registrations that are `wanted`, in time; of very many, the
    /// first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn registrations(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&Registration) -> bool + Send,
    ) -> Result<(SocketAddr, Vec<Registration>), CallError> {
        let mut registrations = Vec::new();
        let mut kept = 0;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            if wanted(&it) {
                // Unused, and possibly many.
                it.namespaces = Vec::new();
                kept += slim(&mut it);
                if kept <= MAX_KEPT_BYTES {
                    registrations.push(it);
                }
            }
        });
        let node = match timeout(limit, listed).await {
            Ok(listed) => listed?,
            Err(elapsed) => {
                let message = format!(
                    "the gateway {} did not list its registrations within {limit:?}: check that it \
                     is not overloaded",
                    self.gateway().target()
                );
                let error = Error::new(ErrorKind::TimedOut, message);
                return Err(CallError::NotSent(error.caused_by(elapsed)));
            }
        };
        Ok((node, registrations))
    }
}

/// Frees an entry's spare capacity and duplicate names; returns its remaining size in bytes.
fn slim(entry: &mut Registration) -> usize {
    entry.namespaces.sort_unstable();
    entry.namespaces.dedup();
    entry.namespaces.shrink_to_fit();
    let texts = [
        &mut entry.registration_id,
        &mut entry.addr,
        &mut entry.instance_id,
    ];
    let mut bytes = size_of::<Registration>();
    for text in texts {
        text.shrink_to_fit();
        bytes += text.len();
    }
    for name in &mut entry.namespaces {
        name.shrink_to_fit();
        bytes += name.len() + size_of::<String>();
    }
    bytes
}

/// The number of live nodes among the peers that a gateway lists: for a minute after its restart, a
/// node is listed twice, once as its former self. A standalone gateway lists none and counts as one.
///
/// `now` is compared with the times at which nodes joined, by their own clocks.
///
/// # Examples
///
/// ```no_run
/// # async fn run(gateway: tower_gwag::control::Client) -> Result<(), tower_gwag::Error> {
/// use std::time::SystemTime;
/// use tower_gwag::control::live_nodes;
///
/// let peers = gateway.peers().await?;
/// println!("{} of {} are alive", live_nodes(&peers, SystemTime::now()), peers.len());
/// # Ok(()) }
/// ```
#[must_use]
pub fn live_nodes(peers: &[Peer], now: SystemTime) -> usize {
    let mut names: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for peer in peers {
        let name = match peer.name.is_empty() {
            true => &peer.node_id,
            false => &peer.name,
        };
        names.entry(name).or_default().push(peer.joined_unix_ms);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
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
    peers.len().saturating_sub(formers.sum()).max(1)
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
    fn a_former_self_is_not_counted() {
        for (peers, count) in [
            (vec![], 1),
            (vec![peer("A", "one", 500)], 1),
            (vec![peer("A", "one", 500), peer("B", "one", 5)], 1),
            (vec![peer("A", "one", 500), peer("B", "two", 5)], 2),
            // Nodes without a name are known by their ids.
            (vec![peer("A", "", 500), peer("B", "", 5)], 2),
            // The clock is ahead.
            (vec![peer("A", "one", 500), peer("B", "one", -5)], 1),
            (vec![peer("A", "one", 500), peer("B", "one", -3_600)], 2),
            // Same name, and both have been there for long.
            (vec![peer("A", "one", 500), peer("B", "one", 400)], 2),
            // One of two nodes with the same name has restarted.
            (
                vec![
                    peer("A", "one", 500),
                    peer("B", "one", 400),
                    peer("C", "one", 3),
                ],
                2,
            ),
        ] {
            assert_eq!(live_nodes(&peers, SystemTime::now()), count, "{peers:?}");
        }
    }
}
