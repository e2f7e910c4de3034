//! A service of each kind behind any gateway, called all the time: what its status says is compared
//! with what its callers see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;
use tower_gwag::{Event, LeaveReport, Options, Service, State, Status};

use super::POISON;
use super::service::Names;
use crate::control;
use crate::support::net::request;
use crate::support::servers::{INTROSPECTION, Running, axum_app, bind, serve_tonic_routes};
use crate::support::{Events, get, within};

/// Where a gateway is.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) target: String,
    pub(crate) http: String,
}

impl Place {
    pub(crate) fn of(gateway: &tower_gwag_gateway::EmbeddedGateway) -> Self {
        Self {
            target: gateway.target(),
            http: gateway.http_url(),
        }
    }

    /// The ids of everything that is registered, holds included.
    pub(crate) async fn entries(&self) -> Vec<String> {
        let mut client = control::client(&self.target).await;
        let listed = client.list_registrations(control::proto::ListRegistrationsRequest {});
        let listed = within("the list", listed).await.expect("listed");
        let listed = listed.into_inner().registrations;
        listed.into_iter().map(|it| it.registration_id).collect()
    }

    /// Somebody whose schema blocks a clustered gateway, until [`Blocker::leave`].
    pub(crate) async fn block(&self) -> Blocker {
        let mut client = control::client(&self.target).await;
        let request = control::proto::RegisterRequest {
            addr: "127.0.0.1:9".to_owned(),
            services: vec![control::proto::ServiceBinding {
                namespace: "culprit".to_owned(),
                version: "v1".to_owned(),
                proto_source: POISON.as_bytes().to_vec(),
                ..Default::default()
            }],
            ttl_seconds: 300,
            instance_id: "stranger".to_owned(),
        };
        let granted = within("a blocker", client.register(request)).await;
        let id = granted.expect("taken").into_inner().registration_id;
        // Until it is mounted, and blocks.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Blocker {
            client,
            id,
            beats: None,
        }
        .beating()
    }
}

pub(crate) struct Blocker {
    client: control::proto::control_plane_client::ControlPlaneClient<tonic::transport::Channel>,
    id: String,
    beats: Option<JoinHandle<()>>,
}

impl Blocker {
    /// Entries of a cluster live 30 s.
    fn beating(mut self) -> Self {
        let (mut client, id) = (self.client.clone(), self.id.clone());
        self.beats = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                let registration_id = id.clone();
                let beat = control::proto::HeartbeatRequest { registration_id };
                client.heartbeat(beat).await.expect("beaten");
            }
        }));
        self
    }

    pub(crate) async fn leave(mut self) {
        if let Some(beats) = self.beats.take() {
            beats.abort();
        }
        let registration_id = self.id.clone();
        let request = control::proto::DeregisterRequest { registration_id };
        within("deregistered", self.client.deregister(request))
            .await
            .expect("deregistered");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Proto,
    OpenApi,
    GraphQl,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Proto, Self::OpenApi, Self::GraphQl];

    fn service(self, names: &Names) -> Service {
        match self {
            Self::Proto => names.proto(),
            Self::OpenApi => names.openapi(),
            Self::GraphQl => Service::graphql("/graphql").namespace(&names.namespace),
        }
    }

    /// A service with a name of its own.
    pub(crate) async fn of_this_run(self, options: Options) -> Running {
        let names = Names::of_this_run();
        self.server(&names, options.service(self.service(&names)))
            .await
    }

    async fn server(self, names: &Names, options: Options) -> Running {
        match self {
            Self::Proto => {
                let (listener, address) = bind("127.0.0.1:0").await;
                serve_tonic_routes(options, listener, address, names.grpc_app().into())
            }
            Self::OpenApi => axum_app(options, names.http_app()).await,
            Self::GraphQl => {
                axum_app(options, Router::new().route("/graphql", post(graphql))).await
            }
        }
    }

    /// One call through the gateway: whether it reached the service.
    async fn call(self, place: &Place, names: &Names) -> bool {
        match self {
            Self::Proto => {
                let endpoint = format!("http://{}", place.target);
                let Ok(channel) = Endpoint::from_shared(endpoint)
                    .expect("a URL")
                    .connect()
                    .await
                else {
                    return false;
                };
                let mut grpc = tonic::client::Grpc::new(channel);
                if grpc.ready().await.is_err() {
                    return false;
                }
                let request = tonic::Request::new("Ada".to_owned());
                let codec = ProstCodec::<String, String>::default();
                grpc.unary(request, names.method("Hello"), codec)
                    .await
                    .is_ok()
            }
            Self::OpenApi => {
                let url = format!("{}/api/ingress{}", place.http, names.path("things/7"));
                // Its answer is no JSON, which a gateway says after it has called.
                let (status, body) = get(&url).await;
                status == 200 || body.contains("decode response")
            }
            Self::GraphQl => {
                let query = format!(r#"{{"query":"{{ {} {{ hello }} }}"}}"#, names.namespace);
                let url = format!("{}/api/graphql", place.http);
                let (_, body) = request("POST", &url, &query).await;
                body.contains("Hello")
            }
        }
    }
}

