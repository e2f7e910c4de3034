//! Futures for optional `select!` branches: pending forever if there is nothing to wait for.

use std::pin::Pin;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Takes the task's result when it has ended; `None` when it panicked. Pending without a task.
pub(crate) async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(running) => {
            let result = running.await;
            *task = None;
            result.ok()
        }
        None => std::future::pending().await,
    }
}

pub(crate) async fn optional<T>(future: &mut Option<Pin<Box<dyn Future<Output = T> + Send>>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

pub(crate) async fn optional_sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
