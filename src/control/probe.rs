//! Probes that change nothing, for which any answer counts: whether a connection lives, whether a
//! gateway is there, whether it routes a method (contract § 6).

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use super::connection::{Connection, Room};
use super::control_plane::{ControlPlane, MAX_LIST_BYTES};
use super::exchange::{Failure, Refusal, UnaryCall, framed, framed_raw};
use super::proto::ListPeersRequest;
use super::refusal::Failed;
use crate::error::Error;
use crate::liveness::Liveness;

/// How much longer an answer may take on the old connection than on a new one.
const GRACE: Duration = Duration::from_secs(1);
/// How long the result of a probe may be reused by others.
const PROBE_IS_FRESH: Duration = Duration::from_millis(500);
/// The same for a look whether the gateway is there.
const LOOK_IS_FRESH: Duration = Duration::from_secs(2);
/// The timeout of that look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// Not a message of any type: a field of a wire type that does not exist.
const UNDECODABLE: &[u8] = &[0xff, 0xff, 0xff];

/// A gateway's answer to [`Client::probe_route`](super::Client::probe_route); see [the examples of
/// `Client`](super::Client#examples).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteProbe {
    /// It has a route for the method: it tried to decode the message. The route may be stale.
    Found,
    /// It has no route for the method.
    NoRoute,
    /// Anything else: this port has no ingress, or there was no answer.
    NoEvidence,
}

fn meaning(refusal: &Refusal) -> RouteProbe {
    match refusal.code {
        // A web page, not a gRPC server.
        _ if refusal.is_of_http => RouteProbe::NoEvidence,
        // `unknown service` would mean that this port has no ingress.
        Code::Unimplemented if refusal.text.contains("no route for") => RouteProbe::NoRoute,
        Code::Internal | Code::InvalidArgument => RouteProbe::Found,
        _ => RouteProbe::NoEvidence,
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Probes a connection on which an answer is overdue: asks over it and over a new one, and then
    /// asks other nodes of its name, for about `deadline` each. It changes nothing, and may be
    /// cancelled. Registrations on one connection share the result.
    pub(crate) async fn probe(&self, deadline: Duration) -> Liveness {
        let Some(connection) = self.last() else {
            return Box::pin(self.probe_alone(deadline)).await;
        };
        let this = self.clone();
        let look = || async move { this.probe_alone(deadline).await };
        let probes = &self.gateway().probes;
        let found = probes.join(connection.number, PROBE_IS_FRESH, look).await;
        found.unwrap_or(Liveness::Silent)
    }

    /// Whether the gateway answers; registrations share the result.
    pub(crate) async fn is_there(&self) -> bool {
        let this = self.clone();
        let look = || async move {
            let answer = timeout(LOOK_TIMEOUT, this.is_clustered()).await;
            matches!(answer, Ok(Some(_)))
        };
        let identity = self.credentials().identity();
        let found = self
            .gateway()
            .looks
            .join(identity, LOOK_IS_FRESH, look)
            .await;
        found.unwrap_or(false)
    }

    async fn probe_alone(&self, deadline: Duration) -> Liveness {
        let here = async {
            match self.last() {
                Some(connection) if self.answers(&connection).await => {}
                _ => std::future::pending().await,
            }
        };
        let elsewhere = async {
            match Box::pin(self.gateway().connect()).await {
                Ok(connection) => {
                    let answers = self.answers(&connection).await;
                    connection.kill();
                    answers
                }
                Err(error) => is_refused(&error),
            }
        };
        tokio::pin!(here);
        tokio::select! {
            () = &mut here => return Liveness::Slow,
            answers = timeout(deadline, elsewhere) => match answers {
                Ok(true) => {}
                Ok(false) | Err(_) if self.another_node_answers(deadline).await => {
                    return Liveness::NodeSilent;
                }
                Ok(false) | Err(_) => return Liveness::Silent,
            }
        }
        // An answer elsewhere proves nothing while one may still arrive here.
        match timeout(GRACE, here).await {
            Ok(()) => Liveness::Slow,
            Err(_) => Liveness::Dead,
        }
    }

    /// Two addresses may be one gateway: only an answer shows that there is another node.
    async fn another_node_answers(&self, deadline: Duration) -> bool {
        let mut asked = JoinSet::new();
        for node in self.other_nodes().await {
            asked.spawn(async move {
                let Ok(connection) = Box::pin(node.gateway().connect()).await else {
                    return false;
                };
                let answers = node.answers(&connection).await;
                connection.kill();
                answers
            });
        }
        let answered = async {
            while let Some(answers) = asked.join_next().await {
                if answers.unwrap_or(false) {
                    return true;
                }
            }
            false
        };
        timeout(deadline, answered).await.unwrap_or(false)
    }

    /// ListPeers does not wait for a busy registry.
    async fn answers(&self, connection: &Connection) -> bool {
        // Any status from the peer proves that it is alive.
        let call = UnaryCall::of("ListPeers", framed(&ListPeersRequest {}), MAX_LIST_BYTES);
        let take = &mut |_: &[u8]| {};
        let headers = self.credentials().headers().await.unwrap_or_default();
        let answer = self.send(connection, &call, headers, take);
        !matches!(answer.await, Err(Failure::NotSent(_) | Failure::Broken(_)))
    }

    /// Asks for a route without calling the service behind it.
    pub(crate) async fn probe_route(&self, method: &str) -> RouteProbe {
        let call = UnaryCall {
            path: match method.starts_with('/') {
                true => method.to_owned(),
                false => format!("/{method}"),
            },
            message: framed_raw(UNDECODABLE),
            limit: MAX_LIST_BYTES,
        };
        let take = &mut |_: &[u8]| {};
        let answer = self.call(&call, Room::Calls, false, take);
        match answer.await {
            Err(Failed::Call(Failure::Refused(refusal), _)) => meaning(&refusal),
            _ => RouteProbe::NoEvidence,
        }
    }
}

/// Whether the connection was refused, so that nothing listens there.
fn is_refused(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}
