//! Tells the gateway that a registration is over when the runtime went away under it.

use std::sync::mpsc;
use std::time::Duration;

use crate::control::{ControlPlane, Gateway};

/// What the end of a runtime waits for at the most.
const LIMIT: Duration = Duration::from_secs(1);

/// Deregisters from a thread of its own if it is dropped while armed.
pub(super) struct LastResort {
    control: ControlPlane,
    id: Option<String>,
}

// === impl LastResort ===

impl LastResort {
    pub(super) fn new(control: ControlPlane) -> Self {
        Self { control, id: None }
    }

    pub(super) fn arm(&mut self, id: String) {
        self.id = Some(id);
    }

    pub(super) fn disarm(&mut self) {
        self.id = None;
    }
}

impl Drop for LastResort {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        // The connection died with its runtime, so a new one is made on a new runtime.
        let gateway = self.control.gateway.with_a_new_connection();
        let control = ControlPlane {
            gateway: gateway.into(),
            credentials: self.control.credentials.clone(),
        };
        let (done, ended) = mpsc::channel();
        let deregister = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                let call = async { tokio::time::timeout(LIMIT, control.deregister(id)).await };
                let told = matches!(runtime.block_on(call), Ok(Ok(())));
                tracing::info!(
                    target: "tower_gwag",
                    "the runtime ended before the registration left; deregistered: {told}"
                );
            }
            // Nobody may be waiting any more.
            let _ = done.send(());
        };
        let thread = std::thread::Builder::new().name("tower-gwag-leave".to_owned());
        if thread.spawn(deregister).is_ok() {
            // The process may end right after the runtime.
            let _ = ended.recv_timeout(LIMIT);
        }
    }
}

// === impl Gateway ===

impl Gateway {
    fn with_a_new_connection(&self) -> Self {
        Self::private(self.target().clone(), self.endpoint().clone())
    }
}
