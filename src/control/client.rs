//! The control plane's calls that a registration makes, typed.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

use super::connection::{Connection, Gateway, Room, root_of};
use super::credentials::Credentials;
use super::entries::{Entries, fields};
use super::exchange::{self, Failure, Refusal, exchange, framed};
use super::ghosts;
use super::looks::SlotList;
use super::proto::{
    DeregisterRequest, DeregisterResponse, HeartbeatRequest, HeartbeatResponse, ListPeersRequest,
    ListRegistrationsRequest, ListServicesRequest, Peer, RegisterRequest, RegisterResponse,
    Registration, ServiceBinding, ServiceInfo,
};
use super::refusal;
use super::route_probe::{RouteProbe, UNDECODABLE, meaning};
use super::shown::{make_plain, shown};
use super::spoken::{Spoken, no_grpc};
use super::target::Target;
use crate::error::{Error, ErrorKind};

/// How much longer an answer may take on a connection than on a new one.
const GRACE: Duration = Duration::from_secs(1);

/// The largest list that is read: of many thousands of services.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;
/// The largest answer of another kind: an id and a number.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// The most fields of a list that is kept whole: an empty one takes two bytes on the wire, and a
/// hundred in memory.
const MOST_FIELDS: usize = 200_000;
/// Enough to tell two nodes apart.
const MOST_OTHERS: usize = 16;
/// What is kept of a list, whatever its length.
pub(super) const MAX_KEPT_BYTES: usize = 1024 * 1024;
/// As many nodes as are told apart, by names of this length.
const MOST_PEERS: usize = 1_000;
const LONGEST_PEER_NAME: usize = 256;
/// Begins the names of holds in the list of registrations.
const HOLD_PREFIX: &str = "_tower_gwag_hold/";

/// In characters; gateways give 24.
const LONGEST_ID: usize = 64;
/// What a granted TTL of 0 means.
const DEFAULT_TTL_SECONDS: u32 = 30;
const LONGEST_TTL_SECONDS: u32 = 24 * 60 * 60;

/// Times that a call is made which its connection gives back before it is sent.
const ATTEMPTS: u32 = 3;

/// How long what a probe found is good for others, too.
const PROBE_IS_FRESH: Duration = Duration::from_millis(500);
/// The same of a look whether the gateway is there.
const LOOK_IS_FRESH: Duration = Duration::from_secs(2);
/// For that look, and for a list that several wait for.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

const SERVICE: &str = "/gateway.controlplane.v1.ControlPlane/";

/// The control plane of one gateway, as one registration talks to it.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    gateway: Arc<Gateway>,
    credentials: Arc<Credentials>,
    /// Namespaces whose services are kept of any list.
    own: Arc<[String]>,
    /// What the last call that changes something went over.
    last: Arc<Mutex<Option<Connection>>>,
}

/// A registration as the gateway granted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) id: String,
    pub(crate) ttl: Duration,
}

/// Why a call has no answer of the kind that was asked for.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It never left this process.
    NotSent(Error),
    /// The connection ended: the gateway may have carried it out.
    Broken(Error),
    /// The gateway said no.
    Refused(Error),
    /// Whoever answered may be a proxy whose routes are not there yet.
    Misrouted(Error),
}

