//! The gateway that is called.

use std::time::Duration;

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::callers;
use crate::services::Services;

pub(crate) use tower_gwag::control::proto;

use self::proto::control_plane_client::ControlPlaneClient;

/// How long a real gateway may take until it routes everything.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Gateway {
    /// `host:port` of the control plane and the gRPC ingress.
    pub(crate) control: String,
    /// `host:port` of the HTTP ingress.
    pub(crate) http: String,
    embedded: Option<EmbeddedGateway>,
    /// How many fatal calls have been reported already.
    fatal: std::sync::atomic::AtomicUsize,
    ids: std::sync::Mutex<Vec<String>>,
}

impl Gateway {
    pub(crate) async fn find() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let (Some(control), Some(http)) = (read("GWAG_GATEWAY"), read("GWAG_GATEWAY_HTTP")) {
            let http = http
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .to_owned();
            let (embedded, ids) = (None, Default::default());
            return Self {
                control,
                http,
                embedded,
                ids,
                fatal: Default::default(),
            };
        }
        let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
        let embedded = builder.start().await.expect("started");
        Self {
            control: embedded.target(),
            http: embedded.http_url().trim_start_matches("http://").to_owned(),
            embedded: Some(embedded),
            fatal: Default::default(),
            ids: Default::default(),
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.embedded.is_none()
    }

    /// How many calls since the last question would have ended a real gateway.
    pub(crate) fn take_fatal_calls(&self) -> usize {
        let all = self
            .embedded
            .as_ref()
            .map_or(0, |it| it.fatal_calls().len());
        all - self.fatal.swap(all, std::sync::atomic::Ordering::SeqCst)
    }

    async fn client(&self) -> ControlPlaneClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.control)).expect("a URI");
        ControlPlaneClient::new(endpoint.connect().await.expect("a gateway"))
    }

    pub(crate) async fn register(&self, services: &Services) {
        let mut client = self.client().await;
        let mut namespaces = Vec::new();
        for (addr, binding) in services.bindings() {
            namespaces.push(binding.namespace.clone());
            let request = proto::RegisterRequest {
                addr,
                services: vec![binding],
                instance_id: "data-plane".to_owned(),
                ttl_seconds: 600,
            };
            let answer = client
                .register(request)
                .await
                .expect("registered")
                .into_inner();
            self.ids
                .lock()
                .expect("no panic")
                .push(answer.registration_id);
        }
        if let Some(embedded) = &self.embedded {
            let mounted = embedded.wait_until(|now| now.pending_mounts == 0);
            return tokio::time::timeout(PATIENCE, mounted)
                .await
                .expect("mounted");
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (_, schema) = callers::get(&self.http, "/api/schema/graphql").await;
            let missing = namespaces
                .iter()
                .find(|namespace| !schema.contains(&format!("  {namespace}: ")));
            let Some(missing) = missing else { return };
            let is_late = tokio::time::Instant::now() > deadline;
            assert!(!is_late, "{missing} is not in the schema: {schema}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn leave(&self) {
        let ids = std::mem::take(&mut *self.ids.lock().expect("no panic"));
        let mut client = self.client().await;
        for registration_id in ids {
            let _ = client
                .deregister(proto::DeregisterRequest { registration_id })
                .await;
        }
    }
}

/// The binding of a schema.
pub(crate) fn binding(schema: &Value, endpoint: &str) -> proto::ServiceBinding {
    let text = |key: &str| schema[key].as_str().unwrap_or_default().to_owned();
    let source = text("source").into_bytes();
    let mut binding = proto::ServiceBinding {
        namespace: text("namespace"),
        version: text("version"),
        ..Default::default()
    };
    match schema["kind"].as_str() {
        Some("proto") => binding.proto_source = source,
        Some("openapi") => binding.openapi_spec = source,
        _ => binding.graphql_endpoint = format!("http://{endpoint}{}", text("path")),
    }
    binding
}
