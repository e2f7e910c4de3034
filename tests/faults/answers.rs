//! Peers that speak gRPC, in their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use prost::Message;
use tokio::time::{Interval, interval};

use crate::peer::Peer;
use crate::support::GREETER_PROTO;

#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    dead_code,
    unreachable_pub
)]
pub(crate) mod proto {
    include!("../../src/control/generated.rs");
}

/// What is peculiar about a peer; the rest of it is as it should be.
#[derive(Clone, Copy)]
pub(crate) enum Is {
    Good,
    Silent,
    OnlyRegister,
    /// In the head: code, text and details.
    Status(&'static str, &'static str, Option<&'static str>),
    /// Behind the message: details.
    Trailers(Option<&'static str>),
    LongHeaders,
    LongTrailers,
    Http(u16),
    NoStatus,
    Compressed,
    /// A message that would be so long.
    Bomb(u32),
    Nonsense,
    Broken,
    /// A message that claims to be so long.
    Length(u32),
    EndlessMessages,
    EndlessMessage,
    Trickle,
    Id(usize),
    ControlId,
    Ttl(u32),
    Forgetful,
    /// Each list has so many entries, with texts of such a length.
    Entries(usize, usize),
    FormerLives(usize),
    /// So many nodes, with names of such a length.
    Nodes(usize, usize),
    /// So many entries, each of which names one service so often.
    Repeating(usize, usize),
}

/// A body of frames that are made one after the other.
struct Frames {
    next: Box<dyn FnMut() -> Option<Result<Frame<Bytes>, std::io::Error>> + Send>,
    each: Option<Interval>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(each) = &mut self.each {
            std::task::ready!(each.poll_tick(cx));
        }
        Poll::Ready((self.next)())
    }
}

fn body(
    next: impl FnMut() -> Option<Result<Frame<Bytes>, std::io::Error>> + Send + 'static,
) -> Body {
    Body::new(Frames {
        next: Box::new(next),
        each: None,
    })
}

fn endless(first: Vec<u8>, then: &'static [u8]) -> Body {
    let mut first = Some(Bytes::from(first));
    body(move || {
        let bytes = first.take().unwrap_or(Bytes::from_static(then));
        Some(Ok(Frame::data(bytes)))
    })
}

fn prefix(length: u32) -> Vec<u8> {
    [&[0], &length.to_be_bytes()[..]].concat()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short");
    [&prefix(length), message].concat()
}

pub(crate) fn grpc(body: Body) -> Response<Body> {
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body).expect("an answer")
}

pub(crate) fn status(code: &str, text: &str, details: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-status", code.parse().expect("a value"));
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    headers.insert("grpc-message", encoded.parse().expect("a value"));
    if let Some(details) = details {
        headers.insert("grpc-status-details-bin", details.parse().expect("a value"));
    }
    headers
}

fn refused(code: &str, text: &str, details: Option<&str>) -> Response<Body> {
    let mut response = grpc(Body::empty());
    response.headers_mut().extend(status(code, text, details));
    response
}

/// The message in pieces, and a status behind it.
fn answered_with(message: Bytes, trailers: HeaderMap) -> Response<Body> {
    let mut left = message;
    let mut trailers = Some(trailers);
    grpc(body(move || {
        if !left.is_empty() {
            let piece = left.split_to(left.len().min(16_384));
            return Some(Ok(Frame::data(piece)));
        }
        Some(Ok(Frame::trailers(trailers.take()?)))
    }))
}

pub(crate) fn answered(message: &impl Message) -> Response<Body> {
    let message = framed(&message.encode_to_vec());
    answered_with(message.into(), status("0", "", None))
}

pub(crate) fn granted(id: String, ttl_seconds: u32) -> Response<Body> {
    answered(&proto::RegisterResponse {
        registration_id: id,
        ttl_seconds,
    })
}

pub(crate) fn id(number: u64) -> String {
    format!("{number:024x}")
}

pub(crate) fn good(method: &str, number: u64) -> Response<Body> {
    match method {
        "Register" => granted(id(number), 3),
        "Heartbeat" => answered(&proto::HeartbeatResponse { ok: true }),
        _ => answered(&()),
    }
}

