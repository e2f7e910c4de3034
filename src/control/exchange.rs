//! One unary call over a connection. tonic's own client is not used: it buffers the whole answer,
//! waits forever for what follows it, and panics on a `grpc-status-details-bin` that is not base64.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::BodyExt;
use prost::Message;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::Channel;
use tower::ServiceExt;
use tower_service::Service;

use super::connection::BoxError;

/// The header of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The most empty frames; an answer needs none.
const MOST_EMPTY_FRAMES: u32 = 100;

/// A call that any connection can carry.
#[derive(Debug)]
pub(super) struct UnaryCall {
    /// `/package.Service/Method`.
    pub(super) path: String,
    /// The frame of the request's message.
    pub(super) message: Bytes,
    /// The largest message of an answer that is read.
    pub(super) limit: usize,
}

/// Why there is no valid answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request never left this process.
    NotSent(BoxError),
    /// The connection, or the call on it, ended.
    Broken(BoxError),
    /// The answer is malformed.
    Malformed(String),
    /// A status other than OK.
    Refused(Refusal),
}

/// A status other than OK, as received: the text may be long, and may contain any characters.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) text: String,
    /// It comes from another HTTP server, not from a gRPC server.
    pub(super) is_of_http: bool,
}

/// The connection has already released its stream: nothing was sent over it.
#[derive(Debug)]
pub(super) struct Spent;

/// The body of a request: one message, whose length is not announced (gRPC has no
/// `content-length`).
struct OneMessage(Option<Bytes>);

/// The message of an answer as it arrives.
struct Incoming<'a> {
    prefix: Vec<u8>,
    /// The bytes of the message still to come, once its length is known.
    left: Option<usize>,
    limit: usize,
    take: &'a mut (dyn FnMut(&[u8]) + Send),
}

/// Encodes a request's message for the wire.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut framed, length);
    // invariant: the buffer grows as needed, so encoding does not fail.
    let _ = message.encode(&mut framed);
    framed.freeze()
}

pub(super) fn framed_raw(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    put_prefix(&mut framed, message.len());
    framed.put_slice(message);
    framed.freeze()
}

fn put_prefix(into: &mut BytesMut, length: usize) {
    into.put_u8(0);
    // A longer message was refused before.
    into.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Makes a call, and passes the message of the answer on in pieces, at most `call.limit` bytes in
/// all.
///
/// # Cancel safety
///
/// Cancelling it cancels the call on the wire.
pub(super) async fn exchange(
    mut channel: Channel,
    call: &UnaryCall,
    headers: HeaderMap,
    take: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), Failure> {
    // It fails only for a method that the user's schema names.
    let path: PathAndQuery = call.path.parse().map_err(not_a_path)?;
    let mut request = Request::new(Body::new(OneMessage(Some(call.message.clone()))));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    // The channel adds authority and scheme.
    *request.uri_mut() = path.into();
    *request.headers_mut() = headers;
    let of_grpc = [
        (header::TE, HeaderValue::from_static("trailers")),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/grpc"),
        ),
    ];
    for (name, value) in of_grpc {
        request.headers_mut().insert(name, value);
    }
    let channel = channel.ready().await.map_err(failed)?;
    let response = channel.call(request).await.map_err(failed)?;
    read(response, call.limit, take).await
}

fn not_a_path(error: InvalidUri) -> Failure {
    Failure::NotSent(error.into())
}

async fn read(
    response: Response<Body>,
    limit: usize,
    take: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), Failure> {
    let (head, mut body) = response.into_parts();
    if let Some(status) = status_of(&head.headers) {
        // The answer has only a head.
        return match status {
            Ok(()) => Err(Failure::Malformed("OK, but no message".to_owned())),
            Err(refusal) => Err(Failure::Refused(refusal)),
        };
    }
    check_head(head.status, &head.headers)?;
    let mut incoming = Incoming {
        prefix: Vec::with_capacity(PREFIX),
        left: None,
        limit,
        take,
    };
    let mut empty = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|status| Failure::Broken(status.into()))?;
        let frame = match frame.into_data() {
            Ok(data) => {
                empty += u32::from(data.is_empty());
                if empty > MOST_EMPTY_FRAMES {
                    let text = "nothing but empty frames".to_owned();
                    return Err(Failure::Malformed(text));
                }
                incoming.take(&data)?;
                continue;
            }
            Err(frame) => frame,
        };
        if let Ok(trailers) = frame.into_trailers() {
            return match status_of(&trailers) {
                Some(Err(refusal)) => Err(Failure::Refused(refusal)),
                Some(Ok(())) if incoming.left == Some(0) => Ok(()),
                Some(Ok(())) => Err(Failure::Malformed("OK, but no whole message".to_owned())),
                None => Err(Failure::Malformed("trailers without a status".to_owned())),
            };
        }
    }
    Err(Failure::Malformed("an answer without a status".to_owned()))
}

