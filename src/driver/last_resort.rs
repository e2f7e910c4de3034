//! Deregisters when the runtime ends before the registration has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Id};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::control::ControlPlane;
use crate::drain::RELAYED;
use crate::lease::LeaseKind;

/// How long the end of a runtime waits at most, whatever the number of its registrations.
const LIMIT: Duration = Duration::from_secs(1);

/// Deregisters from a thread of its own when the task that should do it is dropped.
pub(crate) struct LastResort {
    runtime: Arc<Runtime>,
}

/// The registrations of one runtime: when it ends, they are dropped one after another, and only the
/// last one waits.
#[derive(Debug, Default)]
struct Runtime(Mutex<Members>);

#[derive(Debug, Default)]
struct Members {
    count: usize,
    thread: Option<Thread>,
}

/// Runs the jobs of all members.
#[derive(Debug)]
struct Thread {
    jobs: UnboundedSender<Job>,
    /// Receives nothing, and closes when all jobs are done.
    ended: mpsc::Receiver<()>,
    until: Instant,
}

struct Job {
    pause: Duration,
    held: Vec<(ControlPlane, String)>,
    done: Box<dyn FnOnce(bool) + Send>,
}

// === impl LastResort ===

impl LastResort {
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn new() -> Self {
        let runtime = Runtime::current();
        runtime.members().count += 1;
        Self { runtime }
    }

    /// Makes these Deregisters, and sends `done` whether the gateway confirmed them, or `None` if
    /// there were none. Does not wait: dropping the last member of a runtime does.
    pub(crate) fn act(
        &self,
        held: Vec<(LeaseKind, ControlPlane, String)>,
        done: impl FnOnce(Option<bool>) + Send + 'static,
    ) {
        // For a hold alone: the calls that it protected have only just been answered.
        let pause = match held.iter().all(|(kind, ..)| *kind == LeaseKind::Hold) {
            true => RELAYED,
            false => Duration::ZERO,
        };
        let held: Vec<_> = held
            .into_iter()
            .map(|(_, control, id)| (control, id))
            .collect();
        if held.is_empty() {
            return done(None);
        }
        let job = Job {
            pause,
            held,
            done: Box::new(|told| done(Some(told))),
        };
        let mut members = self.runtime.members();
        let thread = match &mut members.thread {
            Some(thread) => thread,
            none => match Thread::start() {
                Ok(thread) => none.insert(thread),
                Err(_) => {
                    drop(members);
                    return (job.done)(false);
                }
            },
        };
        thread.takes_a_job(Instant::now());
        if let Err(job) = thread.jobs.send(job) {
            drop(members);
            (job.0.done)(false);
        }
    }
}

impl Drop for LastResort {
    fn drop(&mut self) {
        let mut members = self.runtime.members();
        members.count -= 1;
        if members.count > 0 {
            return;
        }
        let thread = members.thread.take();
        drop(members);
        // The process may end right after the runtime, so wait for the thread.
        if let Some(Thread { jobs, ended, until }) = thread {
            drop(jobs);
            let rest = until.saturating_duration_since(Instant::now());
            // On a timeout there is nothing more to do.
            let _ = ended.recv_timeout(rest);
        }
    }
}

// === impl Runtime ===

impl Runtime {
    fn current() -> Arc<Self> {
        static RUNTIMES: Mutex<Option<HashMap<Id, Weak<Runtime>>>> = Mutex::new(None);

        // Entries are changed one by one, so the map is valid after a panic.
        let mut runtimes = RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner);
        let runtimes = runtimes.get_or_insert_default();
        runtimes.retain(|_, runtime| runtime.strong_count() > 0);
        let slot = runtimes.entry(Handle::current().id()).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let runtime = Arc::default();
            *slot = Arc::downgrade(&runtime);
            runtime
        })
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Thread ===

impl Thread {
    /// Another registration may have ended long before; several that end at once share the time
    /// limit.
    fn takes_a_job(&mut self, now: Instant) {
        if self.until < now {
            self.until = now + LIMIT;
        }
    }

    fn start() -> std::io::Result<Self> {
        let (jobs, incoming) = unbounded_channel();
        let (done, ended) = mpsc::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("tower-gwag-leave".to_owned());
        thread.spawn(move || {
            runtime.block_on(work(incoming));
            drop(done);
        })?;
        Ok(Self {
            jobs,
            ended,
            until: Instant::now() + LIMIT,
        })
    }
}

async fn work(mut jobs: UnboundedReceiver<Job>) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => { running.spawn(job.run()); }
                None => break,
            },
            Some(_) = running.join_next() => {}
        }
    }
    running.join_all().await;
}

// === impl Job ===

impl Job {
    async fn run(self) {
        let calls = async {
            tokio::time::sleep(self.pause).await;
            for (control, id) in self.held {
                if control.deregister(id).await.is_err() {
                    return false;
                }
            }
            true
        };
        let told = timeout(LIMIT, calls).await.unwrap_or(false);
        (self.done)(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_long_after_the_last_one_has_its_time() {
        let mut thread = Thread::start().expect("a thread");
        let first = thread.until;
        thread.takes_a_job(first - LIMIT / 2);
        assert_eq!(thread.until, first, "those that end at once share it");
        let later = first + 10 * LIMIT;
        thread.takes_a_job(later);
        assert_eq!(thread.until, later + LIMIT);
    }
}
