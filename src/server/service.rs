//! The layer's service: counts each request in, and out when its body has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{BodyKind, InFlightBody};
use super::cut::{CutWatch, unavailable};
use crate::registration::core::{Core, Handle};
use crate::registration::in_flight::InFlightGuard;

/// A service whose requests in flight are counted.
#[derive(Clone, Debug)]
pub struct GwagRegistrationService<S> {
    inner: S,
    handle: Arc<Handle>,
}

pin_project! {
    /// The response of a [`GwagRegistrationService`].
    ///
    /// One that is not there yet when leaving is over is cut, because a server's own wait for it
    /// has no end: gRPC callers get the status UNAVAILABLE, others 503.
    #[derive(Debug)]
    pub struct GwagRegistrationFuture<F> {
        #[pin]
        inner: F,
        // Moves into the response's body; dropped with the future if there is no response.
        guard: Option<InFlightGuard>,
        #[pin]
        cut: CutWatch,
        is_grpc: bool,
        // Of an HTTP/1 request, whose connection is not kept when leaving.
        closing: Option<Arc<Core>>,
    }
}

// === impl GwagRegistrationService ===

impl<S> GwagRegistrationService<S> {
    pub(super) fn new(inner: S, handle: Arc<Handle>) -> Self {
        Self { inner, handle }
    }

    /// The wrapped service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The wrapped service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for GwagRegistrationService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<InFlightBody<ResBody>>;
    type Error = S::Error;
    type Future = GwagRegistrationFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let core = &self.handle.core;
        core.check_listener();
        let path = request.uri().path();
        let exempt = core.options.exempt.iter().any(|it| path.starts_with(it));
        // Before the inner call, so that a panic in it counts out, too.
        let guard = core.in_flight.enter(exempt);
        // HTTP/2 has GOAWAY, which servers send by themselves.
        let keeps_alive = request.version() < Version::HTTP_2;
        let closing = keeps_alive.then(|| Arc::clone(core));
        let is_grpc = has_content_type(request.headers(), b"application/grpc");
        core.proof
            .saw_call(request.extensions(), request.headers(), is_grpc);
        GwagRegistrationFuture {
            inner: self.inner.call(request),
            guard: Some(guard),
            cut: CutWatch::default(),
            is_grpc,
            closing,
        }
    }
}

// === impl GwagRegistrationFuture ===

impl<F, B, E> Future for GwagRegistrationFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<InFlightBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.inner.poll(cx) {
            Poll::Ready(response) => {
                let guard = this.guard.take();
                in_flight(response?, guard)
            }
            Poll::Pending => match this.guard {
                Some(guard) if this.cut.poll_cut(guard, cx).is_ready() => {
                    *this.guard = None;
                    refusal(*this.is_grpc)
                }
                _ => return Poll::Pending,
            },
        };
        // Upgrades say what they need in the same header.
        let stays = response.status() != StatusCode::SWITCHING_PROTOCOLS;
        if stays && this.closing.take().is_some_and(|core| core.is_closing()) {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

fn in_flight<B>(
    response: Response<B>,
    mut guard: Option<InFlightGuard>,
) -> Response<InFlightBody<B>> {
    let is_events = has_content_type(response.headers(), b"text/event-stream");
    if is_events && let Some(guard) = &mut guard {
        guard.exempt();
    }
    let kind = if has_content_type(response.headers(), b"application/grpc") {
        BodyKind::Grpc
    } else if is_events {
        BodyKind::Events
    } else {
        BodyKind::Other
    };
    response.map(|body| InFlightBody::new(body, guard, kind))
}

/// The answer to a request that is cut.
fn refusal<B>(is_grpc: bool) -> Response<InFlightBody<B>> {
    let mut response = Response::new(InFlightBody::empty());
    if is_grpc {
        *response.headers_mut() = unavailable();
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    } else {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn has_content_type(headers: &HeaderMap, start: &[u8]) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(start))
}