/// Maps answers that are not gRPC: to "another server" what no proxy says of a gateway that is away.
fn check_head(status: StatusCode, headers: &HeaderMap) -> Result<(), Failure> {
    let content_type = headers.get(header::CONTENT_TYPE);
    let is_grpc = content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/grpc"));
    let code = match status {
        StatusCode::OK if is_grpc => return Ok(()),
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        // A proxy whose gateway is away, or that is busy.
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        // A page of another server, or of a proxy that has no route to the gateway.
        _ => Code::Unimplemented,
    };
    let kind = content_type.map_or("", |it| it.to_str().unwrap_or(""));
    Err(Failure::Refused(Refusal {
        code,
        text: format!("HTTP status {} {kind}", status.as_u16())
            .trim_end()
            .to_owned(),
        is_of_http: true,
    }))
}

/// The status in headers or trailers. Its details are ignored: nothing needs them.
fn status_of(headers: &HeaderMap) -> Option<Result<(), Refusal>> {
    let code = Code::from_bytes(headers.get("grpc-status")?.as_bytes());
    if code == Code::Ok {
        return Some(Ok(()));
    }
    let text = headers.get("grpc-message");
    Some(Err(Refusal {
        code,
        text: text.map_or_else(String::new, |it| decoded(it.as_bytes())),
        is_of_http: false,
    }))
}

/// Decodes percent encoding; invalid sequences are kept.
fn decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%');
        // A sign would be taken for a part of the number.
        let digits = digits.filter(|it| it.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|it| std::str::from_utf8(it).ok());
        match digits.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn failed(error: tonic::transport::Error) -> Failure {
    if is_not_sent(&error) {
        Failure::NotSent(error.into())
    } else {
        Failure::Broken(error.into())
    }
}

/// A connection that got GOAWAY, or has ended, returns what it has not begun to send.
fn is_not_sent(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let canceled = error.downcast_ref::<hyper::Error>();
        if canceled.is_some_and(hyper::Error::is_canceled) || error.is::<Spent>() {
            return true;
        }
        // The error is inside the one that the connector returned, and not its source.
        let io = error.downcast_ref::<std::io::Error>();
        if let Some(inner) = io.and_then(std::io::Error::get_ref)
            && inner.is::<Spent>()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

// === impl Incoming ===

impl Incoming<'_> {
    fn take(&mut self, mut data: &[u8]) -> Result<(), Failure> {
        if self.left.is_none() {
            let wanted = (PREFIX - self.prefix.len()).min(data.len());
            self.prefix.extend_from_slice(&data[..wanted]);
            data = &data[wanted..];
            let &[flag, a, b, c, d] = &self.prefix[..] else {
                return Ok(());
            };
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            if flag != 0 {
                // Compression was not requested.
                return Err(Failure::Malformed("a compressed message".to_owned()));
            }
            if length > self.limit {
                return Err(Failure::Malformed(format!(
                    "a message of {length} bytes, more than the limit of {}",
                    self.limit
                )));
            }
            self.left = Some(length);
        }
        let left = self.left.unwrap_or_default();
        if data.len() > left {
            let text = "more than one message".to_owned();
            return Err(Failure::Malformed(text));
        }
        self.left = Some(left - data.len());
        if !data.is_empty() {
            (self.take)(data);
        }
        Ok(())
    }
}

// === impl Spent ===

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection has ended")
    }
}

impl StdError for Spent {}

// === impl OneMessage ===

impl http_body::Body for OneMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_statuses_are_decoded_as_far_as_they_are_encoded() {
        assert_eq!(decoded(b"kv put%3a 100%25"), "kv put: 100%");
        assert_eq!(decoded(b"%c3%a9 %zz %4"), "é %zz %4");
        assert_eq!(decoded(b"100%+a% 5%"), "100%+a% 5%");
        assert_eq!(decoded(b"%ff"), "\u{fffd}");
    }

    #[test]
    fn a_message_is_taken_in_pieces_and_nothing_after_it() {
        let mut taken = Vec::new();
        let mut take = |bytes: &[u8]| taken.extend_from_slice(bytes);
        let mut incoming = Incoming {
            prefix: Vec::new(),
            left: None,
            limit: 10,
            take: &mut take,
        };
        for byte in framed_raw(b"abc") {
            incoming.take(&[byte]).unwrap();
        }
        assert_eq!(incoming.left, Some(0));
        assert!(incoming.take(b"x").is_err());
        assert_eq!(taken, b"abc");
    }
}
