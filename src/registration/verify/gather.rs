//! Asks a gateway for evidence; nothing of it calls a handler of the service.

use std::sync::Arc;
use std::time::Duration;

use ::http::{StatusCode, Uri};
use tokio::time::timeout;

use super::Expected;
use crate::control::proto::ServiceInfo;
use crate::control::{ControlPlane, RouteProbe};
use crate::registration::http;
use tower_gwag_schema::service::Resolved;
#[cfg(feature = "preflight")]
use tower_gwag_schema::service::evidence::descriptors_of;

/// For the list of services, which waits for a busy registry.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// For one answer of another kind.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How many other services are asked whether they block the gateway.
const MOST_SUSPECTS: usize = 64;

/// What a gateway says about the services of one registration, in their order.
#[derive(Clone, Debug, Default)]
pub(in crate::registration) struct Evidence {
    /// The hashes that it lists; `None` when it did not say.
    pub(super) listed: Option<Vec<Option<String>>>,
    pub(super) routes: Vec<Route>,
    pub(super) schemas: Vec<SchemaAnswer>,
    /// How many replicas of all services it lists.
    pub(in crate::registration) replicas: Option<u32>,
    /// A service whose schema cannot be rendered, and why.
    pub(super) culprit: Option<(String, String)>,
    /// What differs between the registered schema and ours.
    pub(super) difference: Option<String>,
}

/// What the route probe says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registration) enum Route {
    Refuted,
    Unknown,
}

/// What the gateway's schema endpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::registration) enum SchemaAnswer {
    Served,
    Absent,
    Guilty(String),
    Unknown,
}

/// Where to ask for what.
#[derive(Clone, Debug)]
pub(in crate::registration) struct Inquiry {
    pub(in crate::registration) control: ControlPlane,
    /// The base of the gateway's HTTP port.
    pub(in crate::registration) http: Option<Uri>,
    pub(in crate::registration) services: Arc<[Resolved]>,
    pub(in crate::registration) expected: Arc<[Expected]>,
}

// === impl Evidence ===

impl Evidence {
    /// The first service whose route or schema is not there.
    pub(super) fn refuted(&self) -> Option<usize> {
        let route = self.routes.iter().position(|it| *it == Route::Refuted);
        route.or_else(|| {
            let mut schemas = self.schemas.iter();
            schemas.position(|it| *it == SchemaAnswer::Absent)
        })
    }
}

// === impl Inquiry ===

impl Inquiry {
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(in crate::registration) async fn gather(self) -> Evidence {
        let mut evidence = Evidence::default();
        let listed = timeout(LIST_TIMEOUT, self.control.services()).await;
        let Some(services) = listed.ok().flatten() else {
            return evidence;
        };
        let counts = services.iter().map(|it| it.replica_count);
        evidence.replicas = Some(counts.fold(0, u32::saturating_add));
        let hash = |of: &Expected| {
            let slot = services.iter();
            let mut slot = slot.filter(|it| {
                it.namespace == of.namespace && it.version == of.version && it.replica_count > 0
            });
            slot.next().map(|it| it.hash_hex.clone())
        };
        let hashes: Vec<_> = self.expected.iter().map(hash).collect();
        let is_other =
            |(expected, listed): &(&Expected, &Option<String>)| match (&expected.hash, listed) {
                (Some(ours), Some(theirs)) => ours != theirs,
                _ => false,
            };
        let other = self
            .expected
            .iter()
            .zip(&hashes)
            .position(|it| is_other(&it));
        if let Some(service) = other.and_then(|place| self.services.get(place)) {
            evidence.difference = self.difference(service).await;
        }
        let complete = hashes.iter().all(Option::is_some);
        evidence.listed = Some(hashes);
        for expected in self.expected.iter() {
            let mut schema = self.schema(expected).await;
            // Another version of the namespace may be the cause.
            let is_of_another = |it: &ServiceInfo| {
                it.namespace == expected.namespace && it.version != expected.version
            };
            if services.iter().any(is_of_another) {
                schema = SchemaAnswer::Unknown;
            }
            evidence.schemas.push(schema);
            if complete {
                evidence.routes.push(self.route(expected).await);
            }
        }
        if complete && evidence.refuted().is_some() {
            let others = services.iter().map(|it| it.namespace.as_str());
            evidence.culprit = self.culprit(others).await;
        }
        if !complete {
            // What is not listed has no schema yet; only guilt counts.
            evidence.schemas.iter_mut().for_each(|answer| {
                if *answer == SchemaAnswer::Absent {
                    *answer = SchemaAnswer::Unknown;
                }
            });
        }
        evidence
    }

