//! Listeners that start the registration when they are first polled for a connection.

#[cfg(feature = "axum")]
pub(super) mod axum;
#[cfg(feature = "tonic")]
pub(super) mod incoming;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::driver::{Handle, LeaveRequest};
use crate::server::severable::Severable;
use crate::status::LeaveReason;

/// Seals the traits of what can be wrapped.
pub trait Sealed<Marker> {}

/// Ties a listener to its registration: the first poll starts it, dropping it ends it.
#[derive(Debug)]
struct Tie {
    handle: Arc<Handle>,
    bound: Option<SocketAddr>,
    begun: bool,
    /// Whether the type of the connections was inspected.
    knows_io: bool,
}

// === impl Tie ===

impl Tie {
    fn new(handle: Arc<Handle>, bound: Option<SocketAddr>) -> Self {
        Self {
            handle,
            bound,
            begun: false,
            knows_io: false,
        }
    }

    fn connected<Io>(&mut self, io: Io, peer: Option<SocketAddr>) -> Severable<Io> {
        let kind = std::any::type_name::<Io>();
        if !self.knows_io
            && !["TcpStream", "UnixStream"]
                .iter()
                .any(|it| kind.ends_with(it))
        {
            tracing::debug!(
                target: "tower_gwag",
                "connections are {kind}, neither TCP nor Unix: TLS on them, and their peers, may \
                 go unnoticed"
            );
        }
        self.knows_io = true;
        let life = &self.handle.life;
        let watch = life.drain.severer.watch();
        Severable::new(io, watch, life.proof.peers.connected(peer))
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.handle.life.drain.wiring.saw_wrapped_listener();
            self.handle.life.begin(self.bound);
        }
    }
}

impl Drop for Tie {
    // After a shutdown this changes nothing. Without one, the server was aborted, and there is no
    // request left to wait for.
    fn drop(&mut self) {
        if !self.begun {
            // Never polled: treat it as if it had not been wrapped.
            return self.handle.life.unwire();
        }
        self.handle.life.drain.listener_is_gone();
        self.handle.life.request_leave(LeaveRequest {
            reason: LeaveReason::ServerDropped,
            drain: false,
        });
    }
}
