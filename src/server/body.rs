//! A response body that is in flight until it has ended, failed or been dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::futures::OwnedNotified;

use crate::registration::in_flight::InFlightGuard;

pin_project! {
    /// A response body that counts as a request in flight until it has ended, failed or been
    /// dropped.
    ///
    /// One that is still open when leaving is over is cut, because a server's own wait for it has
    /// no end: a gRPC stream ends with the status UNAVAILABLE, any other body just ends.
    #[derive(Debug)]
    pub struct InFlightBody<B> {
        #[pin]
        inner: B,
        guard: Option<InFlightGuard>,
        is_grpc: bool,
        // Made when the body first has to wait: most never do.
        #[pin]
        cut: Option<OwnedNotified>,
        ended: bool,
    }
}

// === impl InFlightBody ===

impl<B> InFlightBody<B> {
    pub(super) fn new(inner: B, guard: Option<InFlightGuard>, is_grpc: bool) -> Self {
        Self {
            inner,
            guard,
            is_grpc,
            cut: None,
            ended: false,
        }
    }

    /// The wrapped body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The wrapped body.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The wrapped body; the request is not in flight any more.
    pub fn into_inner(self) -> B {
        self.inner
    }
}

impl<B: Body> Body for InFlightBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(frame) = this.inner.poll_frame(cx) {
            if matches!(frame, None | Some(Err(_))) {
                *this.guard = None;
            }
            return Poll::Ready(frame);
        }
        let Some(guard) = this.guard.as_ref() else {
            return Poll::Pending;
        };
        if this.cut.is_none() {
            this.cut.set(Some(guard.cut()));
        }
        // First the waker, then the flag: a cut in between wakes us.
        let woken = this.cut.as_mut().as_pin_mut().map(|cut| cut.poll(cx));
        if !guard.is_cut() && !matches!(woken, Some(Poll::Ready(()))) {
            return Poll::Pending;
        }
        *this.guard = None;
        *this.ended = true;
        Poll::Ready(this.is_grpc.then(|| Ok(Frame::trailers(unavailable()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The end of a gRPC stream that is cut: callers may try another replica.
fn unavailable() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("14"));
    let message = HeaderValue::from_static("the server is leaving");
    trailers.insert("grpc-message", message);
    trailers
}

/// An empty body; nothing is in flight.
impl<B: Default> Default for InFlightBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None, false)
    }
}
