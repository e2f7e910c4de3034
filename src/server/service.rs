//! The layer's service: counts each request in when it arrives, and out when its body has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{InFlightBody, take_if_cut, unavailable};
use crate::drain::{InFlightGuard, Protocol};
use crate::driver::Handle;

/// A service that counts its requests in flight: the result of
/// [`GwagRegistrationLayer`](crate::GwagRegistrationLayer)`::layer`.
///
/// # Examples
///
/// ```
/// use tower_gwag::{GwagRegistrationLayer, GwagRegistrationService, Options};
/// use tower_layer::Layer;
///
/// # let options = Options::disabled();
/// # let my_service = ();
/// let layer = GwagRegistrationLayer::new(options);
/// let mut service: GwagRegistrationService<_> = layer.layer(my_service);
/// service.get_ref();
/// service.get_mut();
/// let my_service = service.into_inner();
/// ```
#[derive(Clone, Debug)]
pub struct GwagRegistrationService<S> {
    inner: S,
    handle: Arc<Handle>,
}

pin_project! {
    /// The response of a [`GwagRegistrationService`].
    ///
    /// A response that is still pending at the end of leaving is cut, because the server's own wait
    /// for it has no limit: gRPC callers get the status UNAVAILABLE, others 503.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::GwagRegistrationService;
    /// use tower_gwag::server::GwagRegistrationFuture;
    /// use tower_service::Service;
    ///
    /// fn call<S: Service<http::Request<()>, Response = http::Response<()>>>(
    ///     service: &mut GwagRegistrationService<S>,
    /// ) -> GwagRegistrationFuture<S::Future> {
    ///     service.call(http::Request::new(()))
    /// }
    /// ```
    #[derive(Debug)]
    pub struct GwagRegistrationFuture<F> {
        #[pin]
        inner: F,
        // Moved into the response's body; dropped with the future if there is no response.
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

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let life = &*self.handle.life;
        let drain = &*life.drain;
        drain.wiring.check_listener();
        // Counted before the inner call, so that a panic in it counts out, too.
        let is_post = request.method() == Method::POST;
        let protocol = protocol_of(&request, is_post);
        let is_exempt = || drain.exempt.holds(request.uri(), is_post);
        let guard = drain.in_flight.enter(protocol, is_exempt);
        if guard.is_some() {
            life.proof.saw_call(&request, protocol == Protocol::Grpc);
        }
        let _inside = guard.as_ref().map(InFlightGuard::inside);
        // Built in the return position, which saves a copy.
        GwagRegistrationFuture {
            inner: self.inner.call(request),
            guard,
        }
    }
}

// === impl GwagRegistrationFuture ===

impl<F, B, E> Future for GwagRegistrationFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<InFlightBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _inside = this.guard.as_ref().map(InFlightGuard::inside);
        match this.inner.poll(cx) {
            Poll::Ready(Ok(response)) => {
                let mut response = response;
                if let Some(guard) = this.guard {
                    if guard.protocol() != Protocol::Grpc && is_event_stream(response.headers()) {
                        guard.exempt_events();
                    }
                    if guard.is_closing() && guard.protocol() == Protocol::Http1 {
                        close(&mut response);
                    }
                }
                // Kept whole: a response is large, and taking it apart copies it.
                let guard = this.guard.take();
                Poll::Ready(Ok(response.map(|body| InFlightBody::new(body, guard))))
            }
            Poll::Ready(Err(error)) => {
                *this.guard = None;
                Poll::Ready(Err(error))
            }
            Poll::Pending => match take_if_cut(this.guard, cx) {
                Some(cut) => Poll::Ready(Ok(refusal(cut.protocol()))),
                None => Poll::Pending,
            },
        }
    }
}

const GRPC: &[u8] = b"application/grpc";
const EVENTS: &[u8] = b"text/event-stream";

#[inline]
fn protocol_of<B>(request: &Request<B>, is_post: bool) -> Protocol {
    if request.version() < Version::HTTP_2 {
        return Protocol::Http1;
    }
    // gRPC always has a POST with this content type.
    let is_grpc = is_post && content_type(request.headers()).is_some_and(|it| it.starts_with(GRPC));
    match is_grpc {
        true => Protocol::Grpc,
        false => Protocol::Http2,
    }
}

#[inline]
fn is_event_stream(headers: &HeaderMap) -> bool {
    content_type(headers).is_some_and(|it| it.starts_with(EVENTS))
}

#[cold]
fn close<B>(response: &mut Response<B>) {
    // Upgrades also use the `connection` header.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

/// The response to a request that is cut. A separate function, so that `poll` needs no stack space for
/// it.
#[cold]
#[inline(never)]
fn refusal<B>(protocol: Protocol) -> Response<InFlightBody<B>> {
    let mut response = Response::new(InFlightBody::empty());
    match protocol {
        Protocol::Grpc => {
            *response.headers_mut() = unavailable();
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, grpc);
        }
        Protocol::Http1 | Protocol::Http2 => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    if protocol == Protocol::Http1 {
        close(&mut response);
    }
    response
}

/// With few headers, a linear search is cheapest.
#[inline]
fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    const FEW: usize = 4;
    let value = if headers.len() > FEW {
        headers.get(header::CONTENT_TYPE)
    } else {
        let mut headers = headers.iter();
        headers.find_map(|(name, value)| (name == header::CONTENT_TYPE).then_some(value))
    };
    value.map(HeaderValue::as_bytes)
}
