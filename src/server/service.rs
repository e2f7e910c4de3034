//! The layer's service: counts each request in when it arrives, and out when its body has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{
    Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::{InFlightBody, take_if_cut, unavailable};
use crate::drain::{Arrival, InFlightGuard, Inside, Protocol};
use crate::driver::Handle;
use crate::observe::proof::Head;

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
        let arrival = arrives(
            &self.handle,
            request.method(),
            request.uri(),
            request.version(),
            request.headers(),
            request.extensions(),
        );
        // Counted afterwards, so that a panic in it leaves nothing to count out: the compiler then
        // moves the future, which may be large, less often.
        let inner = self.inner.call(request);
        let in_flight = &self.handle.life.drain.in_flight;
        GwagRegistrationFuture {
            inner,
            guard: Some(in_flight.enter(arrival)),
        }
    }
}

/// Looks at the head of a request. Compiled here, not into each server: a server whose `call` becomes
/// larger is inlined less, which costs more than this. Each part is an argument of its own, and so in a
/// register.
#[inline(never)]
fn arrives(
    handle: &Handle,
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Arrival {
    let life = &*handle.life;
    let drain = &*life.drain;
    let is_post = method == Method::POST;
    if let Some(protocol) = protocol_at_once(version, headers, is_post)
        && drain.wiring.has_listener()
        && !drain.exempt.may_hold(uri, is_post)
        && !life.proof.is_awaited()
        && let Some(arrival) = drain.in_flight.arrives_before_leaving(protocol)
    {
        return arrival;
    }
    let head = Head {
        method,
        uri,
        version,
        headers,
        extensions,
    };
    arrives_unusually(handle, &head)
}

/// The same for requests that need a closer look, so that the others use no stack.
#[cold]
#[inline(never)]
fn arrives_unusually(handle: &Handle, head: &Head<'_>) -> Arrival {
    let life = &*handle.life;
    let drain = &*life.drain;
    drain.wiring.check_listener();
    let is_post = head.method == Method::POST;
    let protocol = protocol_at_once(head.version, head.headers, is_post).unwrap_or_else(|| {
        let content_type = head.headers.get(header::CONTENT_TYPE);
        protocol_of_post(content_type.map_or(b"", HeaderValue::as_bytes))
    });
    let is_exempt = drain.exempt.holds(head.uri, is_post);
    let arrival = drain.in_flight.arrives(protocol, is_exempt);
    life.proof.saw_call(head, protocol == Protocol::Grpc);
    arrival
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
        let inside = Inside::of(this.guard);
        let mut polled = this.inner.poll(cx);
        drop(inside);
        match &mut polled {
            Poll::Pending => {
                return match take_if_cut(this.guard, cx) {
                    Some(cut) => Poll::Ready(Ok(refusal(cut.protocol()))),
                    None => Poll::Pending,
                };
            }
            // Changed where it is: a response is large, and each move copies it.
            Poll::Ready(Ok(response)) => {
                if let Some(guard) = this.guard
                    && guard.protocol() != Protocol::Grpc
                    && answered(guard, response.headers())
                {
                    close(response, guard.protocol());
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        // Taken first, so that nothing is in the way of the one move.
        let guard = this.guard.take();
        polled.map_ok(|response| response.map(|body| InFlightBody::new(body, guard)))
    }
}

/// Looks at the headers of a response; returns whether its connection is to be closed.
#[inline(never)]
fn answered(guard: &mut InFlightGuard, headers: &HeaderMap) -> bool {
    if is_event_stream(headers) {
        guard.is_event_stream();
    }
    guard.is_closing()
}

const GRPC: &[u8] = b"application/grpc";
const EVENTS: &[u8] = b"text/event-stream";

/// The protocol of a request, where it is seen at once.
#[inline]
fn protocol_at_once(version: Version, headers: &HeaderMap, is_post: bool) -> Option<Protocol> {
    if version < Version::HTTP_2 {
        return Some(Protocol::Http1);
    }
    // gRPC always has a POST.
    if !is_post {
        return Some(Protocol::Http2);
    }
    // Usually the first header.
    match headers.iter().next()? {
        (name, value) if name == header::CONTENT_TYPE => Some(protocol_of_post(value.as_bytes())),
        _ => None,
    }
}

#[inline]
fn protocol_of_post(content_type: &[u8]) -> Protocol {
    match content_type.starts_with(GRPC) {
        true => Protocol::Grpc,
        false => Protocol::Http2,
    }
}

#[inline]
fn is_event_stream(headers: &HeaderMap) -> bool {
    // Most others differ in the first eight bytes, which is a single comparison.
    content_type(headers)
        .is_some_and(|it| it.first_chunk() == EVENTS.first_chunk::<8>() && it.starts_with(EVENTS))
}

/// Closes the connection of an HTTP/1 request; servers of HTTP/2 send GOAWAY by themselves.
#[cold]
#[inline(never)]
fn close<B>(response: &mut Response<B>, protocol: Protocol) {
    // Upgrades also use the `connection` header.
    if protocol == Protocol::Http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
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
        Protocol::Http1 | Protocol::Http2 | Protocol::Events => {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
    }
    close(&mut response, protocol);
    response
}

/// Usually the first header, and found at once.
#[inline]
fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.iter().next()? {
        (name, value) if name == header::CONTENT_TYPE => Some(value.as_bytes()),
        _ => another_content_type(headers),
    }
}

#[cold]
#[inline(never)]
fn another_content_type(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::Waker;

    use tower::service_fn;
    use tower_layer::Layer;

    use super::*;
    use crate::options::Options;
    use crate::server::GwagRegistrationLayer;

    type Never = std::convert::Infallible;

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_panic_counts_out_and_hides_no_later_request() {
        let layer = GwagRegistrationLayer::new(Options::disabled());
        let registration = layer.registration();
        let mut in_call = layer.layer(service_fn(|_: Request<()>| {
            assert!(std::hint::black_box(false), "in the call");
            std::future::ready(Ok::<Response<()>, Never>(Response::default()))
        }));
        let mut in_future = layer.layer(service_fn(async |_: Request<()>| {
            assert!(std::hint::black_box(false), "in the future");
            Ok::<Response<()>, Never>(Response::default())
        }));
        let panicked = [
            catch_unwind(AssertUnwindSafe(|| drop(in_call.call(Request::default())))),
            catch_unwind(AssertUnwindSafe(|| {
                assert!(poll(in_future.call(Request::default())).is_ready());
            })),
        ];
        assert!(panicked.iter().all(Result::is_err));
        assert_eq!(registration.in_flight(), 0);
        let seen = registration.clone();
        let mut counts = layer.layer(service_fn(async |_: Request<()>| {
            assert_eq!(seen.in_flight(), 1);
            Ok::<Response<()>, Never>(Response::default())
        }));
        let Poll::Ready(Ok(response)) = poll(counts.call(Request::default())) else {
            panic!("not ready");
        };
        assert_eq!(registration.in_flight(), 1);
        drop(response);
        assert_eq!(registration.in_flight(), 0);
    }
}
