//! Ending what is still open when leaving is over.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use pin_project_lite::pin_project;
use tokio::sync::futures::OwnedNotified;

use crate::registration::in_flight::InFlightGuard;

pin_project! {
    /// Wakes a request that has to wait when it is cut.
    #[derive(Debug, Default)]
    pub(super) struct CutWatch {
        // Made when the request first has to wait: many never do.
        #[pin]
        notified: Option<OwnedNotified>,
    }
}

// === impl CutWatch ===

impl CutWatch {
    /// Ready when the request is cut; to be polled when it is pending itself.
    pub(super) fn poll_cut(
        self: Pin<&mut Self>,
        guard: &InFlightGuard,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut notified = self.project().notified;
        if notified.is_none() {
            notified.set(Some(guard.cut_notice()));
        }
        // First the waker, then the flag: a cut in between wakes us.
        let woken = notified.as_mut().as_pin_mut().map(|it| it.poll(cx));
        if guard.is_cut() || matches!(woken, Some(Poll::Ready(()))) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// The status of a gRPC call that is cut: callers may try another replica.
pub(super) fn unavailable() -> HeaderMap {
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("14"));
    let message = HeaderValue::from_static("the server is leaving");
    status.insert("grpc-message", message);
    status
}
