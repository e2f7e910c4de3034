//! The 11 control-plane calls, typed.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Request, Status};

use super::deadline_of;
use crate::cluster::Forgotten;
use crate::node::Node;
use crate::node::life::{Life, Membership};
use crate::registry::prepare::{Conditions, prepare};
use crate::rpc::Rpc;
use crate::rpc_counts::Subject;
use tower_gwag::control::proto;
use tower_gwag::control::proto::control_plane_server::ControlPlane;

/// The handlers of the typed calls.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    node: Arc<Node>,
    life: Arc<Life>,
}

impl Calls {
    pub(super) fn new(node: Arc<Node>, life: Arc<Life>) -> Self {
        Self { node, life }
    }

    /// Runs a call on a task of its own, so that it completes even if its client gives up: a real
    /// gateway does not stop half-way either.
    async fn answer<T, F>(
        &self,
        rpc: Rpc,
        subject: Subject,
        deadline: Option<Instant>,
        work: F,
    ) -> Result<tonic::Response<T>, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let token = self.life.tasks.token.clone();
        let (call, mutation) = self.node.rpc_counter.begin(rpc, subject, token);
        self.node.changed();
        let (done, answer) = oneshot::channel();
        let node = Arc::clone(&self.node);
        let working = Arc::clone(&mutation);
        self.life.tasks.spawn(async move {
            let delay = node.faults.delay_of(rpc);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            node.gate.open().await;
            let result = match node.faults.take_refusal(rpc) {
                Some(refusal) => Err(refusal),
                None => work.await,
            };
            drop(working);
            // Fails if the client gave up; the work is done all the same.
            let _ = done.send(result);
            node.changed();
        });
        let waited = match deadline {
            Some(deadline) => tokio::time::timeout_at(deadline, answer).await,
            None => Ok(answer.await),
        };
        let result = match waited {
            Ok(Ok(result)) => result,
            // The node was killed, so no answer will come.
            Ok(Err(_)) => return Err(Status::unavailable("the gateway was killed")),
            Err(_) => Err(Status::deadline_exceeded("context deadline exceeded")),
        };
        drop(mutation);
        call.answered();
        self.node.changed();
        result.map(tonic::Response::new)
    }
}

type Answer<T> = Result<tonic::Response<T>, Status>;

#[tonic::async_trait]
impl ControlPlane for Calls {
    async fn register(
        &self,
        request: Request<proto::RegisterRequest>,
    ) -> Answer<proto::RegisterResponse> {
        let deadline = deadline_of(request.metadata());
        let request = request.into_inner();
        let instance = request.instance_id.clone();
        let (node, life) = (Arc::clone(&self.node), Arc::clone(&self.life));
        let subject = Subject::Instance(instance.clone());
        self.answer(Rpc::Register, subject, deadline, async move {
            let conditions = Conditions {
                tiers: &node.settings.tiers,
                gate: &node.gate,
                deadline,
            };
            let prepared = prepare(request, &conditions).await?;
            let (registration_id, ttl_seconds) = life.register(prepared)?;
            node.rpc_counter.registered(&registration_id, &instance);
            Ok(proto::RegisterResponse {
                registration_id,
                ttl_seconds,
            })
        })
        .await
    }

    async fn heartbeat(
        &self,
        request: Request<proto::HeartbeatRequest>,
    ) -> Answer<proto::HeartbeatResponse> {
        let deadline = deadline_of(request.metadata());
        let id = request.into_inner().registration_id;
        let life = Arc::clone(&self.life);
        let held = life.held(&id);
        let subject = Subject::Registration(id.clone());
        self.answer(Rpc::Heartbeat, subject, deadline, async move {
            let ok = life.beat(&id, held);
            Ok(proto::HeartbeatResponse { ok })
        })
        .await
    }

    async fn deregister(
        &self,
        request: Request<proto::DeregisterRequest>,
    ) -> Answer<proto::DeregisterResponse> {
        let deadline = deadline_of(request.metadata());
        let id = request.into_inner().registration_id;
        let life = Arc::clone(&self.life);
        let subject = Subject::Registration(id.clone());
        self.answer(Rpc::Deregister, subject, deadline, async move {
            life.deregister([&id]);
            Ok(proto::DeregisterResponse {})
        })
        .await
    }

    async fn list_registrations(
        &self,
        request: Request<proto::ListRegistrationsRequest>,
    ) -> Answer<proto::ListRegistrationsResponse> {
        let deadline = deadline_of(request.metadata());
        let life = Arc::clone(&self.life);
        self.answer(
            Rpc::ListRegistrations,
            Subject::Nobody,
            deadline,
            async move {
                let registrations = life.registry().list_registrations();
                Ok(proto::ListRegistrationsResponse { registrations })
            },
        )
        .await
    }

