//! The route probe: a request that no handler sees tells whether a gateway routes a method
//! (contract § 6).

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// No message of any type: a field of a wire type that does not exist.
const UNDECODABLE: &[u8] = &[0xff, 0xff, 0xff];

/// What a gateway answered to the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouteProbe {
    /// It has a route for the method: it tried to decode the message. The route may be stale.
    Found,
    /// It has no route for the method.
    NoRoute,
    /// Anything else: there is no ingress on this port, or no answer.
    NoEvidence,
}

pub(super) async fn probe(channel: Channel, request: Request<()>, method: &str) -> RouteProbe {
    let Ok(path) = method.parse::<PathAndQuery>() else {
        return RouteProbe::NoEvidence;
    };
    let mut client = Grpc::new(channel);
    if client.ready().await.is_err() {
        return RouteProbe::NoEvidence;
    }
    let request = request.map(|()| Bytes::from_static(UNDECODABLE));
    match client.unary(request, path, Raw).await {
        Err(status) => meaning(&status),
        Ok(_) => RouteProbe::NoEvidence,
    }
}

fn meaning(status: &Status) -> RouteProbe {
    // A failure on our side of the wire has a source.
    if std::error::Error::source(status).is_some() {
        return RouteProbe::NoEvidence;
    }
    match status.code() {
        // `unknown service` would say that there is no ingress on this port.
        Code::Unimplemented if status.message().contains("no route for") => RouteProbe::NoRoute,
        Code::Internal | Code::InvalidArgument => RouteProbe::Found,
        _ => RouteProbe::NoEvidence,
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}
