//! One look at a gateway for all registrations that want one at about the same time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The last look, by what it was about.
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
    /// Joins the look that is under way, or was begun less than `fresh` ago, or begins one;
    /// `None` when it panicked. The look needs a deadline of its own.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: others may wait for the look, so that it goes on.
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
        // It is replaced whole, so that it is valid after a panic.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last {
            // An ended look without a finding panicked.
            let is_under_way = last.found.borrow().is_none() && last.found.has_changed().is_ok();
            if last.about == about && (is_under_way || last.begun.elapsed() < fresh) {
                return last.found.clone();
            }
        }
        let (done, found) = watch::channel(None);
        let look = look();
        tokio::spawn(async move {
            // Nobody may be waiting any more.
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
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

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
