//! Asks a gateway for evidence, without ever calling a handler of the service.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
#[cfg(feature = "preflight")]
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::schema_page::{Page, SchemaPages, name_of};
use super::served::{Served, Shown};
use super::verdict::Expected;
#[cfg(feature = "preflight")]
use crate::control::blocking::on_thread;
use crate::control::proto::ServiceInfo;
use crate::control::{ControlPlane, RouteProbe};
#[cfg(feature = "preflight")]
use crate::observe::http;
use tower_gwag_schema::service::Resolved;
#[cfg(feature = "preflight")]
use tower_gwag_schema::service::evidence::descriptors_of;

/// The timeout for the list of services, which waits for a busy registry.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout for any other answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout for all pages about our own services in one look.
const PAGES_TIMEOUT: Duration = Duration::from_secs(4);
/// The timeout for finding out who blocks the gateway, whatever the number of suspects.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum number of other services to suspect.
const MOST_SUSPECTS: usize = 512;
/// The maximum length of the URL part that names suspects.
const LONGEST_SELECTION: usize = 4_000;

/// What a gateway says about the services of one registration, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The listed hashes; `None` if the gateway did not return a list.
    pub(super) listed: Option<Vec<Option<String>>>,
    pub(super) routes: Vec<Route>,
    pub(super) schemas: Vec<SchemaAnswer>,
    /// The gateway lists a single replica of the service, which is ours.
    pub(super) is_alone: Vec<bool>,
    /// The number of replicas of all services that it lists.
    pub(crate) replicas: Option<u32>,
    /// Whose schema blocks the gateway.
    pub(super) culprit: Option<Culprit>,
    /// All possible culprits were suspected.
    pub(super) is_searched: bool,
    pub(super) http: HttpPort,
    /// The difference between the registered schema and ours.
    pub(super) difference: Option<Difference>,
}

/// The result of the route probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// There is a route; it may be stale, or another replica's.
    Found,
    /// There is none.
    Absent,
    /// The gateway has no ingress there, or there is nothing to probe.
    Unknown,
}

/// The answer of the gateway's schema endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SchemaAnswer {
    /// The served schema shows the service.
    Served,
    /// The gateway can render the service, but the served schema does not show it.
    Missing,
    /// The gateway at this port does not know the service: perhaps it is another gateway.
    Unheard,
    /// The gateway cannot render the service.
    Guilty(String),
    Unknown,
}

/// What is at the base URL of the gateway's HTTP port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HttpPort {
    /// No URL was given.
    #[default]
    NotGiven,
    /// No schema: a standalone gateway, another server, or nothing.
    NoSchema,
    /// A gateway's schema.
    Schema,
}

/// Services that cannot be rendered (several only together), and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Culprit {
    /// `namespace:version` each.
    pub(super) services: Vec<String>,
    pub(super) reason: String,
}

/// Whether to look for the schema that blocks the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    No,
    /// Once after a registration: the served schema may be older than a block.
    IfServed,
    Yes,
}

/// The difference from the schema with this hash, if it could be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    theirs: String,
    pub(super) text: Option<String>,
    /// The number of failed attempts.
    failures: u32,
}

/// The maximum number of attempts: each needs a compilation.
const MOST_TRIES: u32 = 3;

/// What to ask, and where.
#[derive(Clone, Debug)]
pub(crate) struct Inquiry {
    pub(crate) control: ControlPlane,
    /// The base URL of the gateway's HTTP port.
    pub(crate) http: Option<Uri>,
    pub(crate) services: Arc<[Resolved]>,
    pub(crate) expected: Arc<[Expected]>,
    pub(crate) wants_pages: bool,
    pub(crate) search: Search,
    /// The result of the last look, because finding it needs a compilation.
    pub(crate) difference: Option<Difference>,
}

// === impl Inquiry ===

