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
    /// You name it only in a type that spells out the response of a wrapped service:
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
        let mut polled = inner.poll_frame(cx);
        if !matches!(polled, Poll::Ready(Some(Ok(_))))
            && let Some(error) = no_frame(&mut polled, this.inner, this.guard, cx)
        {
            return Poll::Ready(Some(Err(error)));
        }
        polled.map_err(Into::into)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Some(inner) => inner.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// What remains to be done when the inner body has no frame; returns the error of a body that is cut.
/// A separate function that changes what was polled, so that the usual frame is moved once.
#[inline(never)]
fn no_frame<B, D, E>(
    polled: &mut Poll<Option<Result<Frame<D>, E>>>,
    mut inner: Pin<&mut Option<B>>,
    guard: &mut Option<InFlightGuard>,
    cx: &mut Context<'_>,
) -> Option<BoxError> {
    if polled.is_ready() {
        *guard = None;
        return None;
    }
    let cut = take_if_cut(guard, cx)?;
    inner.set(None);
    *polled = match cut.protocol() {
        Protocol::Grpc => Poll::Ready(Some(Ok(Frame::trailers(unavailable())))),
        Protocol::Events => Poll::Ready(None),
        Protocol::Http1 | Protocol::Http2 => return Some("the server has stopped".into()),
    };
    None
}

/// Takes the guard of a pending request if the request is cut; it is then no longer in flight.
#[inline(never)]
pub(super) fn take_if_cut(
    guard: &mut Option<InFlightGuard>,
    cx: &mut Context<'_>,
) -> Option<InFlightGuard> {
    guard.take_if(|guard| guard.poll_cut(cx).is_ready())
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
