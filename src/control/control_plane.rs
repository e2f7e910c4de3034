//! The control plane of one gateway for one registration: how calls are made.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use prost::Message;

use super::connection::{Connection, Gateway, Room};
use super::credentials::Credentials;
use super::escape::escaped;
use super::exchange::{Failure, UnaryCall, exchange, framed};
use super::list_reader::{Entries, fields};
use super::proto::{
    DeregisterRequest, DeregisterResponse, HeartbeatRequest, HeartbeatResponse, RegisterRequest,
    RegisterResponse, ServiceBinding,
};
use super::refusal::{Asked, CallError, Failed};

/// The largest list that is read: enough for many thousands of services.
pub(super) const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;
/// The largest answer of another kind: an id and a number.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// The most fields of a list that is kept whole: an empty field takes two bytes on the wire, and a
/// hundred in memory.
const MOST_FIELDS: usize = 200_000;

/// In characters; gateways give 24.
pub(super) const LONGEST_ID: usize = 64;
/// The TTL that a granted 0 stands for.
const DEFAULT_TTL_SECONDS: u32 = 30;
const LONGEST_TTL_SECONDS: u32 = 24 * 60 * 60;

/// How often a call is attempted that its connection returns unsent.
const ATTEMPTS: u32 = 3;

const SERVICE: &str = "/gateway.controlplane.v1.ControlPlane/";

/// The control plane of one gateway for one registration.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    gateway: Arc<Gateway>,
    credentials: Arc<Credentials>,
    /// Namespaces whose services every list keeps.
    own: Arc<[String]>,
    /// The connection of the last call that changes something.
    last: Arc<Mutex<Option<Connection>>>,
    /// The only node that calls go to.
    only: Option<SocketAddr>,
}