impl Inquiry {
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn gather(self) -> Evidence {
        let mut evidence = Evidence::default();
        let listed = timeout(LIST_TIMEOUT, self.control.services()).await;
        let Some(services) = listed.ok().flatten() else {
            return evidence;
        };
        let counts = services.iter().map(|it| it.replica_count);
        evidence.replicas = Some(counts.fold(0, u32::saturating_add));
        let slots: Vec<_> = self
            .expected
            .iter()
            .map(|of| slot_of(of, &services))
            .collect();
        evidence.difference = self.difference(&slots).await;
        evidence.is_alone = slots
            .iter()
            .map(|slot| slot.is_some_and(|slot| slot.replica_count == 1))
            .collect();
        let complete = slots.iter().all(Option::is_some);
        evidence.listed = Some(
            slots
                .iter()
                .map(|slot| slot.map(|slot| slot.hash_hex.clone()))
                .collect(),
        );
        if complete {
            for expected in self.expected.iter() {
                evidence.routes.push(self.route(expected).await);
            }
        }
        if let Some(base) = self.http.as_ref().filter(|_| self.wants_pages) {
            evidence.http = HttpPort::NoSchema;
            let pages = SchemaPages::new(base);
            if let Page::Schema(mut served) = pages.whole(ANSWER_TIMEOUT).await {
                evidence.http = HttpPort::Schema;
                served.beside(services.iter().map(|it| &*it.namespace));
                self.read_pages(&pages, &served, &mut evidence).await;
                if complete {
                    self.search(&pages, &services, &served, &mut evidence).await;
                }
            }
        }
        if !complete {
            // A service that is not listed is not served yet; only guilt counts.
            evidence.schemas.iter_mut().for_each(|answer| {
                if matches!(answer, SchemaAnswer::Missing | SchemaAnswer::Unheard) {
                    *answer = SchemaAnswer::Unknown;
                }
            });
        }
        evidence
    }

    /// A route for any method is enough; "no route" must be the gateway's answer for each.
    async fn route(&self, expected: &Expected) -> Route {
        let mut found = Route::Unknown;
        for route in &expected.routes {
            match timeout(ANSWER_TIMEOUT, self.control.probe_route(route)).await {
                Ok(RouteProbe::Found) => return Route::Found,
                Ok(RouteProbe::NoRoute) => found = Route::Absent,
                Ok(RouteProbe::NoEvidence) | Err(_) => return Route::Unknown,
            }
        }
        found
    }

    /// Reads what the HTTP port shows of our services.
    async fn read_pages(&self, pages: &SchemaPages, served: &Served, evidence: &mut Evidence) {
        let end = Instant::now() + PAGES_TIMEOUT;
        for expected in self.expected.iter() {
            let left = end.saturating_duration_since(Instant::now());
            let answer = timeout(left, schema_of(expected, pages, served)).await;
            evidence
                .schemas
                .push(answer.unwrap_or(SchemaAnswer::Unknown));
        }
    }

    /// Finds the schema that blocks the gateway: it is listed and cannot be rendered.
    async fn search(
        &self,
        pages: &SchemaPages,
        services: &[ServiceInfo],
        served: &Served,
        evidence: &mut Evidence,
    ) {
        let is_missing = evidence.schemas.contains(&SchemaAnswer::Missing)
            || evidence.is_without_route(&self.expected);
        let wanted = match self.search {
            Search::No => false,
            Search::IfServed => !is_missing,
            Search::Yes => true,
        };
        if !wanted {
            return;
        }
        let is_ours = |it: &ServiceInfo| {
            let mut ours = self.expected.iter();
            ours.any(|of| of.namespace == it.namespace && of.version == it.version)
        };
        let is_suspect = |it: &&ServiceInfo| {
            !it.namespace.starts_with('_')
                && is_selectable(&it.namespace)
                && is_selectable(&it.version)
                && !is_ours(it)
        };
        let suspects = services.iter().filter(is_suspect);
        // Services already served are suspected last, and never as a precaution.
        let (missing, shown): (Vec<_>, Vec<_>) = suspects.partition(|it| {
            let shown = served.shows(&it.namespace, &it.version);
            shown == Shown::No
        });
        let named = |it: &ServiceInfo| name_of(&it.namespace, &it.version);
        let shown: Vec<String> = shown.into_iter().map(named).collect();
        let mut suspects: Vec<String> = missing.into_iter().map(named).collect();
        if self.search == Search::Yes {
            suspects.extend(shown.iter().cloned());
        }
        suspects.truncate(MOST_SUSPECTS);
        // Results found before the timeout count.
        let search = find_culprit(pages, &suspects, &mut evidence.culprit);
        evidence.is_searched = timeout(SEARCH_TIMEOUT, search).await.unwrap_or(false);
        if evidence.culprit.is_none() && self.search == Search::Yes {
            let guilty = timeout(SEARCH_TIMEOUT, self.collision(pages, &shown, evidence)).await;
            if let Ok(Some((service, reason))) = guilty
                && let Some(answer) = evidence.schemas.get_mut(service)
            {
                *answer = SchemaAnswer::Guilty(reason);
            }
        }
    }