/// Introspection, or the one field.
async fn graphql(body: String) -> Response {
    match body.contains("__schema") {
        true => INTROSPECTION.into_response(),
        false => r#"{"data":{"hello":"Hello"}}"#.into_response(),
    }
}

/// A service that is called every 50 ms.
pub(crate) struct Called {
    pub(crate) server: Running,
    pub(crate) events: Events,
    calls: JoinHandle<()>,
    outcomes: Arc<Mutex<Vec<(Instant, bool)>>>,
    states: Arc<Mutex<Vec<(Instant, Status)>>>,
    pub(crate) begun: Instant,
}

impl Called {
    pub(crate) async fn start(kind: Kind, place: &Place, http: Option<&str>) -> Self {
        Self::named(kind, place, http, Arc::new(Names::of_this_run())).await
    }

    pub(crate) async fn named(
        kind: Kind,
        place: &Place,
        http: Option<&str>,
        names: Arc<Names>,
    ) -> Self {
        let states = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::new(tokio::sync::watch::Sender::new(Vec::new()));
        let (seen, list) = (Arc::clone(&states), Events::on(Arc::clone(&events)));
        let mut options = Options::new(&*place.target).service(kind.service(&names));
        if let Some(http) = http {
            options = options.gateway_http(http);
        }
        let options = options.on_event(move |event| {
            if let Event::StatusChanged(status) = event {
                let at = (Instant::now(), status.clone());
                seen.lock().expect("no panic").push(at);
            }
            events.send_modify(|events| events.push(event.clone()));
        });
        let begun = Instant::now();
        let server = kind.server(&names, options).await;
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let (place, all) = (place.clone(), Arc::clone(&outcomes));
        let calls = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let is_good = kind.call(&place, &names).await;
                let at = (Instant::now(), is_good);
                all.lock().expect("no panic").push(at);
            }
        });
        Self {
            server,
            events: list,
            calls,
            outcomes,
            states,
            begun,
        }
    }

    /// When the state was first reached after `since`.
    pub(crate) async fn until(&self, state: State, since: Instant) -> Duration {
        let at = || {
            let states = self.states.lock().expect("no panic");
            let mut states = states.iter();
            let found = states.find(|(at, it)| *at >= since && it.state() == state);
            found.map(|(at, _)| *at)
        };
        crate::support::eventually(&format!("{state:?}"), || at().is_some()).await;
        at().expect("just seen").duration_since(since)
    }

    pub(crate) fn states(&self) -> Vec<State> {
        let states = self.states.lock().expect("no panic");
        states.iter().map(|(_, status)| status.state()).collect()
    }

    pub(crate) fn status(&self) -> Status {
        self.server.registration.status().borrow().clone()
    }

    /// How many calls failed, of how many.
    pub(crate) fn failed(&self) -> (usize, usize) {
        let outcomes = self.outcomes.lock().expect("no panic");
        let failed = outcomes.iter().filter(|(_, is_good)| !is_good).count();
        (failed, outcomes.len())
    }

    /// For how long the state was one of these while every call failed.
    pub(crate) fn wrongly(&self, claims: &[State]) -> Duration {
        let first_good = {
            let outcomes = self.outcomes.lock().expect("no panic");
            let mut outcomes = outcomes.iter();
            outcomes
                .find(|(_, is_good)| *is_good)
                .map_or_else(Instant::now, |(at, _)| *at)
        };
        let states = self.states.lock().expect("no panic");
        let ends = states.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([Instant::now()]);
        let wrong = states
            .iter()
            .zip(ends)
            .filter(|((_, status), _)| claims.contains(&status.state()));
        wrong
            .map(|((from, _), to)| to.min(first_good).saturating_duration_since(*from))
            .sum()
    }

    pub(crate) async fn stop(self) -> LeaveReport {
        self.calls.abort();
        self.server.stop().await
    }
}