pub(crate) fn never() -> Response<Body> {
    grpc(Body::new(Frames {
        next: Box::new(|| None),
        each: Some({
            let mut never = interval(Duration::from_secs(600));
            never.reset();
            never
        }),
    }))
}

/// An answer whose frames come when another one does.
pub(crate) fn delayed(answer: tokio::sync::oneshot::Receiver<Response<Body>>) -> Response<Body> {
    grpc(Body::new(Delayed::Waits(answer)))
}

enum Delayed {
    Waits(tokio::sync::oneshot::Receiver<Response<Body>>),
    Answers(Body),
}

impl http_body::Body for Delayed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            match &mut *self {
                Self::Waits(answer) => {
                    let answer = std::task::ready!(Pin::new(answer).poll(cx));
                    *self = Self::Answers(answer.map(Response::into_body).unwrap_or_default());
                }
                Self::Answers(body) => return Pin::new(body).poll_frame(cx),
            }
        }
    }
}

/// An entry of any of the lists: the first fields are texts.
fn entry(length: usize, instance: Option<usize>) -> Vec<u8> {
    if let Some(number) = instance {
        return proto::Registration {
            registration_id: id(number as u64),
            addr: "10.0.0.5:50051".to_owned(),
            instance_id: format!("greeter-0#{number}"),
            ..Default::default()
        }
        .encode_to_vec();
    }
    if length == 0 {
        return Vec::new();
    }
    proto::ServiceInfo {
        namespace: "greeter".to_owned(),
        version: "v".repeat(length / 2),
        hash_hex: "h".repeat(length / 2),
        ..Default::default()
    }
    .encode_to_vec()
}

fn list(count: usize, length: usize, instances: bool) -> Bytes {
    let mut list = Vec::new();
    for number in 0..count {
        let entry = entry(length, instances.then_some(number));
        prost::encoding::bytes::encode(1, &entry, &mut list);
    }
    framed(&list).into()
}

fn nodes(count: usize, length: usize) -> Bytes {
    let peer = |number: usize| proto::Peer {
        node_id: id(number as u64),
        name: "n".repeat(length),
        ..Default::default()
    };
    let peers = (0..count).map(peer).collect();
    framed(&proto::ListPeersResponse { peers }.encode_to_vec()).into()
}

fn repeating(count: usize, times: usize) -> Bytes {
    let entry = |number: usize| proto::Registration {
        registration_id: id(number as u64),
        namespaces: vec!["greeter/v1".to_owned(); times],
        ..Default::default()
    };
    let registrations = (0..count).map(entry).collect();
    framed(&proto::ListRegistrationsResponse { registrations }.encode_to_vec()).into()
}

fn compressed(message: &[u8]) -> Bytes {
    let mut framed = framed(message);
    framed[0] = 1;
    framed.into()
}