    /// Finds a service of ours that cannot be rendered together with the served schema, although
    /// the served schema can be rendered alone.
    async fn collision(
        &self,
        pages: &SchemaPages,
        shown: &[String],
        evidence: &Evidence,
    ) -> Option<(usize, String)> {
        let mut others = shown.join(",");
        if others.is_empty() || others.len() > LONGEST_SELECTION {
            return None;
        }
        if let Page::Refused(_) = pages.selection(&others, ANSWER_TIMEOUT).await {
            return None;
        }
        others.push(',');
        for (service, expected) in self.expected.iter().enumerate() {
            if evidence.schemas.get(service) != Some(&SchemaAnswer::Missing) {
                continue;
            }
            let with = format!(
                "{others}{}",
                name_of(&expected.namespace, &expected.version)
            );
            if let Page::Refused(reason) = pages.selection(&with, ANSWER_TIMEOUT).await {
                return Some((service, reason));
            }
        }
        None
    }

    /// The difference from another schema that holds one of our slots.
    async fn difference(&self, slots: &[Option<&ServiceInfo>]) -> Option<Difference> {
        let mut pairs = self.expected.iter().zip(slots).enumerate();
        let (service, theirs) = pairs.find_map(|(service, (expected, slot))| {
            let (ours, slot) = (expected.hash.as_ref()?, (*slot)?);
            (*ours != slot.hash_hex).then(|| (service, slot.hash_hex.clone()))
        })?;
        if let Some(known) = &self.difference
            && known.theirs == theirs
            && (known.text.is_some() || known.failures >= MOST_TRIES)
        {
            return Some(known.clone());
        }
        let known = self.difference.as_ref().filter(|it| it.theirs == theirs);
        let failures = known.map_or(0, |it| it.failures);
        let text = match self.services.get(service) {
            Some(service) => difference(self.http.as_ref(), service).await,
            None => None,
        };
        Some(Difference {
            failures: failures + u32::from(text.is_none()),
            theirs,
            text,
        })
    }
}

// === impl Evidence ===

impl Evidence {
    /// Whether a service that gateways surely route has no route.
    fn is_without_route(&self, expected: &[Expected]) -> bool {
        let mut routes = self.routes.iter().zip(expected);
        routes.any(|(route, of)| *route == Route::Absent && of.is_surely_routed)
    }
}

/// The difference between the gateway's schema and ours, as far as it is known.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
#[cfg(feature = "preflight")]
pub(crate) async fn difference(base: Option<&Uri>, service: &Resolved) -> Option<String> {
    use tower_gwag_schema::diff::served::{between, between_documents};
    use tower_gwag_schema::service::ServiceKind;

    let form = match service.kind {
        ServiceKind::Proto => "proto",
        ServiceKind::OpenApi => "openapi",
        ServiceKind::GraphQl => return None,
    };
    let base = base?.to_string();
    let base = base.trim_end_matches('/');
    let uri = format!("{base}/api/schema/{form}?service={}", service.namespace);
    let answer = timeout(ANSWER_TIMEOUT, http::get(&uri.parse().ok()?)).await;
    let (status, theirs) = answer.ok()?.ok()?;
    if status != ::http::StatusCode::OK {
        return None;
    }
    // A large tree takes long to compile.
    let service = service.clone();
    let compare = move || match service.kind {
        ServiceKind::OpenApi => {
            let theirs = document_in(&theirs, &service)?;
            between_documents(&theirs, &service.binding.openapi_spec)
        }
        _ => between(&theirs, &descriptors_of(&service)?),
    };
    // One comparison at a time, however many are requested before it is done.
    let turn = COMPARISONS.acquire().await.ok()?;
    let compared = on_thread("tower-gwag-compare", move || {
        let _turn = turn;
        compare()
    });
    compared.await.flatten()
}

