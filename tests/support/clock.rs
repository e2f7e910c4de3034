//! Time that passes when everything that is due has been done: what waits for seconds takes
//! moments, and takes as long on a busy machine.

use std::cell::Cell;
use std::sync::mpsc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking, yield_now};

/// What passes at once.
const STEP: Duration = Duration::from_millis(10);
/// After how many steps this thread waits a moment, for what the system delivers later.
const STEPS: u32 = 5;
const MOMENT: Duration = Duration::from_micros(500);
/// Looks at the sockets in a step, for a request that goes from one to the next and for its answer.
const LOOKS: usize = 8;

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
}

/// The clock of this runtime until it is dropped. For runtimes of one thread, on which the client,
/// the server and the gateway run: what other threads and processes do has no part in it.
pub struct Clock {
    /// While it is there, time does not pass because everybody waits for a socket.
    _held: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

// === impl Clock ===

impl Clock {
    #[must_use]
    pub fn start() -> Self {
        let (held, dropped) = mpsc::channel::<()>();
        spawn_blocking(move || dropped.recv());
        tokio::time::pause();
        RUNS.set(true);
        let task = tokio::spawn(async {
            loop {
                std::thread::sleep(MOMENT);
                for _ in 0..STEPS {
                    for _ in 0..LOOKS {
                        // Sockets are looked at when nobody else has anything to do.
                        yield_now().await;
                    }
                    tokio::time::advance(STEP).await;
                }
            }
        });
        Self { _held: held, task }
    }

    /// Whether this thread has one, so that it never waits for a processor.
    pub(super) fn runs() -> bool {
        RUNS.get()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.task.abort();
        RUNS.set(false);
        tokio::time::resume();
    }
}
