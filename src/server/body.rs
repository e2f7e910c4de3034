//! A response body that counts as in flight until it has ended, failed or been dropped.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::drain::{InFlightGuard, Protocol};

pin_project! {
    /// A response body that counts as a request in flight until it has ended, failed or been
    /// dropped.
    ///
    /// A body that is still open at the end of leaving is cut, because the server's own wait for it
    /// has no limit: a gRPC stream ends with the status UNAVAILABLE, an event stream just ends, and
    /// any other body fails, so that no caller takes a part for the whole.
    ///
    /// It is never `Unpin`, whatever the inner body is.
    ///
    /// # Examples
    ///
    /// You name it only where a type has to say what a wrapped service answers with:
    ///
    /// ```
    /// use http::Response;
    /// use tower_gwag::server::InFlightBody;
    ///
    /// type Answer = Response<InFlightBody<axum::body::Body>>;
    /// ```
    #[derive(Debug)]
    pub struct InFlightBody<B> {
        // None: the body has ended.
        #[pin]
        inner: Option<B>,
        guard: Option<InFlightGuard>,
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

// === impl InFlightBody ===

impl<B> InFlightBody<B> {
    #[inline]
    pub(super) fn new(inner: B, guard: Option<InFlightGuard>) -> Self {
        let inner = Some(inner);
        Self { inner, guard }
    }

    /// An empty body, not in flight.
    pub(super) fn empty() -> Self {
        Self {
            inner: None,
            guard: None,
        }
    }
}

impl<B> Body for InFlightBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Some(Ok(frame))),
            Poll::Ready(None) => {
                *this.guard = None;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                *this.guard = None;
                return Poll::Ready(Some(Err(error.into())));
            }
            Poll::Pending => {}
        }
        let Some(cut) = take_if_cut(this.guard, cx) else {
            return Poll::Pending;
        };
        this.inner.set(None);
        Poll::Ready(last_frame(&cut))
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

/// Takes the guard of a pending request if the request is cut; it is then no longer in flight.
#[inline(never)]
pub(super) fn take_if_cut(
    guard: &mut Option<InFlightGuard>,
    cx: &mut Context<'_>,
) -> Option<InFlightGuard> {
    guard.take_if(|guard| guard.poll_cut(cx).is_ready())
}

/// The last frame of a body that is cut.
#[cold]
#[inline(never)]
fn last_frame<D>(cut: &InFlightGuard) -> Option<Result<Frame<D>, BoxError>> {
    match cut.protocol() {
        Protocol::Grpc => Some(Ok(Frame::trailers(unavailable()))),
        _ if cut.has_events() => None,
        _ => Some(Err("the server has stopped".into())),
    }
}

impl<B> Default for InFlightBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

/// The status of a gRPC call that is cut: callers may retry another replica.
pub(super) fn unavailable() -> HeaderMap {
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("14"));
    let message = HeaderValue::from_static("the server is leaving");
    status.insert("grpc-message", message);
    status
}