/// The document of a service: gateways return an object by namespace and version.
#[cfg(feature = "preflight")]
fn document_in(answer: &[u8], service: &Resolved) -> Option<Vec<u8>> {
    let mut all: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let versions = all.get_mut(&service.namespace)?;
    let document = versions.get_mut(service.version.to_string())?.take();
    Some(document.to_string().into_bytes())
}

/// Limits comparisons of schemas, each of which may occupy a processor for long.
#[cfg(feature = "preflight")]
static COMPARISONS: Semaphore = Semaphore::const_new(1);

#[cfg(not(feature = "preflight"))]
pub(crate) async fn difference(_: Option<&Uri>, _: &Resolved) -> Option<String> {
    None
}

fn slot_of<'a>(of: &Expected, services: &'a [ServiceInfo]) -> Option<&'a ServiceInfo> {
    services
        .iter()
        .find(|it| it.namespace == of.namespace && it.version == of.version && it.replica_count > 0)
}

/// Only a schema without the service beside one with it shows that it is not served: a single
/// namespace can be rendered even while the whole cannot.
async fn schema_of(expected: &Expected, pages: &SchemaPages, served: &Served) -> SchemaAnswer {
    let (namespace, version) = (&expected.namespace, &expected.version);
    let shown = served.shows(namespace, version);
    if expected.is_visible && shown == Shown::Yes {
        return SchemaAnswer::Served;
    }
    if namespace.starts_with('_') || !is_selectable(namespace) {
        return SchemaAnswer::Unknown;
    }
    // A proto's free JSON shows only beside that of an OpenAPI document, which `admin` has.
    let ours = format!("{},admin", name_of(namespace, version));
    match pages.selection(&ours, ANSWER_TIMEOUT).await {
        Page::Refused(reason) => {
            match pages.selection("admin", ANSWER_TIMEOUT).await {
                Page::Schema(_) => SchemaAnswer::Guilty(reason),
                // This port refuses everything.
                _ => SchemaAnswer::Unknown,
            }
        }
        Page::Schema(alone)
            if expected.is_visible && shown == Shown::No && alone.has_namespace(namespace) =>
        {
            SchemaAnswer::Missing
        }
        Page::Schema(alone)
            if expected.is_visible && shown == Shown::No && !alone.has_namespace(namespace) =>
        {
            SchemaAnswer::Unheard
        }
        Page::Schema(_) | Page::Unknown => SchemaAnswer::Unknown,
    }
}

/// Halves the suspects until one is left, or a group that only together cannot be rendered; `admin`
/// shows free JSON. Returns whether every question was answered.
async fn find_culprit(
    pages: &SchemaPages,
    suspects: &[String],
    found: &mut Option<Culprit>,
) -> bool {
    let mut is_answered = true;
    // The list is searched from its end.
    let mut groups: Vec<&[String]> = in_groups(suspects);
    groups.reverse();
    while let Some(group) = groups.pop() {
        let selection = format!("{},admin", group.join(","));
        let reason = match pages.selection(&selection, ANSWER_TIMEOUT).await {
            Page::Refused(reason) => reason,
            page => {
                is_answered &= matches!(page, Page::Schema(_));
                continue;
            }
        };
        *found = Some(Culprit {
            services: group.to_vec(),
            reason,
        });
        groups.clear();
        if group.len() > 1 {
            let (left, right) = group.split_at(group.len() / 2);
            groups.extend([right, left]);
        }
    }
    is_answered
}

/// Groups as large as a URL has room for.
fn in_groups(suspects: &[String]) -> Vec<&[String]> {
    let mut groups = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (place, suspect) in suspects.iter().enumerate() {
        if length + suspect.len() > LONGEST_SELECTION && place > start {
            groups.push(&suspects[start..place]);
            (start, length) = (place, 0);
        }
        length += suspect.len() + 1;
    }
    if start < suspects.len() {
        groups.push(&suspects[start..]);
    }
    groups
}

/// Whether the name needs no escaping in a selection.
fn is_selectable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
