//! The nodes of a cluster, including dead ones.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::registry::unix_ms;
use tower_gwag::control::proto::Peer;

/// A node that died counts as alive for this long.
const PEER_LIFE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    name: String,
    joined_unix_ms: u64,
    died: Option<Instant>,
}

impl Known {
    fn counts_as_alive(&self) -> bool {
        self.died.is_none_or(|died| died.elapsed() <= PEER_LIFE)
    }
}

/// The result of a ForgetPeer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    StillAlive,
    /// Whether the node was known, and how many are left.
    Done {
        removed: bool,
        left: u32,
    },
}

impl Peers {
    pub(super) fn joined(&mut self, node: &str, name: &str) {
        let known = Known {
            name: name.to_owned(),
            joined_unix_ms: unix_ms(),
            died: None,
        };
        self.0.insert(node.to_owned(), known);
    }

    pub(super) fn died(&mut self, node: &str) {
        if let Some(known) = self.0.get_mut(node) {
            known.died = Some(Instant::now());
        }
    }

    pub(super) fn list(&self) -> Vec<Peer> {
        self.0
            .iter()
            .filter(|(_, known)| known.counts_as_alive())
            .map(|(node, known)| Peer {
                node_id: node.clone(),
                name: known.name.clone(),
                joined_unix_ms: i64::try_from(known.joined_unix_ms).unwrap_or(i64::MAX),
            })
            .collect()
    }

    pub(super) fn forget(&mut self, node: &str) -> Forgotten {
        if self.0.get(node).is_some_and(Known::counts_as_alive) {
            return Forgotten::StillAlive;
        }
        let removed = self.0.remove(node).is_some();
        let left = self.0.values().filter(|known| known.counts_as_alive());
        Forgotten::Done {
            removed,
            left: u32::try_from(left.count()).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_dead_are_listed_for_a_while_and_forgotten_after() {
        let mut peers = Peers::default();
        peers.joined("A", "one");
        peers.joined("B", "two");
        peers.died("B");
        assert_eq!(peers.list().len(), 2);
        assert_eq!(peers.forget("B"), Forgotten::StillAlive);
        tokio::time::advance(PEER_LIFE * 2).await;
        assert_eq!(peers.list().len(), 1);
        let gone = |removed| Forgotten::Done { removed, left: 1 };
        assert_eq!(peers.forget("B"), gone(true));
        assert_eq!(peers.forget("B"), gone(false));
        assert_eq!(peers.forget("A"), Forgotten::StillAlive);
    }
}
