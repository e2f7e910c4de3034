//! The layer's service: counts each request in, and out when its body has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::InFlightBody;
use crate::registration::core::Handle;
use crate::registration::in_flight::InFlightGuard;

/// A service whose requests in flight are counted.
#[derive(Clone, Debug)]
pub struct GwagRegistrationService<S> {
    inner: S,
    handle: Arc<Handle>,
}

pin_project! {
    /// The response of a [`GwagRegistrationService`].
    #[derive(Debug)]
    pub struct GwagRegistrationFuture<F> {
        #[pin]
        inner: F,
        // Moves into the response's body; dropped with the future if there is no response.
        guard: Option<InFlightGuard>,
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
        // Before the inner call, so that a panic in it counts out, too.
        let guard = core.in_flight.enter();
        GwagRegistrationFuture {
            inner: self.inner.call(request),
            guard: Some(guard),
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
        let response = ready!(this.inner.poll(cx))?;
        let guard = this.guard.take();
        Poll::Ready(Ok(response.map(|body| InFlightBody::new(body, guard))))
    }
}