/// A registration as granted by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) id: String,
    pub(crate) ttl: Duration,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Lists are truncated, except for the services in the `own` namespaces.
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        credentials: Arc<Credentials>,
        own: Arc<[String]>,
    ) -> Self {
        Self {
            gateway,
            credentials,
            own,
            last: Arc::default(),
            only: None,
        }
    }

    /// Whether lists keep every service of this namespace.
    pub(super) fn is_own(&self, namespace: &String) -> bool {
        self.own.contains(namespace)
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The same gateway, or only the given node of it, over a connection of its own.
    pub(crate) fn apart(&self, node: Option<SocketAddr>) -> Self {
        let gateway = self.gateway.apart(node);
        let (credentials, own) = (Arc::clone(&self.credentials), Arc::clone(&self.own));
        Self::new(gateway.into(), credentials, own)
    }

    /// The node that got the last call that changes something: ids are valid on one node.
    pub(crate) fn node(&self) -> Option<SocketAddr> {
        Some(self.last()?.node)
    }

    /// The control plane for calls about ids that are valid on `home`: each goes over the shared
    /// connection if that leads there at the time, else over one of its own. Another node would
    /// confirm a Deregister and remove nothing.
    pub(crate) fn at(&self, home: SocketAddr) -> Self {
        Self {
            only: Some(home),
            ..self.clone()
        }
    }

    /// The other nodes of the gateway's name, each as a control plane of its own.
    pub(crate) async fn other_nodes(&self) -> Vec<Self> {
        self.nodes_beside(self.gateway.home()).await
    }

    /// The same, but for the given node instead of that of the last connection.
    pub(crate) async fn nodes_beside(&self, home: Option<SocketAddr>) -> Vec<Self> {
        let nodes = self.gateway.addresses().await.into_iter();
        nodes
            .filter(|node| home.is_some_and(|home| home != *node))
            .map(|node| self.apart(Some(node)))
            .collect()
    }

    /// The node is dead: the next call goes to another node, if there is one.
    pub(crate) fn move_on(&self) {
        if let Some(node) = self.node() {
            self.gateway.move_on_from(node);
        }
    }

    /// Ends the connection of the last call that changes something; a newer connection, which
    /// others may be using, stays.
    pub(crate) fn disconnect(&self) {
        if let Some(connection) = self.last() {
            connection.kill();
        }
    }

    /// # Cancel safety
    ///
    /// Not cancel safe once it is on the wire: run it to completion.
    pub(crate) async fn register(&self, request: RegisterRequest) -> Result<Granted, CallError> {
        let name = |it: &ServiceBinding| match it.version.is_empty() {
            true => it.namespace.clone(),
            false => format!("{}/{}", it.namespace, it.version),
        };
        let services: Vec<String> = request.services.iter().map(name).collect();
        let asked = Asked {
            services: &services,
            ..self.asked("Register")
        };
        let call = self.change(asked, framed(&request), Room::Calls);
        // It may be large, and the frame has its content.
        drop(request);
        let answer: RegisterResponse = call.await?;
        let id = answer.registration_id;
        if id.is_empty() || id.chars().count() > LONGEST_ID || id.contains(char::is_control) {
            let text = format!("an invalid registration id, {:?}", escaped(&id));
            return Err(asked.malformed(&text));
        }
        let seconds = match answer.ttl_seconds {
            0 => DEFAULT_TTL_SECONDS,
            seconds => seconds.min(LONGEST_TTL_SECONDS),
        };
        let ttl = Duration::from_secs(seconds.into());
        Ok(Granted { id, ttl })
    }

    /// Whether the gateway still knows the registration; not cancel safe, like `register`.
    pub(crate) async fn heartbeat(&self, id: String) -> Result<bool, CallError> {
        let message = framed(&HeartbeatRequest {
            registration_id: id,
        });
        let answer = self
            .change(self.asked("Heartbeat"), message, Room::Leases)
            .await?;
        let HeartbeatResponse { ok } = answer;
        Ok(ok)
    }

    /// Ends a registration; not cancel safe, like `register`.
    pub(crate) async fn deregister(&self, id: String) -> Result<(), CallError> {
        let message = framed(&DeregisterRequest {
            registration_id: id,
        });
        let answer = self
            .change(self.asked("Deregister"), message, Room::Leases)
            .await?;
        let DeregisterResponse {} = answer;
        Ok(())
    }

    /// The connection of the last call that changes something.
    pub(super) fn last(&self) -> Option<Connection> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Makes any call, and returns its whole answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe if it changes something: run it to completion.
    pub(super) async fn unary<T: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
    ) -> Result<T, CallError> {
        let asked = self.asked(method);
        let mut answer = Vec::new();
        let take = &mut |bytes: &[u8]| answer.extend_from_slice(bytes);
        let call = UnaryCall::of(method, framed(request), MAX_LIST_BYTES);
        let answered = self.call(&call, Room::Calls, true, take);
        answered.await.map_err(|failed| asked.failed(failed))?;
        if fields(&answer) > MOST_FIELDS {
            return Err(asked.malformed("a list that is too long"));
        }
        let decoded = T::decode(&*answer);
        decoded.map_err(|error| asked.malformed(&error.to_string()))
    }

    fn asked(&self, method: &'static str) -> Asked<'_> {
        Asked {
            target: self.gateway.target(),
            method,
            services: &[],
        }
    }

    /// Makes a call that changes something, with a short answer.
    async fn change<T: Message + Default>(
        &self,
        asked: Asked<'_>,
        message: Bytes,
        room: Room,
    ) -> Result<T, CallError> {
        let mut answer = Vec::new();
        let take = &mut |bytes: &[u8]| answer.extend_from_slice(bytes);
        let call = UnaryCall::of(asked.method, message, MAX_ANSWER_BYTES);
        let answered = self.call(&call, room, true, take);
        answered.await.map_err(|failed| asked.failed(failed))?;
        let decoded = T::decode(&*answer);
        decoded.map_err(|error| asked.malformed(&error.to_string()))
    }

    /// Makes a call that lists something; each entry is processed as it arrives. Returns the node
    /// that answered.
    pub(super) async fn list<T: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        mut each: impl FnMut(T) + Send,
    ) -> Result<SocketAddr, CallError> {
        let mut entries = Entries::new(|entry: &[u8]| {
            // Skips an entry that cannot be read.
            if let Ok(entry) = T::decode(entry) {
                each(entry);
            }
        });
        let take = &mut |bytes: &[u8]| entries.take(bytes);
        let call = UnaryCall::of(method, framed(request), MAX_LIST_BYTES);
        let listed = self.call(&call, Room::Calls, false, take);
        let asked = self.asked(method);
        let node = listed.await.map_err(|failed| asked.failed(failed))?;
        match entries.is_whole() {
            true => Ok(node),
            false => Err(asked.malformed("a list that cannot be read")),
        }
    }

    /// Makes a call; if a connection that is about to end returns it unsent, it goes over the next
    /// one. Returns the node that answered.
    pub(super) async fn call(
        &self,
        call: &UnaryCall,
        room: Room,
        changes: bool,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<SocketAddr, Failed> {
        let mut attempts = 0;
        loop {
            let turn = self.gateway.turn(room, self.only).await;
            let Some((connection, _turn)) = turn.map_err(Failed::NotSent)? else {
                let node = self.apart(self.only);
                // Boxed, because it is rare, and recursive.
                let call = async { node.call(call, room, changes, take).await };
                return Box::pin(call).await;
            };
            if changes {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(connection.clone());
            }
            attempts += 1;
            // Fetched for each attempt: the wait for the connection may have been long.
            let headers = self.credentials.headers().await.map_err(Failed::NotSent)?;
            let failure = match self.send(&connection, call, headers, take).await {
                Ok(()) => {
                    connection.has_answered();
                    return Ok(connection.node);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::NotSent(_) => {
                    connection.spend();
                    if attempts < ATTEMPTS && !connection.is_useless() {
                        continue;
                    }
                }
                Failure::Refused(_) | Failure::Malformed(_) => connection.has_answered(),
                Failure::Broken(_) => {}
            }
            return Err(Failed::Call(failure, self.gateway.spoken(&connection)));
        }
    }

    pub(super) async fn send(
        &self,
        connection: &Connection,
        call: &UnaryCall,
        headers: HeaderMap,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Failure> {
        let channel = connection.channel.clone();
        let take = &mut |bytes: &[u8]| {
            let length = bytes.len() as u64;
            connection.taken.fetch_add(length, Ordering::Relaxed);
            take(bytes);
        };
        exchange(channel, call, headers, take).await
    }
}

// === impl UnaryCall ===

impl UnaryCall {
    /// A call of the control plane.
    pub(super) fn of(method: &str, message: Bytes, limit: usize) -> Self {
        let path = format!("{SERVICE}{method}");
        Self {
            path,
            message,
            limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::control::connection::MOST_CALLS;
    use crate::control::target::Target;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn node() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Neither node ever answers: each call stays in flight.
    #[tokio::test]
    async fn calls_to_another_node_take_no_turn_on_the_shared_connection() {
        let (_shared, at) = node().await;
        let (other, home) = node().await;
        let target = Target {
            uri: format!("http://{at}").parse().unwrap(),
            endpoint: None,
            lookup: None,
            #[cfg(feature = "tls")]
            renewal: None,
        };
        let endpoint = Endpoint::from(target.uri.clone());
        let gateway = Gateway::shared(&target, &endpoint, true);
        let control = ControlPlane::new(Arc::clone(&gateway), Arc::default(), Arc::default());
        let mut calls = tokio::task::JoinSet::new();
        let mut connections = Vec::new();
        for _ in 0..MOST_CALLS {
            let control = control.at(home);
            calls.spawn(async move { control.deregister("id".to_owned()).await });
            let connected = timeout(DEADLINE, other.accept()).await;
            connections.push(connected.expect("the call goes to its node").unwrap());
        }
        let turn = timeout(DEADLINE, gateway.turn(Room::Leases, None)).await;
        let (connection, _turn) = turn.expect("a turn").unwrap().unwrap();
        assert_eq!(connection.node, at);
    }
}
