//! Blocking work, on threads that nothing waits for.

use tokio::sync::oneshot;

/// Does the work on a thread of that name; `None` if the thread cannot be started, or if the work panics.
///
/// A runtime waits at its end for tokio's own blocking tasks, and files may be on a network that does not
/// answer.
///
/// # Cancel safety
///
/// Cancel safe: the work goes on, and its result is dropped.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let spawned = thread.spawn(move || {
        // The caller may be gone.
        let _ = sender.send(work());
    });
    spawned.ok()?;
    result.await.ok()
}
