//! Looks at a gateway, shared by all registrations that want one at about the same moment: its list
//! of services, and whether it answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::lists::MAX_KEPT_BYTES;
use super::proto::ServiceInfo;

/// A gateway's list: one hash and the number of replicas for each "namespace/version".
#[derive(Debug, Default)]
pub(crate) struct SlotList {
    slots: HashMap<String, Slot>,
    bytes: usize,
    /// The number of replicas of all services.
    pub(crate) replicas: u32,
}

#[derive(Debug)]
struct Slot {
    hash: String,
    replicas: u32,
}

/// One gateway's last list, kept while in use.
#[derive(Debug)]
pub(super) struct Looks {
    /// Repeated looks are due at multiples of their interval after this, so that all registrations
    /// of a process look at the same moment.
    epoch: Instant,
    last: tokio::sync::Mutex<Option<(Instant, Weak<SlotList>)>>,
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

    /// The hash that holds the slot "namespace/version"; `None` while it is empty.
    pub(crate) fn hash(&self, slot: &str) -> Option<&str> {
        self.slots.get(slot).map(|it| it.hash.as_str())
    }

    /// The list is so long that services may be missing.
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
            last: tokio::sync::Mutex::new(None),
        }
    }

    /// The next moment of looks that repeat every `every`.
    pub(super) fn next(&self, every: Duration) -> Instant {
        let every = every.max(Duration::from_millis(1));
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.epoch).as_nanos() / every.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX - 1);
        self.epoch + every.saturating_mul(passed + 1)
    }

    /// A list that was requested at `since` or later: another caller's, or the result of `ask`.
    pub(super) async fn list<F>(&self, since: Instant, ask: F) -> Option<Arc<SlotList>>
    where
        F: Future<Output = Option<Vec<ServiceInfo>>>,
    {
        // Locked meanwhile, so that waiting callers find the result.
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

/// The last look, shared by all callers.
#[derive(Debug)]
pub(super) struct Shared<T>(Mutex<Option<Look<T>>>);

#[derive(Debug)]
struct Look<T> {
    about: u64,
    begun: Instant,
    found: watch::Receiver<Option<T>>,
}

// === impl Shared ===

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Copy + Send + Sync + 'static> Shared<T> {
    /// Joins the look that is under way, or that began less than `fresh` ago, or begins one;
    /// returns `None` if it panicked. The look needs a deadline of its own.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the look continues, because others may wait for it.
    pub(super) async fn join<F>(
        &self,
        about: u64,
        fresh: Duration,
        look: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut found = self.look(about, fresh, look);
        *found.wait_for(Option::is_some).await.ok()?
    }

    fn look<F>(
        &self,
        about: u64,
        fresh: Duration,
        look: impl FnOnce() -> F,
    ) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        // Only replaced whole, so valid after a panic.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last {
            // A look that ended without a result has panicked.
            let is_under_way = last.found.borrow().is_none() && last.found.has_changed().is_ok();
            if last.about == about && (is_under_way || last.begun.elapsed() < fresh) {
                return last.found.clone();
            }
        }
        let (done, found) = watch::channel(None);
        let look = look();
        tokio::spawn(async move {
            // The callers may be gone.
            let _ = done.send(Some(look.await));
        });
        *last = Some(Look {
            about,
            begun: Instant::now(),
            found: found.clone(),
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::sleep;

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
        // An earlier list does not answer a later request.
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

    #[tokio::test(start_paused = true)]
    async fn many_share_one_look_until_it_is_old() {
        let shared = Arc::new(Shared::<u32>::default());
        let looks = Arc::new(AtomicU32::new(0));
        let join = |about| {
            let (shared, looks) = (Arc::clone(&shared), Arc::clone(&looks));
            async move {
                let look = || async move {
                    sleep(Duration::from_secs(1)).await;
                    looks.fetch_add(1, Ordering::Relaxed) + 1
                };
                shared.join(about, Duration::from_secs(2), look).await
            }
        };
        let all: JoinSet<_> = (0..100).map(|_| join(1)).collect();
        assert!(all.join_all().await.iter().all(|it| *it == Some(1)));
        assert_eq!(join(1).await, Some(1), "it is fresh");
        assert_eq!(join(2).await, Some(2), "about something else");
        sleep(Duration::from_secs(3)).await;
        assert_eq!(join(2).await, Some(3));
    }
}
