//! Tells the gateway that a registration is over when the runtime went away under it.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::Duration;

use super::machine::Which;
use crate::control::{CallError, ControlPlane};

/// What the end of a runtime waits for at the most.
const LIMIT: Duration = Duration::from_secs(1);

/// Deregisters from a thread of its own when the task that should do it is dropped.
pub(super) struct LastResort {
    /// By [`Which`], the service first: the hold is there for its last calls.
    held: [Option<Held>; Which::ALL.len()],
}

struct Held {
    control: ControlPlane,
    /// The node that took it.
    node: Option<SocketAddr>,
    id: String,
    ttl: Duration,
}

// === impl LastResort ===

impl LastResort {
    pub(super) fn new() -> Self {
        Self {
            held: Default::default(),
        }
    }

    pub(super) fn arm(&mut self, which: Which, control: ControlPlane, id: String, ttl: Duration) {
        let node = control.node();
        self.held[which as usize] = Some(Held {
            control,
            node,
            id,
            ttl,
        });
    }

    /// What is registered: under which id, with which TTL.
    pub(super) fn held(&self) -> impl Iterator<Item = (Which, String, Duration)> {
        Which::ALL.into_iter().filter_map(|which| {
            let held = self.held[which as usize].as_ref()?;
            Some((which, held.id.clone(), held.ttl))
        })
    }

    /// The service's entry, if there is one, is to be replaced by the next.
    pub(super) fn succeed(&mut self) {
        if let Some(former) = self.held[Which::Service as usize].take() {
            self.held[Which::Former as usize] = Some(former);
        }
    }

    pub(super) fn disarm(&mut self, which: Which) {
        self.held[which as usize] = None;
    }

    /// Deregisters what is held; whether the gateway was told, or `None` when there was nothing to
    /// tell. Blocks for at most [`LIMIT`].
    pub(super) fn act(&mut self) -> Option<bool> {
        // The connections died with their runtime, so new ones are made on a new runtime.
        let held = std::mem::take(&mut self.held).into_iter().flatten();
        let held: Vec<(ControlPlane, String)> =
            held.map(|it| (it.control.apart(it.node), it.id)).collect();
        if held.is_empty() {
            return None;
        }
        let (done, ended) = mpsc::channel();
        let deregister = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let told = runtime.is_ok_and(|runtime| {
                let calls = async {
                    for (control, id) in held {
                        control.deregister(id).await?;
                    }
                    Ok::<_, CallError>(())
                };
                let bounded = async { tokio::time::timeout(LIMIT, calls).await };
                matches!(runtime.block_on(bounded), Ok(Ok(())))
            });
            // Nobody may be waiting any more.
            let _ = done.send(told);
        };
        let thread = std::thread::Builder::new().name("tower-gwag-leave".to_owned());
        // The process may end right after the runtime, so the thread is waited for.
        let told = thread.spawn(deregister).is_ok() && ended.recv_timeout(LIMIT).unwrap_or(false);
        Some(told)
    }
}
