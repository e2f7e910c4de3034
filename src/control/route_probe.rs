//! The route probe: a request that no handler sees tells whether a gateway routes a method
//! (contract § 6).

use super::exchange::Refusal;
use tonic::Code;

/// No message of any type: a field of a wire type that does not exist.
pub(super) const UNDECODABLE: &[u8] = &[0xff, 0xff, 0xff];

/// What a gateway answered when it was asked for a route; [`Client::probe_route`](super::Client).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteProbe {
    /// It has a route for the method: it tried to decode the message. The route may be stale.
    Found,
    /// It has no route for the method.
    NoRoute,
    /// Anything else: there is no ingress on this port, or no answer.
    NoEvidence,
}

pub(super) fn meaning(refusal: &Refusal) -> RouteProbe {
    match refusal.code {
        // A page, and no gRPC server.
        _ if refusal.is_of_http => RouteProbe::NoEvidence,
        // `unknown service` would say that there is no ingress on this port.
        Code::Unimplemented if refusal.text.contains("no route for") => RouteProbe::NoRoute,
        Code::Internal | Code::InvalidArgument => RouteProbe::Found,
        _ => RouteProbe::NoEvidence,
    }
}
