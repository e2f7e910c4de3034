//! Which parts of a server are wired to the registration, and the messages about missing ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tracing::Level;

use crate::status::{Board, Event, counted};

/// The parts of the wiring that were seen so far.
#[derive(Debug)]
pub(crate) struct Wiring {
    layer: AtomicBool,
    listener: AtomicBool,
    /// The listener was wrapped by this crate.
    wrapped: AtomicBool,
    shutdown: AtomicBool,
    /// Bits of [`Part`]: the parts already reported as missing.
    said: AtomicU8,
    board: Arc<Board>,
}

/// A part of the wiring that a user may forget.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Part {
    Layer = 1,
    Listener = 2,
    Shutdown = 4,
}

// === impl Wiring ===

impl Wiring {
    pub(super) fn new(board: Arc<Board>) -> Self {
        Self {
            layer: AtomicBool::new(false),
            // A disabled registration needs no wiring.
            listener: AtomicBool::new(board.is_disabled()),
            wrapped: AtomicBool::new(false),
            shutdown: AtomicBool::new(false),
            said: AtomicU8::new(0),
            board,
        }
    }

    #[inline]
    pub(crate) fn saw_layer(&self) {
        self.layer.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_layer(&self) -> bool {
        self.layer.load(Ordering::Relaxed)
    }

    /// The server's bound address is known.
    pub(crate) fn saw_listener(&self) {
        self.listener.store(true, Ordering::Relaxed);
    }

    /// The next missing listener is reported again.
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn lost_listener(&self) {
        self.listener.store(false, Ordering::Relaxed);
        self.said
            .fetch_and(!(Part::Listener as u8), Ordering::Relaxed);
    }

    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn saw_wrapped_listener(&self) {
        self.wrapped.store(true, Ordering::Relaxed);
    }

    /// Whether the end of the server's connections can be observed.
    pub(crate) fn is_serving_wrapped(&self) -> bool {
        self.wrapped.load(Ordering::Relaxed)
    }

    pub(crate) fn saw_shutdown(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn has_listener(&self) -> bool {
        self.listener.load(Ordering::Relaxed)
    }

    /// The server serves, so the listener must have been wrapped by now.
    pub(crate) fn check_listener(&self) {
        if !self.has_listener() {
            self.miss_listener();
        }
    }

    #[cold]
    fn miss_listener(&self) {
        self.complain(
            Part::Listener,
            "the server runs, but nothing is registered, because the listener is not wrapped: \
             serve `registration.listener(listener)?` (axum) or `registration.incoming(listener)?` \
             (tonic), or call `registration.start(address)?`",
        );
    }

    /// The gateway has the registration: reports the parts that are still missing.
    pub(crate) fn check_wiring(&self) {
        if !self.has_layer() {
            self.complain(
                Part::Layer,
                "registered, but the layer is not installed, so requests in flight are not \
                 counted, and late calls may be lost during the shutdown: add `.layer(layer)` to \
                 the server or router (axum: last, because it only covers routes that were added \
                 before it)",
            );
        }
        if !self.shutdown.load(Ordering::Relaxed) {
            self.complain(
                Part::Shutdown,
                "registered, but the server does not know when to stop: pass \
                 `registration.shutdown(stop_signal())` to `with_graceful_shutdown` (axum) or \
                 `serve_with_incoming_shutdown` (tonic), so that the shutdown loses no requests",
            );
        }
    }

    /// The server stops with calls in flight, and the layer has never seen one.
    pub(super) fn complain_of_the_layer(&self, connections: usize) {
        let connections = counted(connections, "connection is", "connections are");
        let text = format!(
            "the server stops while {connections} busy, and the layer has seen no request: calls are \
             answered until `drain_timeout`, but not counted; add \
             `.layer(layer)` around all routes (axum: last, because it only covers routes that \
             were added before it)"
        );
        self.complain(Part::Layer, &text);
    }

    /// For other kinds of servers, which have no place for the layer or the shutdown.
    pub(crate) fn wired_by_hand(&self) {
        self.saw_layer();
        self.saw_shutdown();
    }

    fn complain(&self, part: Part, text: &str) {
        // Once it was reported, each request only reads this.
        if self.said.load(Ordering::Relaxed) & part as u8 != 0 {
            return;
        }
        let said = self.said.fetch_or(part as u8, Ordering::Relaxed);
        if said & part as u8 == 0 {
            self.board.say(Level::WARN, None, text);
            self.board.emit(&Event::HalfWired(text.to_owned()));
        }
    }
}
