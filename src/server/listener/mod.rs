//! Listeners that start the registration at the first poll for a connection.

#[cfg(feature = "axum")]
pub(super) mod axum;
#[cfg(feature = "tonic")]
pub(super) mod incoming;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::registration::LeaveReason;
use crate::registration::core::{Handle, LeaveRequest};

/// Ties a listener to its registration: the first poll starts it, dropping it ends it.
#[derive(Debug)]
struct Tie {
    handle: Arc<Handle>,
    bound: Option<SocketAddr>,
    begun: bool,
}

// === impl Tie ===

impl Tie {
    fn new(handle: Arc<Handle>, bound: Option<SocketAddr>) -> Self {
        Self {
            handle,
            bound,
            begun: false,
        }
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.handle.core.begin(self.bound);
        }
    }
}

impl Drop for Tie {
    // After a shutdown this changes nothing. Without one the server was aborted, and no request
    // can be waited for.
    fn drop(&mut self) {
        self.handle.core.request_leave(LeaveRequest {
            reason: LeaveReason::ServerDropped,
            drain: false,
        });
    }
}
