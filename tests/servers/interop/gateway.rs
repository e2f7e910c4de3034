//! The gateway under test, known only by its control plane and its two ingresses.

use std::time::Duration;

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use tower_gwag::Options;
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use super::service::{Names, thing};
use crate::control::proto::control_plane_client::ControlPlaneClient;
use crate::control::proto::{
    DeregisterRequest, ListPeersRequest, ListRegistrationsRequest, ListServicesRequest,
    Registration,
};
use crate::support::net::request;

/// A busy clustered gateway lists and routes after up to a minute.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

pub(crate) struct Gateway {
    /// `host:port`.
    control: String,
    /// Base URL.
    pub(crate) http: Option<String>,
    _embedded: Option<EmbeddedGateway>,
}

impl Gateway {
    pub(crate) async fn find() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(control) = read("GWAG_GATEWAY") {
            let http = read("GWAG_GATEWAY_HTTP");
            let http = http.map(|url| url.trim_end_matches('/').to_owned());
            println!("against {control}, HTTP at {http:?}");
            return Self {
                control,
                http,
                _embedded: None,
            };
        }
        let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
        let embedded = builder.start().await.expect("started");
        let (control, http) = (embedded.target(), Some(embedded.http_url()));
        println!("against {control}, HTTP at {http:?}");
        Self {
            control,
            http,
            _embedded: Some(embedded),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(&self.control)
    }

    pub(crate) async fn patiently<F: Future>(&self, what: &str, future: F) -> F::Output {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("did not happen within {PATIENCE:?}: {what}"),
        }
    }

    /// Asks again until there is an answer; names the last obstacle.
    async fn until<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(POLL);
        loop {
            ticks.tick().await;
            match ask().await {
                Ok(found) => return found,
                Err(why) if tokio::time::Instant::now() > deadline => {
                    panic!("did not happen within {PATIENCE:?}: {what}: {why}")
                }
                Err(_) => {}
            }
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.control));
        let endpoint = endpoint.expect("an address");
        endpoint.connect().await.expect("the gateway is up")
    }

    async fn control(&self) -> ControlPlaneClient<Channel> {
        ControlPlaneClient::new(self.channel().await)
    }

    pub(crate) async fn deregister(&self, id: &str) {
        let registration_id = id.to_owned();
        let request = DeregisterRequest { registration_id };
        let answer = self.control().await.deregister(request).await;
        answer.expect("deregistered");
    }

    /// The one registration that has this namespace.
    pub(crate) async fn entry(&self, namespace: &str) -> Registration {
        self.until_entry(namespace, |_| true).await
    }

    pub(crate) async fn until_entry(
        &self,
        namespace: &str,
        condition: impl Fn(&Registration) -> bool,
    ) -> Registration {
        let mut control = self.control().await;
        self.until("listed", async || {
            let mut all = entries(&mut control, namespace).await;
            match all.pop() {
                Some(entry) if all.is_empty() && condition(&entry) => Ok(entry),
                last => Err(format!("{last:?} and {all:?}")),
            }
        })
        .await
    }

    /// Neither registered nor among the services any more.
    pub(crate) async fn until_gone(&self, namespace: &str) {
        let mut control = self.control().await;
        assert!(entries(&mut control, namespace).await.is_empty());
        self.until("not listed", async || {
            let services = control.list_services(ListServicesRequest {}).await;
            let services = services.map_err(|status| status.to_string())?.into_inner();
            let mut all = services.services.into_iter();
            match all.find(|service| service.namespace == namespace) {
                Some(service) => Err(format!("{service:?}")),
                None => Ok(()),
            }
        })
        .await;
    }

    /// Only a cluster has an HTTP ingress.
    async fn is_clustered(&self) -> bool {
        let peers = self.control().await.list_peers(ListPeersRequest {}).await;
        !peers.expect("peers").into_inner().peers.is_empty()
    }

    /// Calls by gRPC until the call is routed.
    pub(crate) async fn assert_called(&self, names: &Names, name: &str) {
        let mut grpc = tonic::client::Grpc::new(self.channel().await);
        let call = self.until("called through the gateway", async || {
            grpc.ready().await.map_err(|error| error.to_string())?;
            let codec = ProstCodec::<String, String>::default();
            let request = tonic::Request::new(name.to_owned());
            let answer = grpc.unary(request, names.method("Hello"), codec).await;
            answer
                .map(tonic::Response::into_inner)
                .map_err(|status| status.to_string())
        });
        assert_eq!(call.await, format!("Hello, {name}!"));
    }

    /// A server stream by gRPC, which has the route by now.
    pub(crate) async fn assert_streamed(&self, names: &Names, name: &str) {
        let mut grpc = tonic::client::Grpc::new(self.channel().await);
        grpc.ready().await.expect("ready");
        let codec = ProstCodec::<String, String>::default();
        let request = tonic::Request::new(name.to_owned());
        let path = names.method("Count");
        let answer = grpc.server_streaming(request, path, codec).await;
        let mut stream = answer.expect("a stream").into_inner();
        let mut all = Vec::new();
        while let Some(message) = stream.message().await.expect("no error") {
            all.push(message);
        }
        assert_eq!(all, [1, 2, 3].map(|number| format!("{number} {name}")));
    }

    /// Asks for a thing by GraphQL until it is routed, and through the HTTP ingress if there is one.
    pub(crate) async fn assert_thing(&self, names: &Names, id: &str) {
        let Some(http) = &self.http else {
            println!("not called: GWAG_GATEWAY_HTTP is not set");
            return;
        };
        let namespace = names.title_as_namespace();
        let query = format!(r#"{{ {namespace} {{ getThing(id: \"{id}\") {{ name }} }} }}"#);
        let thing = thing(id);
        let answer = serde_json::json!({"data": {namespace: {"getThing": thing.clone()}}});
        self.until_answered("POST", format!("{http}/api/graphql"), &query, &answer)
            .await;
        if !self.is_clustered().await {
            println!("not called by HTTP: a standalone gateway has no ingress");
            return;
        }
        let url = format!("{http}/api/ingress{}", names.path(&format!("things/{id}")));
        self.until_answered("GET", url, "", &thing).await;
    }

    async fn until_answered(&self, method: &str, url: String, query: &str, expected: &Value) {
        let body = match query {
            "" => String::new(),
            query => format!(r#"{{"query":"{query}"}}"#),
        };
        self.until("called through the gateway", async || {
            match request(method, &url, &body).await {
                (200, body) if serde_json::from_str(&body).ok().as_ref() == Some(expected) => {
                    Ok(())
                }
                other => Err(format!("{url}: {other:?}")),
            }
        })
        .await;
    }
}

async fn entries(control: &mut ControlPlaneClient<Channel>, namespace: &str) -> Vec<Registration> {
    let answer = control
        .list_registrations(ListRegistrationsRequest {})
        .await;
    let mut all = answer.expect("listed").into_inner().registrations;
    all.retain(|entry| {
        let mut names = entry.namespaces.iter();
        names.any(|name| name.split('/').next() == Some(namespace))
    });
    all
}