/// What a probe found out about a connection on which an answer is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It answers other calls: only this one takes long.
    Slow,
    /// It answers nothing, while a new one is answered, or refused: it is dead.
    Dead,
    /// Nothing is answered or refused anywhere: frozen, or cut off.
    Silent,
    /// The same here, but another node of the gateway's name answers.
    NodeSilent,
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Lists are cut, but for the services in the `own` namespaces.
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
        }
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The same, or only that node of it, over a connection of its own.
    pub(crate) fn apart(&self, node: Option<SocketAddr>) -> Self {
        let gateway = self.gateway.apart(node);
        let (credentials, own) = (Arc::clone(&self.credentials), Arc::clone(&self.own));
        Self::new(gateway.into(), credentials, own)
    }

    /// The node to which the last call went that changes something: ids live on one node.
    pub(crate) fn node(&self) -> Option<SocketAddr> {
        Some(self.last()?.node)
    }

    /// The same, where the id of the next call lives on `home`: on the shared connection if that
    /// leads there.
    pub(crate) async fn at(&self, home: SocketAddr) -> Result<Self, CallError> {
        // It is the first that is tried.
        let connection = self.gateway.connection().await;
        let connection = connection.map_err(CallError::NotSent)?;
        Ok(match connection.node == home {
            true => self.clone(),
            false => self.apart(Some(home)),
        })
    }

    /// The other nodes of the gateway's name, each by itself.
    pub(crate) async fn other_nodes(&self) -> Vec<Self> {
        let home = self.gateway.home();
        let nodes = self.gateway.addresses().await.into_iter();
        nodes
            .filter(|node| home.is_some_and(|home| home != *node))
            .map(|node| self.apart(Some(node)))
            .collect()
    }

    /// The node is dead: the next call goes to another one, if there is one.
    pub(crate) fn move_on(&self) {
        if let Some(node) = self.node() {
            self.gateway.move_on_from(node);
        }
    }

    /// Ends the connection over which the last call went that changes something; a newer one,
    /// which others may be using, stays.
    pub(crate) fn disconnect(&self) {
        if let Some(connection) = self.last() {
            connection.kill();
        }
    }

    /// # Cancel safety
    ///
    /// Not cancel safe once it is on the wire: run it to its end.
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
        // It may be large, and is in the frame.
        drop(request);
        let answer: RegisterResponse = call.await?;
        let id = answer.registration_id;
        if id.is_empty() || id.chars().count() > LONGEST_ID || id.contains(char::is_control) {
            let text = format!("a registration id that is none, {:?}", shown(&id));
            return Err(asked.malformed(&text));
        }
        let seconds = match answer.ttl_seconds {
            0 => DEFAULT_TTL_SECONDS,
            seconds => seconds.min(LONGEST_TTL_SECONDS),
        };
        let ttl = Duration::from_secs(seconds.into());
        Ok(Granted { id, ttl })
    }

    /// Whether the gateway still knows the registration; not cancel safe, as above.
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

    /// Ends a registration; not cancel safe, as above.
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

    /// Finds out about a connection on which an answer is overdue: asks on it and on one of its
    /// own, and then other nodes of its name, for about `deadline` each. It changes nothing, and may
    /// be cancelled. Registrations on one connection share what was found.
    pub(crate) async fn probe(&self, deadline: Duration) -> Liveness {
        let Some(connection) = self.last() else {
            return Box::pin(self.probe_alone(deadline)).await;
        };
        let this = self.clone();
        let look = || async move { this.probe_alone(deadline).await };
        let probes = &self.gateway.probes;
        let found = probes.join(connection.number, PROBE_IS_FRESH, look).await;
        found.unwrap_or(Liveness::Silent)
    }

    /// Whether the gateway answers; registrations share what was found.
    pub(crate) async fn is_there(&self) -> bool {
        let this = self.clone();
        let look = || async move {
            let answer = timeout(LOOK_TIMEOUT, this.is_clustered()).await;
            matches!(answer, Ok(Some(_)))
        };
        let identity = self.credentials.identity();
        let found = self.gateway.looks.join(identity, LOOK_IS_FRESH, look).await;
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
            match Box::pin(self.gateway.connect()).await {
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
        // An answer elsewhere proves nothing while one may come here.
        match timeout(GRACE, here).await {
            Ok(()) => Liveness::Slow,
            Err(_) => Liveness::Dead,
        }
    }

    /// Two addresses may be one gateway: only an answer tells that there is another node.
    async fn another_node_answers(&self, deadline: Duration) -> bool {
        let mut asked = JoinSet::new();
        for node in self.other_nodes().await {
            asked.spawn(async move {
                let Ok(connection) = Box::pin(node.gateway.connect()).await else {
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

    /// ListPeers asks for nothing that a busy registry would have to be waited for.
    async fn answers(&self, connection: &Connection) -> bool {
        let message = framed(&ListPeersRequest {});
        // Whatever it says, it said it.
        let path = format!("{SERVICE}ListPeers");
        let take = &mut |_: &[u8]| {};
        let headers = self.credentials.headers().await.unwrap_or_default();
        let answer = self.send(connection, &path, headers, message, MAX_LIST_BYTES, take);
        !matches!(answer.await, Err(Failure::NotSent(_) | Failure::Broken(_)))
    }

    fn last(&self) -> Option<Connection> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// The services of all registrations, of the whole cluster; `None` when it does not say. Of a
    /// list that is too long to be kept, those of the own namespaces and the first of the others.
    pub(crate) async fn services(&self) -> Option<Vec<ServiceInfo>> {
        let mut services = Vec::new();
        let (mut kept, mut kept_own) = (0, 0);
        let listed = self.list(
            "ListServices",
            &ListServicesRequest {},
            |mut it: ServiceInfo| {
                // Nobody looks at it.
                it.manual_deprecation_reason = String::new();
                let texts = [&mut it.namespace, &mut it.version, &mut it.hash_hex];
                texts.into_iter().for_each(|text| {
                    make_plain(text);
                    text.shrink_to_fit();
                });
                let texts = [&it.namespace, &it.version, &it.hash_hex];
                let length = texts.iter().map(|text| text.len()).sum::<usize>();
                let kept = match self.own.contains(&it.namespace) {
                    true => &mut kept_own,
                    false => &mut kept,
                };
                *kept += length + size_of::<ServiceInfo>();
                if *kept <= MAX_KEPT_BYTES {
                    services.push(it);
                }
            },
        );
        listed.await.ok()?;
        Some(services)
    }

    /// The same as an index, asked for at `since` or later: registrations that ask at the same
    /// moment share one, unless the list is too long for one that fits all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn slots(&self, since: Instant) -> Option<Arc<SlotList>> {
        // Others wait for it meanwhile.
        let ask = async { timeout(LOOK_TIMEOUT, self.services()).await.ok()? };
        let list = self.gateway.lists.list(since, ask).await?;
        if !list.may_be_cut() {
            return Some(list);
        }
        // One that has the own namespaces.
        Some(Arc::new(SlotList::of(self.services().await?)))
    }

    /// When to look next, `every` so often: the same moment for all registrations.
    pub(crate) fn next_look(&self, every: Duration) -> Instant {
        self.gateway.lists.next(every)
    }

    /// How many nodes there are: for a while a node that restarted is listed twice, and several may
    /// be called alike. 0: standalone; `None` when it does not say.
    pub(crate) async fn nodes(&self) -> Option<usize> {
        let mut peers = Vec::new();
        let listed = self.list("ListPeers", &ListPeersRequest {}, |peer: Peer| {
            let mut name = match peer.name.is_empty() {
                true => peer.node_id,
                false => peer.name,
            };
            if peers.len() < MOST_PEERS && name.len() <= LONGEST_PEER_NAME {
                name.shrink_to_fit();
                peers.push(Peer {
                    name,
                    joined_unix_ms: peer.joined_unix_ms,
                    ..Peer::default()
                });
            }
        });
        listed.await.ok()?;
        match peers.is_empty() {
            true => Some(0),
            false => Some(ghosts::living(&peers, true)),
        }
    }

    /// The holds, and the entries with an `unstable` service, that this node has, with those names
    /// alone.
    pub(crate) async fn unstable_entries(&self) -> Result<Vec<Registration>, CallError> {
        let mut entries = Vec::new();
        let mut kept = 0;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            it.namespaces
                .retain(|name| name.ends_with("/unstable") || name.starts_with(HOLD_PREFIX));
            if it.namespaces.is_empty() {
                return;
            }
            let length = slim(&mut it);
            if kept + length <= MAX_KEPT_BYTES {
                kept += length;
                entries.push(it);
            }
        });
        listed.await?;
        Ok(entries)
    }

    /// Whether the gateway is one of a cluster, be it of one node; `None` when it does not say.
    pub(crate) async fn is_clustered(&self) -> Option<bool> {
        let mut is_clustered = false;
        let listed = self.list("ListPeers", &ListPeersRequest {}, |_: Peer| {
            is_clustered = true;
        });
        listed.await.ok()?;
        Some(is_clustered)
    }

    /// The nodes of the gateway's cluster; `None` when it does not say, or lists more than is kept.
    pub(crate) async fn peers(&self) -> Option<Vec<Peer>> {
        let mut peers = Vec::new();
        let mut kept = 0;
        let listed = self.list("ListPeers", &ListPeersRequest {}, |mut it: Peer| {
            kept += it.node_id.len() + it.name.len() + size_of::<Peer>();
            if kept <= MAX_KEPT_BYTES {
                it.node_id.shrink_to_fit();
                it.name.shrink_to_fit();
                peers.push(it);
            }
        });
        listed.await.ok()?;
        (kept <= MAX_KEPT_BYTES).then_some(peers)
    }

    /// This node's registrations of `services` ("namespace/version"), and some others, by which
    /// nodes can be told apart; `None` when it does not say, or lists more than is kept.
    pub(crate) async fn entries_of(&self, services: &[String]) -> Option<Vec<Registration>> {
        let mut entries = Vec::new();
        let (mut others, mut kept) = (0, 0);
        let mut is_cut = false;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            it.namespaces.retain(|name| services.contains(name));
            let is_ours = !it.namespaces.is_empty();
            others += usize::from(!is_ours);
            if !is_ours && others > MOST_OTHERS {
                return;
            }
            (it.addr, it.instance_id) = Default::default();
            let length = slim(&mut it);
            // A gateway gave this id to nobody.
            let is_absurd = it.registration_id.chars().count() > LONGEST_ID;
            if is_absurd || kept + length > MAX_KEPT_BYTES {
                is_cut |= is_ours;
            } else {
                kept += length;
                entries.push(it);
            }
        });
        listed.await.ok()?;
        (!is_cut).then_some(entries)
    }

    /// Asks for a route without calling what is behind it.
    pub(crate) async fn probe_route(&self, method: &str) -> RouteProbe {
        let message = exchange::framed_raw(UNDECODABLE);
        let (limit, take) = (MAX_LIST_BYTES, &mut |_: &[u8]| {});
        let path = if method.starts_with('/') {
            method.to_owned()
        } else {
            format!("/{method}")
        };
        let answer = self.call(&path, message, Room::Calls, false, limit, take);
        match answer.await {
            Err(Failed::Call(Failure::Refused(refusal), _)) => meaning(&refusal),
            _ => RouteProbe::NoEvidence,
        }
    }

    /// Those registrations that this node took and that are `wanted`; of very many, the first.
    pub(crate) async fn registrations(
        &self,
        mut wanted: impl FnMut(&Registration) -> bool + Send,
    ) -> Result<Vec<Registration>, CallError> {
        let mut registrations = Vec::new();
        let mut kept = 0;
        let request = ListRegistrationsRequest {};
        let listed = self.list("ListRegistrations", &request, |mut it: Registration| {
            if wanted(&it) {
                // Nobody looks at them, and they may be many.
                it.namespaces = Vec::new();
                kept += slim(&mut it);
                if kept <= MAX_KEPT_BYTES {
                    registrations.push(it);
                }
            }
        });
        listed.await?;
        Ok(registrations)
    }

    /// Any call, with its whole answer.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe where it changes something: run it to its end.
    pub(super) async fn unary<T: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
    ) -> Result<T, CallError> {
        let asked = self.asked(method);
        let mut answer = Vec::new();
        let take = &mut |bytes: &[u8]| answer.extend_from_slice(bytes);
        let path = format!("{SERVICE}{method}");
        let message = framed(request);
        let answered = self.call(&path, message, Room::Calls, true, MAX_LIST_BYTES, take);
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

    /// A call that changes something, whose answer is short.
    async fn change<T: Message + Default>(
        &self,
        asked: Asked<'_>,
        message: Bytes,
        room: Room,
    ) -> Result<T, CallError> {
        let mut answer = Vec::new();
        let take = &mut |bytes: &[u8]| answer.extend_from_slice(bytes);
        let path = format!("{SERVICE}{}", asked.method);
        let answered = self.call(&path, message, room, true, MAX_ANSWER_BYTES, take);
        answered.await.map_err(|failed| asked.failed(failed))?;
        let decoded = T::decode(&*answer);
        decoded.map_err(|error| asked.malformed(&error.to_string()))
    }

    /// A call that lists something; each entry is taken as it arrives.
    async fn list<T: Message + Default>(
        &self,
        method: &'static str,
        request: &impl Message,
        mut each: impl FnMut(T) + Send,
    ) -> Result<(), CallError> {
        let mut entries = Entries::new(|entry: &[u8]| {
            // Of an entry that cannot be read nothing is known.
            if let Ok(entry) = T::decode(entry) {
                each(entry);
            }
        });
        let take = &mut |bytes: &[u8]| entries.take(bytes);
        let path = format!("{SERVICE}{method}");
        let message = framed(request);
        let listed = self.call(&path, message, Room::Calls, false, MAX_LIST_BYTES, take);
        let asked = self.asked(method);
        listed.await.map_err(|failed| asked.failed(failed))?;
        match entries.is_whole() {
            true => Ok(()),
            false => Err(asked.malformed("a list that cannot be read")),
        }
    }

    /// What a connection gives back, because it was about to end, goes over the next one.
    async fn call(
        &self,
        path: &str,
        message: Bytes,
        room: Room,
        changes: bool,
        limit: usize,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Failed> {
        let mut attempts = 0;
        loop {
            let turn = self.gateway.turn(room).await;
            let (connection, _turn) = turn.map_err(Failed::NotSent)?;
            if changes {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some(connection.clone());
            }
            attempts += 1;
            // Each time anew: the wait for the connection may have been long.
            let headers = self.credentials.headers().await.map_err(Failed::NotSent)?;
            match self
                .send(&connection, path, headers, message.clone(), limit, take)
                .await
            {
                Err(Failure::NotSent(_)) if attempts < ATTEMPTS => connection.spend(),
                answer => {
                    return answer.map_err(|failure| Failed::Call(failure, connection.spoken()));
                }
            }
        }
    }

    async fn send(
        &self,
        connection: &Connection,
        path: &str,
        headers: HeaderMap,
        message: Bytes,
        limit: usize,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Failure> {
        let path: PathAndQuery = path.parse().map_err(|error| {
            // Only of a method that the user's schema names.
            let error: http::uri::InvalidUri = error;
            Failure::NotSent(error.into())
        })?;
        let channel = connection.channel.clone();
        let take = &mut |bytes: &[u8]| {
            let length = bytes.len() as u64;
            connection.taken.fetch_add(length, Ordering::Relaxed);
            take(bytes);
        };
        exchange(channel, path, headers, message, limit, take).await
    }
}

/// Frees what an entry has room for beyond what it holds, names that are there twice among it; how
/// many bytes it takes then.
fn slim(entry: &mut Registration) -> usize {
    entry.namespaces.sort_unstable();
    entry.namespaces.dedup();
    entry.namespaces.shrink_to_fit();
    let texts = [
        &mut entry.registration_id,
        &mut entry.addr,
        &mut entry.instance_id,
    ];
    let mut bytes = size_of::<Registration>();
    for text in texts {
        text.shrink_to_fit();
        bytes += text.len();
    }
    for name in &mut entry.namespaces {
        name.shrink_to_fit();
        bytes += name.len() + size_of::<String>();
    }
    bytes
}

/// A call that has no answer of the kind that was asked for.
enum Failed {
    /// There is no connection.
    NotSent(Error),
    /// With what the peer speaks.
    Call(Failure, Spoken),
}

/// Whether somebody said that nothing listens there.
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

/// A call of the control plane, for what is said of it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    target: &'a Target,
    method: &'static str,
    /// What it was to register, as "namespace/version".
    services: &'a [String],
}

// === impl Asked ===

impl Asked<'_> {
    /// Why it has no answer.
    fn failed(&self, failed: Failed) -> CallError {
        let Self { target, method, .. } = self;
        let (failure, spoken) = match failed {
            Failed::NotSent(error) => return CallError::NotSent(error),
            Failed::Call(failure, spoken) => (failure, spoken),
        };
        let (cause, what, error): (_, _, fn(Error) -> CallError) = match failure {
            Failure::NotSent(cause) => {
                let what = format!("ends each connection before {method} is sent");
                (cause, what, CallError::NotSent)
            }
            Failure::Broken(cause) => {
                let what = format!("ended the connection during {method}");
                (cause, what, CallError::Broken)
            }
            Failure::Malformed(text) => return self.malformed(&text),
            Failure::Refused(refusal) => return self.refused(&refusal),
        };
        let message = spoken.mistake(target).unwrap_or_else(|| {
            let why = shown(&root_of(&*cause).to_string());
            let hint = spoken.hint(target);
            let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
            format!("the gateway {target} {what} ({why}{hint})")
        });
        error(Error::new(ErrorKind::Unavailable, message).caused_by(cause))
    }

    /// It may have been carried out.
    fn malformed(&self, text: &str) -> CallError {
        let Self { target, method, .. } = self;
        let message = format!(
            "the gateway {target} answered {method} with {text}: check that a gwag control plane \
             listens there"
        );
        CallError::Broken(Error::new(ErrorKind::Unavailable, message))
    }

    fn refused(&self, refusal: &Refusal) -> CallError {
        let Self { target, .. } = self;
        let (code, text) = (refusal.code, shown(&refusal.text));
        let kind = refusal::classify(code, &refusal.text);
        let message = match code {
            Code::Unimplemented if refusal.is_of_http => no_grpc(target, &text),
            Code::Unimplemented => format!(
                "{target} speaks gRPC, but is no gwag control plane ({text:?}): check the address \
                 and its port"
            ),
            _ if refusal.is_of_http => format!(
                "what answers at {target} is no gRPC server at the moment ({text}): check the \
                 address, and what stands between"
            ),
            _ if kind == ErrorKind::TimedOut => {
                format!(
                    "the gateway {target} did not {} in time: {text}",
                    self.aim()
                )
            }
            Code::Unknown => format!(
                "the gateway {target} refused to {}: {text}; {}",
                self.aim(),
                refusal::remedy(kind)
            ),
            code => format!(
                "the gateway {target} refused to {} ({code:?}): {text}; {}",
                self.aim(),
                refusal::remedy(kind)
            ),
        };
        let error = Error::new(kind, message).caused_by(Status::new(code, text));
        match refusal::may_be_of_a_proxy(code, kind) {
            true => CallError::Misrouted(error),
            false => CallError::Refused(error),
        }
    }

    fn aim(&self) -> String {
        match self.services {
            [] => format!("answer {}", self.method),
            services => format!("register `{}`", services.join("`, `")),
        }
    }
}
