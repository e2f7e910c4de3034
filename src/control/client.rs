//! The control plane's calls that a registration makes, typed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::connection::{Connection, Gateway, Room, Turn, root_of};
use super::credentials::Credentials;
use super::proto::control_plane_client::ControlPlaneClient;
use super::proto::{
    DeregisterRequest, HeartbeatRequest, ListPeersRequest, ListRegistrationsRequest,
    ListServicesRequest, RegisterRequest, Registration, ServiceInfo,
};
use super::refusal;
use super::route_probe::{self, RouteProbe};
use crate::error::{Error, ErrorKind};

/// How much longer an answer may take on a connection than on a new one.
const GRACE: Duration = Duration::from_secs(1);

/// The largest answer that is read: lists of many thousands of services.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Between two looks for ghosts.
const GHOST_PAUSE: Duration = Duration::from_millis(100);

/// The control plane of one gateway, as one registration talks to it.
#[derive(Clone, Debug)]
pub(crate) struct ControlPlane {
    gateway: Arc<Gateway>,
    credentials: Arc<Credentials>,
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

/// A call that may be made now, and the room that is kept for it until it is answered.
type Prepared<T> = (ControlPlaneClient<Channel>, Request<T>, Turn);

// === impl ControlPlane ===

impl ControlPlane {
    pub(crate) fn new(gateway: Arc<Gateway>, credentials: Arc<Credentials>) -> Self {
        Self {
            gateway,
            credentials,
            last: Arc::default(),
        }
    }

    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The same, or only that node of it, over a connection of its own.
    pub(crate) fn apart(&self, node: Option<SocketAddr>) -> Self {
        let gateway = self.gateway.apart(node);
        Self::new(gateway.into(), Arc::clone(&self.credentials))
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
        let (mut client, request, _turn) = self.prepare_change(request, Room::Calls).await?;
        let answer = client.register(request).await.map_err(call_error)?;
        let answer = answer.into_inner();
        Ok(Granted {
            id: answer.registration_id,
            ttl: Duration::from_secs(answer.ttl_seconds.max(1).into()),
        })
    }

    /// Whether the gateway still knows the registration; not cancel safe, as above.
    pub(crate) async fn heartbeat(&self, id: String) -> Result<bool, CallError> {
        let message = HeartbeatRequest {
            registration_id: id,
        };
        let (mut client, request, _turn) = self.prepare_change(message, Room::Leases).await?;
        let answer = client.heartbeat(request).await.map_err(call_error)?;
        Ok(answer.into_inner().ok)
    }

    /// Ends a registration; not cancel safe, as above.
    pub(crate) async fn deregister(&self, id: String) -> Result<(), CallError> {
        let message = DeregisterRequest {
            registration_id: id,
        };
        let (mut client, request, _turn) = self.prepare_change(message, Room::Leases).await?;
        client.deregister(request).await.map_err(call_error)?;
        Ok(())
    }

    /// Finds out about a connection on which an answer is overdue: asks on it and on one of its
    /// own, and then other nodes of its name, for about `deadline` each. It changes nothing, and may
    /// be cancelled.
    pub(crate) async fn probe(&self, deadline: Duration) -> Liveness {
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
        let request = self.with_headers(ListPeersRequest {});
        match client(connection).list_peers(request).await {
            Ok(_) => true,
            // Whatever it says, it said it.
            Err(status) => std::error::Error::source(&status).is_none(),
        }
    }

    fn last(&self) -> Option<Connection> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    /// Replicas of `services` ("namespace/version") without a registration behind them; `None`
    /// when the gateway does not say, or has peers whose registrations it does not know.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn ghosts(&self, services: &[String]) -> Option<u32> {
        let first = self.count_ghosts(services).await?;
        if first == 0 {
            return Some(0);
        }
        // The two lists are not taken at one moment, and others come and go.
        sleep(GHOST_PAUSE).await;
        Some(first.min(self.count_ghosts(services).await?))
    }

