//! A gateway's list of services, read once for all registrations that ask at the same moment.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::lists::MAX_KEPT_BYTES;
use super::proto::ServiceInfo;

/// What a gateway lists: one hash and the number of replicas for each "namespace/version".
#[derive(Debug, Default)]
pub(crate) struct SlotList {
    slots: HashMap<String, Slot>,
    bytes: usize,
    /// Of all services.
    pub(crate) replicas: u32,
}

#[derive(Debug)]
struct Slot {
    hash: String,
    replicas: u32,
}

/// One gateway's last list, kept while somebody uses it.
#[derive(Debug)]
pub(super) struct Looks {
    /// Looks that repeat are due at multiples of their interval after this, so that all
    /// registrations of a process look at one moment.
    epoch: Instant,
    last: Mutex<Option<(Instant, Weak<SlotList>)>>,
}

// === impl SlotList ===

impl SlotList {
    pub(crate) fn of(services: Vec<ServiceInfo>) -> Self {
        let mut list = Self::default();
        for it in services {
            list.replicas = list.replicas.saturating_add(it.replica_count);
            list.bytes += it.namespace.len() + it.version.len() + it.hash_hex.len();
            list.bytes += size_of::<ServiceInfo>();
            if it.replica_count > 0 {
                let slot = Slot {
                    hash: it.hash_hex,
                    replicas: it.replica_count,
                };
                list.slots
                    .insert(format!("{}/{}", it.namespace, it.version), slot);
            }
        }
        list
    }

    /// The hash that has the slot "namespace/version"; `None` while it is empty.
    pub(crate) fn hash(&self, slot: &str) -> Option<&str> {
        self.slots.get(slot).map(|it| it.hash.as_str())
    }

    /// It is so long that services may be left out.
    pub(super) fn may_be_cut(&self) -> bool {
        self.bytes > MAX_KEPT_BYTES / 2
    }

    pub(crate) fn replicas_of(&self, slot: &str) -> u32 {
        self.slots.get(slot).map_or(0, |it| it.replicas)
    }
}

// === impl Looks ===

impl Looks {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            last: Mutex::new(None),
        }
    }

    /// The next moment of looks that repeat `every` so often.
    pub(super) fn next(&self, every: Duration) -> Instant {
        let every = every.max(Duration::from_millis(1));
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.epoch).as_nanos() / every.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX - 1);
        self.epoch + every.saturating_mul(passed + 1)
    }

    /// A list that was asked for at `since` or later: somebody else's, or one that `ask` brings.
    pub(super) async fn list<F>(&self, since: Instant, ask: F) -> Option<Arc<SlotList>>
    where
        F: Future<Output = Option<Vec<ServiceInfo>>>,
    {
        // Held meanwhile, so that those who wait find the answer.
        let mut last = self.last.lock().await;
        if let Some((asked, list)) = &*last
            && *asked >= since
            && let Some(list) = list.upgrade()
        {
            return Some(list);
        }
        let asked = Instant::now();
        let list = Arc::new(SlotList::of(ask.await?));
        *last = Some((asked, Arc::downgrade(&list)));
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_who_ask_at_one_moment_share_a_list() {
        let looks = Looks::new();
        let asked = AtomicUsize::new(0);
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some(Vec::new())
        };
        let since = Instant::now();
        let (one, other) = tokio::join!(looks.list(since, ask()), looks.list(since, ask()));
        assert!(one.is_some() && other.is_some());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // A later question is not answered by an earlier list.
        assert!(looks.list(Instant::now(), ask()).await.is_some());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_repeat_are_due_together() {
        let looks = Looks::new();
        let every = Duration::from_millis(300);
        tokio::time::advance(Duration::from_millis(100)).await;
        let next = looks.next(every);
        assert_eq!(next - looks.epoch, every);
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(looks.next(every), next);
    }
}
