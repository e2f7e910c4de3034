//! A response body that is in flight until it has ended, failed or been dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::cut::{CutWatch, unavailable};
use crate::registration::in_flight::InFlightGuard;

pin_project! {
    /// A response body that counts as a request in flight until it has ended, failed or been
    /// dropped.
    ///
    /// One that is still open when leaving is over is cut, because a server's own wait for it has
    /// no end: a gRPC stream ends with the status UNAVAILABLE, any other body just ends.
    #[derive(Debug)]
    pub struct InFlightBody<B> {
        // None: there is nothing (more) to say.
        #[pin]
        inner: Option<B>,
        guard: Option<InFlightGuard>,
        is_grpc: bool,
        #[pin]
        cut: CutWatch,
    }
}

// === impl InFlightBody ===

impl<B> InFlightBody<B> {
    pub(super) fn new(inner: B, guard: Option<InFlightGuard>, is_grpc: bool) -> Self {
        Self {
            inner: Some(inner),
            guard,
            is_grpc,
            cut: CutWatch::default(),
        }
    }

    /// Empty; nothing is in flight.
    pub(super) fn empty() -> Self {
        Self {
            inner: None,
            guard: None,
            is_grpc: false,
            cut: CutWatch::default(),
        }
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
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = inner.poll_frame(cx) {
            if matches!(frame, None | Some(Err(_))) {
                *this.guard = None;
            }
            return Poll::Ready(frame);
        }
        match this.guard.as_ref() {
            Some(guard) if this.cut.poll_cut(guard, cx).is_ready() => {}
            _ => return Poll::Pending,
        }
        *this.guard = None;
        this.inner.set(None);
        Poll::Ready(this.is_grpc.then(|| Ok(Frame::trailers(unavailable()))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl<B> Default for InFlightBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}