    async fn list_peers(
        &self,
        request: Request<proto::ListPeersRequest>,
    ) -> Answer<proto::ListPeersResponse> {
        let deadline = deadline_of(request.metadata());
        let life = Arc::clone(&self.life);
        self.answer(Rpc::ListPeers, Subject::Nobody, deadline, async move {
            let membership = life.membership.as_ref();
            let peers = membership.map(|it| it.cluster.list_peers());
            Ok(proto::ListPeersResponse {
                peers: peers.unwrap_or_default(),
            })
        })
        .await
    }

    async fn forget_peer(
        &self,
        request: Request<proto::ForgetPeerRequest>,
    ) -> Answer<proto::ForgetPeerResponse> {
        let deadline = deadline_of(request.metadata());
        let node_id = request.into_inner().node_id;
        let life = Arc::clone(&self.life);
        self.answer(Rpc::ForgetPeer, Subject::Nobody, deadline, async move {
            forget_peer(life.membership.as_ref(), &node_id)
        })
        .await
    }

    async fn list_services(
        &self,
        request: Request<proto::ListServicesRequest>,
    ) -> Answer<proto::ListServicesResponse> {
        let deadline = deadline_of(request.metadata());
        let life = Arc::clone(&self.life);
        self.answer(Rpc::ListServices, Subject::Nobody, deadline, async move {
            Ok(life.registry().list_services())
        })
        .await
    }

    async fn sign_subscription_token(
        &self,
        request: Request<proto::SignSubscriptionTokenRequest>,
    ) -> Answer<proto::SignSubscriptionTokenResponse> {
        let deadline = deadline_of(request.metadata());
        let authorization = request
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let request = request.into_inner();
        let node = Arc::clone(&self.node);
        self.answer(
            Rpc::SignSubscriptionToken,
            Subject::Nobody,
            deadline,
            async move { node.signing.sign(request, authorization.as_deref()) },
        )
        .await
    }

    async fn retract_stable(
        &self,
        request: Request<proto::RetractStableRequest>,
    ) -> Answer<proto::RetractStableResponse> {
        let deadline = deadline_of(request.metadata());
        let request = request.into_inner();
        let life = Arc::clone(&self.life);
        self.answer(Rpc::RetractStable, Subject::Nobody, deadline, async move {
            let new_v_n = request.target_v_n;
            let prior_v_n = life.registry().retract_stable(request.namespace, new_v_n)?;
            Ok(proto::RetractStableResponse { prior_v_n, new_v_n })
        })
        .await
    }

    async fn deprecate(
        &self,
        request: Request<proto::DeprecateRequest>,
    ) -> Answer<proto::DeprecateResponse> {
        let deadline = deadline_of(request.metadata());
        let request = request.into_inner();
        let life = Arc::clone(&self.life);
        self.answer(Rpc::Deprecate, Subject::Nobody, deadline, async move {
            let key = (request.namespace.clone(), request.version.clone());
            life.registry().deprecate(
                request.namespace,
                request.version,
                request.reason.clone(),
            )?;
            if let Some(membership) = &life.membership {
                membership.cluster.deprecated(key, Some(request.reason));
            }
            Ok(proto::DeprecateResponse {})
        })
        .await
    }

    async fn undeprecate(
        &self,
        request: Request<proto::UndeprecateRequest>,
    ) -> Answer<proto::UndeprecateResponse> {
        let deadline = deadline_of(request.metadata());
        let request = request.into_inner();
        let life = Arc::clone(&self.life);
        self.answer(Rpc::Undeprecate, Subject::Nobody, deadline, async move {
            let key = (request.namespace.clone(), request.version.clone());
            let prior_reason = life
                .registry()
                .undeprecate(request.namespace, request.version)?;
            if let Some(membership) = &life.membership {
                membership.cluster.deprecated(key, None);
            }
            Ok(proto::UndeprecateResponse { prior_reason })
        })
        .await
    }
}

fn forget_peer(
    membership: Option<&Membership>,
    node_id: &str,
) -> Result<proto::ForgetPeerResponse, Status> {
    let refuse = |text: String| Err(Status::unknown(format!("controlplane: {text}")));
    if node_id.is_empty() {
        return refuse("node_id is required".to_owned());
    }
    let Some(membership) = membership else {
        return refuse("cluster not configured".to_owned());
    };
    if node_id == membership.node_id {
        return refuse(format!("refuse to forget self ({node_id})"));
    }
    match membership.cluster.forget_peer(node_id) {
        Forgotten::StillAlive => refuse(format!(
            "peer {node_id} is still alive, or was less than 30 s ago"
        )),
        Forgotten::Done { removed, left } => Ok(proto::ForgetPeerResponse {
            removed,
            new_replicas: left,
        }),
    }
}