    async fn count_ghosts(&self, services: &[String]) -> Option<u32> {
        let (mut client, request, _turn) = self.prepare(ListPeersRequest {}).await.ok()?;
        if client
            .list_peers(request)
            .await
            .ok()?
            .into_inner()
            .peers
            .len()
            > 1
        {
            return None;
        }
        let request = self.with_headers(ListServicesRequest {});
        let listed = client.list_services(request).await.ok()?.into_inner();
        let replicas: u32 = listed
            .services
            .iter()
            .filter(|it| services.contains(&format!("{}/{}", it.namespace, it.version)))
            .map(|it| it.replica_count)
            .sum();
        let request = self.with_headers(ListRegistrationsRequest {});
        let listed = client.list_registrations(request).await.ok()?.into_inner();
        let registered = listed
            .registrations
            .iter()
            .flat_map(|registration| &registration.namespaces)
            .filter(|name| services.contains(name))
            .count();
        Some(replicas.saturating_sub(u32::try_from(registered).ok()?))
    }

    /// The services of all registrations, of the whole cluster; `None` when it does not say.
    pub(crate) async fn services(&self) -> Option<Vec<ServiceInfo>> {
        let (mut client, request, _turn) = self.prepare(ListServicesRequest {}).await.ok()?;
        let listed = client.list_services(request).await.ok()?;
        Some(listed.into_inner().services)
    }

    /// Whether the gateway is one of a cluster, be it of one node; `None` when it does not say.
    pub(crate) async fn is_clustered(&self) -> Option<bool> {
        let (mut client, request, _turn) = self.prepare(ListPeersRequest {}).await.ok()?;
        let listed = client.list_peers(request).await.ok()?;
        Some(!listed.into_inner().peers.is_empty())
    }

    /// Asks for a route without calling what is behind it.
    pub(crate) async fn probe_route(&self, method: &str) -> RouteProbe {
        match self.gateway.turn(Room::Calls).await {
            Ok((connection, _turn)) => {
                let request = self.with_headers(());
                route_probe::probe(connection.channel.clone(), request, method).await
            }
            Err(_) => RouteProbe::NoEvidence,
        }
    }

    /// The registrations that this node took.
    pub(crate) async fn registrations(&self) -> Result<Vec<Registration>, CallError> {
        let (mut client, request, _turn) = self.prepare(ListRegistrationsRequest {}).await?;
        let listed = client
            .list_registrations(request)
            .await
            .map_err(call_error)?;
        Ok(listed.into_inner().registrations)
    }

    async fn prepare<T>(&self, message: T) -> Result<Prepared<T>, CallError> {
        let prepared = self.gateway.turn(Room::Calls).await;
        let (connection, turn) = prepared.map_err(CallError::NotSent)?;
        Ok((client(&connection), self.with_headers(message), turn))
    }

    async fn prepare_change<T>(&self, message: T, room: Room) -> Result<Prepared<T>, CallError> {
        let prepared = self.gateway.turn(room).await;
        let (connection, turn) = prepared.map_err(CallError::NotSent)?;
        let client = client(&connection);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok((client, self.with_headers(message), turn))
    }

    fn with_headers<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() =
            tonic::metadata::MetadataMap::from_headers(self.credentials.headers());
        request
    }
}

fn client(connection: &Connection) -> ControlPlaneClient<Channel> {
    // No compression: the gateway refuses gzip (contract § 1).
    ControlPlaneClient::new(connection.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
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

fn call_error(status: Status) -> CallError {
    // Only a failure on our side of the wire has a source.
    if std::error::Error::source(&status).is_some() {
        let message = format!(
            "the connection to the gateway broke during a call ({}); it is tried again",
            root_of(&status)
        );
        return CallError::Broken(Error::new(ErrorKind::Unavailable, message).caused_by(status));
    }
    let kind = refusal::classify(&status);
    let text = status.message();
    let message = match status.code() {
        Code::Unimplemented => format!(
            "what answers at the gateway's address is no gwag control plane ({text:?}): check the \
             address and its port"
        ),
        code => format!("the gateway refused: {text} ({code:?})"),
    };
    CallError::Refused(Error::new(kind, message).caused_by(status))
}