    async fn route(&self, expected: &Expected) -> Route {
        let Some(route) = &expected.route else {
            return Route::Unknown;
        };
        match timeout(ANSWER_TIMEOUT, self.control.probe_route(route)).await {
            Ok(RouteProbe::NoRoute) => Route::Refuted,
            Ok(RouteProbe::NoEvidence) | Err(_) => Route::Unknown,
        }
    }

    async fn schema(&self, expected: &Expected) -> SchemaAnswer {
        if !expected.is_visible {
            return SchemaAnswer::Unknown;
        }
        match self.ask("graphql", &expected.namespace).await {
            Some((StatusCode::OK, text)) if text.contains(&expected.namespace) => {
                SchemaAnswer::Served
            }
            Some((StatusCode::OK, text)) if is_empty(&text) => SchemaAnswer::Absent,
            Some((StatusCode::INTERNAL_SERVER_ERROR, reason)) => {
                SchemaAnswer::Guilty(reason.trim().to_owned())
            }
            _ => SchemaAnswer::Unknown,
        }
    }

    /// Somebody whose schema cannot be made, for which everybody else waits.
    async fn culprit<'a>(
        &self,
        namespaces: impl Iterator<Item = &'a str>,
    ) -> Option<(String, String)> {
        self.http.as_ref()?;
        let mut namespaces: Vec<&str> = namespaces.collect();
        namespaces.sort_unstable();
        namespaces.dedup();
        for namespace in namespaces.into_iter().take(MOST_SUSPECTS) {
            if let Some((StatusCode::INTERNAL_SERVER_ERROR, reason)) =
                self.ask("graphql", namespace).await
            {
                return Some((namespace.to_owned(), reason.trim().to_owned()));
            }
        }
        None
    }

    #[cfg(feature = "preflight")]
    async fn difference(&self, service: &Resolved) -> Option<String> {
        let uri = self.uri("proto", &service.namespace)?;
        let answer = timeout(ANSWER_TIMEOUT, http::get(&uri)).await.ok()?.ok()?;
        match answer {
            (StatusCode::OK, theirs) => {
                tower_gwag_schema::difference::between(&theirs, &descriptors_of(service)?)
            }
            _ => None,
        }
    }

    #[cfg(not(feature = "preflight"))]
    async fn difference(&self, _: &Resolved) -> Option<String> {
        None
    }

    async fn ask(&self, form: &str, namespace: &str) -> Option<(StatusCode, String)> {
        let uri = self.uri(form, namespace)?;
        let answer = timeout(ANSWER_TIMEOUT, http::get(&uri)).await.ok()?.ok()?;
        let (status, body) = answer;
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }

    fn uri(&self, form: &str, namespace: &str) -> Option<Uri> {
        let base = self.http.as_ref()?.to_string();
        let base = base.trim_end_matches('/');
        // A namespace is a GraphQL name, which needs no escapes; others are not asked for.
        format!("{base}/api/schema/{form}?service={namespace}")
            .parse()
            .ok()
    }
}

/// A schema without any type but an empty Query.
fn is_empty(schema: &str) -> bool {
    let mut types = schema.lines().filter(|line| {
        let line = line.trim_start();
        ["type ", "interface ", "union ", "enum ", "input "]
            .iter()
            .any(|keyword| line.starts_with(keyword))
    });
    types.all(|line| line.trim_start().starts_with("type Query"))
}
