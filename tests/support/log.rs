//! What a test logs.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;

/// Clones are the same log.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to write down what this thread logs, from the levels that `filter` names on.
    pub fn of(filter: &str) -> (Self, tracing::dispatcher::DefaultGuard) {
        let log = Self::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(move || lines.clone())
            .finish();
        (log, log_to(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

/// Makes it the log of this thread, on which the whole test runs.
///
/// While it were the only one, a line that is first reached on another test's thread, which has none,
/// would be switched off for all.
pub fn log_to(subscriber: impl Into<tracing::Dispatch>) -> tracing::dispatcher::DefaultGuard {
    static ANOTHER: std::sync::OnceLock<tracing::Dispatch> = std::sync::OnceLock::new();
    ANOTHER.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    tracing::dispatcher::set_default(&subscriber.into())
}