/// So many letters as gzip, with one code for each 258 of them.
fn bomb(length: u32) -> Vec<u8> {
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let (mut bits, mut filled) = (0_u64, 0);
    let mut push = |value: u64, count: u32| {
        bits |= value << filled;
        filled += count;
        while filled >= 8 {
            bomb.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    };
    // A last block with fixed codes; the letter; then lengths of 258 at a distance of 1.
    push(0b011, 3);
    push(u64::from(0xa8_u8.reverse_bits()), 8);
    for _ in 0..length / 258 {
        push(u64::from(0xc5_u8.reverse_bits()), 8);
        push(0, 5);
    }
    push(0, 7 + 7);
    bomb.extend([0; 4]);
    bomb.extend(length.to_le_bytes());
    bomb
}

#[test]
fn the_bomb_is_small() {
    let bomb = bomb(64 * 1024 * 1024);
    assert!(bomb.len() < 512 * 1024, "{}", bomb.len());
}

fn is_list(method: &str) -> bool {
    method.starts_with("List")
}

pub(crate) fn answering(is: Is) -> Peer {
    let lists = match is {
        Is::Entries(count, length) => list(count, length, false),
        Is::FormerLives(count) => list(count, 0, true),
        Is::Nodes(count, length) => nodes(count, length),
        Is::Repeating(count, times) => repeating(count, times),
        Is::Bomb(length) => compressed(&bomb(length)),
        _ => Bytes::new(),
    };
    Peer::http(Arc::new(move |method, number, _| match is {
        Is::Good => good(method, number),
        Is::Silent => never(),
        Is::OnlyRegister if method == "Register" => good(method, number),
        Is::OnlyRegister => never(),
        Is::Status(code, text, details) => refused(code, text, details),
        Is::Trailers(details) => {
            let trailers = status("2", "no", details);
            answered_with(framed(&[]).into(), trailers)
        }
        Is::LongHeaders => {
            let mut response = good(method, number);
            for field in 0..50 {
                let name = format!("x-{field}");
                let name = http::HeaderName::try_from(name).expect("a name");
                let value = HeaderValue::try_from("x".repeat(1_000)).expect("a value");
                response.headers_mut().insert(name, value);
            }
            response
        }
        Is::LongTrailers => {
            let mut trailers = status("0", "", None);
            for field in 0..500 {
                let name = format!("x-{field}");
                let name = http::HeaderName::try_from(name).expect("a name");
                let value = HeaderValue::try_from("x".repeat(1_000)).expect("a value");
                trailers.insert(name, value);
            }
            answered_with(framed(&[]).into(), trailers)
        }
        Is::Http(status) => {
            let page = Response::builder()
                .status(status)
                .header("content-type", "text/html");
            page.body(Body::from(GREETER_PROTO)).expect("a page")
        }
        Is::NoStatus => grpc(Body::from(framed(&[]))),
        Is::Compressed => {
            let message = [1, 0, 0, 0, 3, 1, 2, 3];
            answered_with(message.to_vec().into(), status("0", "", None))
        }
        Is::Bomb(_) => {
            let mut response = answered_with(lists.clone(), status("0", "", None));
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert("grpc-encoding", gzip);
            response
        }
        Is::Nonsense => answered_with(framed(&[0xff; 40]).into(), status("0", "", None)),
        Is::Broken => grpc(body(|| Some(Err(std::io::ErrorKind::Other.into())))),
        Is::Length(length) => grpc(endless(prefix(length), &[b'x'; 16_384])),
        Is::EndlessMessages => grpc(endless(framed(&[]), &[0, 0, 0, 0, 0])),
        Is::EndlessMessage => grpc(endless(prefix(8_000_000), &[0x0a; 16_384])),
        Is::Trickle => grpc(Body::new(Frames {
            next: Box::new(|| Some(Ok(Frame::data(Bytes::from_static(&[0]))))),
            each: Some(interval(Duration::from_millis(100))),
        })),
        Is::Id(length) if method == "Register" => granted("a".repeat(length), 30),
        Is::ControlId if method == "Register" => granted("a\u{1b}[2Jb\n".to_owned(), 30),
        Is::Ttl(ttl) if method == "Register" => granted(id(number), ttl),
        Is::Forgetful if method == "Heartbeat" => answered(&proto::HeartbeatResponse { ok: false }),
        Is::Nodes(..) if method == "ListServices" => answered(&proto::ListServicesResponse {
            services: vec![proto::ServiceInfo {
                namespace: "greeter".to_owned(),
                version: "v1".to_owned(),
                replica_count: 1,
                ..Default::default()
            }],
            ..Default::default()
        }),
        Is::Entries(..) | Is::FormerLives(_) | Is::Nodes(..) | Is::Repeating(..)
            if is_list(method) =>
        {
            answered_with(lists.clone(), status("0", "", None))
        }
        Is::Id(_) | Is::ControlId | Is::Ttl(_) | Is::Forgetful => good(method, number),
        Is::Entries(..) | Is::FormerLives(_) | Is::Nodes(..) | Is::Repeating(..) => {
            good(method, number)
        }
    }))
}

fn any_status(number: u64) -> Response<Body> {
    let code = (number % 18).to_string();
    refused(&code, "a\nnew line", Some("x"))
}

pub(crate) fn every_status() -> Peer {
    Peer::http(Arc::new(|_, number, _| any_status(number)))
}

/// All other calls are answered as they should be.
pub(crate) fn every_status_of(of: &'static str) -> Peer {
    Peer::http(Arc::new(move |method, number, _| {
        if method == of {
            any_status(number)
        } else {
            good(method, number)
        }
    }))
}
