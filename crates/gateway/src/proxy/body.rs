//! The answer of a service on its way through: streamed, counted, and always with a status.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Code, Status};

use super::upstream::Upstream;
use crate::registry::slot::Chosen;

/// What a call holds while it is in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) upstream: Arc<Upstream>,
    pub(super) _chosen: Chosen,
    pub(super) _permits: Vec<OwnedSemaphorePermit>,
}

/// The body of a proxied answer. When the service fails in the middle, the caller still gets a
/// status, in trailers.
#[derive(Debug)]
pub(super) struct ProxiedBody {
    state: State,
    saw_status: bool,
}

#[derive(Debug)]
enum State {
    Streaming(Incoming, InFlight),
    /// One more frame: the trailers.
    Last(HeaderMap),
    Done,
}

impl ProxiedBody {
    pub(super) fn streaming(body: Incoming, in_flight: InFlight, saw_status: bool) -> Self {
        Self {
            state: State::Streaming(body, in_flight),
            saw_status,
        }
    }

    /// No body at all: the status is in the headers.
    pub(super) fn empty() -> Self {
        Self {
            state: State::Done,
            saw_status: true,
        }
    }
}

impl Body for ProxiedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        match std::mem::replace(&mut this.state, State::Done) {
            State::Done => Poll::Ready(None),
            State::Last(trailers) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            State::Streaming(mut body, in_flight) => match Pin::new(&mut body).poll_frame(cx) {
                Poll::Pending => {
                    this.state = State::Streaming(body, in_flight);
                    Poll::Pending
                }
                Poll::Ready(Some(Ok(frame))) => {
                    if frame.is_trailers() {
                        this.saw_status = true;
                    }
                    if !frame.is_trailers() {
                        this.state = State::Streaming(body, in_flight);
                    }
                    Poll::Ready(Some(Ok(frame)))
                }
                Poll::Ready(Some(Err(error))) => {
                    let status = if in_flight.upstream.is_closed() {
                        Upstream::closing()
                    } else {
                        status_of(error)
                    };
                    Poll::Ready(Some(Ok(Frame::trailers(trailers_of(&status)))))
                }
                Poll::Ready(None) if this.saw_status => Poll::Ready(None),
                Poll::Ready(None) => {
                    this.saw_status = true;
                    let status =
                        Status::internal("server closed the stream without sending trailers");
                    this.state = State::Last(trailers_of(&status));
                    Pin::new(this).poll_frame(cx)
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Streaming(body, _) => self.saw_status && body.is_end_stream(),
            State::Last(_) => false,
            State::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Streaming(..) | State::Last(_) => SizeHint::default(),
            State::Done => SizeHint::with_exact(0),
        }
    }
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A status that cannot be a header would be a fault of ours: leave the code alone then.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", http::HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// What the caller gets when the exchange with a service breaks.
pub(super) fn status_of(error: hyper::Error) -> Status {
    let text = error.to_string();
    // Knows the HTTP/2 reset codes; what is none of them is a lost connection.
    let status = Status::from_error(Box::new(error));
    match status.code() {
        Code::Unknown => Status::unavailable(format!("error reading from server: {text}")),
        code => Status::new(code, format!("stream terminated by RST_STREAM: {text}")),
    }
}
