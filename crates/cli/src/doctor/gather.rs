//! Collects what a gateway answers to harmless requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use prost_types::FileDescriptorSet;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tower_gwag::ServedSchema;
use tower_gwag::control::Client;
use tower_gwag::control::proto::{Peer, Registration, ServiceInfo};

use super::addresses::{Spoken, speak};
use crate::access::client;
use crate::cli::Doctor;
use crate::exit_codes::{Fault, USAGE};
use crate::http::Base;
use crate::operators::now_ms;
use crate::output::in_options;

/// The interval between looks at the list of services.
const LOOK: Duration = Duration::from_millis(250);
/// The most addresses to dial.
const MOST_ADDRESSES: usize = 2_000;
/// The most services to render one by one to find the one that blocks.
const MOST_RENDERED: usize = 500;

/// A service's namespace and version.
pub(crate) type Slot = (String, String);

/// The answers of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) target: String,
    pub(crate) peers: Vec<Peer>,
    /// The lists at the beginning and at the end.
    pub(crate) services: [Vec<ServiceInfo>; 2],
    pub(crate) registrations: [Vec<Registration>; 2],
    /// All hashes that a slot had during the looks.
    pub(crate) hashes: BTreeMap<Slot, BTreeSet<String>>,
}

/// The answers of the HTTP port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    /// The schema being served.
    pub(crate) whole: Option<ServedSchema>,
    /// Services that cannot be rendered, with the gateway's reason.
    pub(crate) culprits: BTreeMap<Slot, String>,
    /// The gateway's reason if no single service is at fault.
    pub(crate) together: Option<String>,
    /// Services that are missing in the whole schema, but can be rendered by themselves.
    pub(crate) alone: BTreeSet<Slot>,
    /// Rejected joins by slot: how many, why, when.
    pub(crate) rejected: BTreeMap<Slot, (u64, String, u64)>,
    pub(crate) documents: BTreeMap<Slot, Value>,
    pub(crate) protos: BTreeMap<Slot, FileDescriptorSet>,
}

#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) nodes: Vec<Node>,
    /// Nodes that did not answer, and why.
    pub(crate) away: Vec<(String, String)>,
    /// `None`: no URL is given; `Err`: why it cannot be used.
    pub(crate) pages: Option<Result<Pages, String>>,
    /// What answers at the addresses of replicas.
    pub(crate) spoken: BTreeMap<String, Spoken>,
    pub(crate) is_dialled: bool,
    /// The addresses from the command line, control planes and HTTP.
    pub(crate) own: Vec<(String, u16)>,
    /// Whether the control plane uses TLS: such a gateway dials gRPC services with TLS, too.
    pub(crate) is_tls: bool,
    pub(crate) now_ms: u64,
}

pub(crate) fn slot(it: &ServiceInfo) -> Slot {
    (it.namespace.clone(), it.version.clone())
}

/// Namespaces of the gateway itself.
pub(crate) fn is_built_in((namespace, version): &Slot) -> bool {
    version == "v1" && matches!(namespace.as_str(), "admin" | "admin_events" | "ps")
}

// === impl Evidence ===

impl Evidence {
    /// The entries of all registrations, as the first node lists them.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceInfo> {
        let first = self.nodes.first().into_iter();
        let all = first.flat_map(|it| &it.services[1]);
        all.filter(|it| !is_built_in(&slot(it)) && !it.namespace.starts_with("_tower_gwag_hold"))
    }

    pub(crate) fn registrations(&self) -> impl Iterator<Item = &Registration> {
        self.nodes.iter().flat_map(|it| &it.registrations[1])
    }

    pub(crate) fn pages(&self) -> Option<&Pages> {
        self.pages.as_ref()?.as_ref().ok()
    }
}

pub(crate) async fn gather(args: &Doctor) -> Result<Evidence, Fault> {
    let base = args.http.as_deref().map(Base::parse).transpose()?;
    let mut evidence = Evidence {
        is_dialled: !args.no_dial,
        ..Evidence::default()
    };
    let mut clients: Vec<Client> = Vec::new();
    for gateway in args
        .gateway
        .iter()
        .map(|it| it.trim())
        .filter(|it| !it.is_empty())
    {
        let client = client(gateway, &args.access)?;
        evidence.is_tls |= client.target().starts_with("https")
            || args.access.tls_ca.is_some()
            || gateway.starts_with("https");
        evidence.own.extend(crate::run::host_port(gateway));
        if clients.iter().all(|it| it.target() != client.target()) {
            clients.push(client);
        }
    }
    if clients.is_empty() {
        return Err(Fault::new(USAGE, "no gateway is given").help("give --gateway host:port"));
    }
    evidence.own.extend(base.as_ref().map(Base::host_port));

    let mut alive = Vec::new();
    for client in clients {
        match look(&client).await {
            Ok(node) => {
                // One node under two names counts once.
                let is_same = |it: &Node| {
                    let ids = |it: &Node| {
                        it.registrations[0]
                            .iter()
                            .map(|it| it.registration_id.clone())
                            .collect::<BTreeSet<_>>()
                    };
                    !it.registrations[0].is_empty() && ids(it) == ids(&node)
                };
                if !evidence.nodes.iter().any(is_same) {
                    evidence.nodes.push(node);
                    alive.push(client);
                }
            }
            Err(error) => {
                let why = in_options(&error.to_string());
                evidence.away.push((client.target(), why));
            }
        }
    }
    observe(&mut evidence.nodes, &alive, args.observe).await;
    if let Some(base) = &base {
        evidence.pages = Some(pages(base, &evidence).await);
    }
    if evidence.is_dialled {
        let addresses: BTreeSet<String> = evidence
            .registrations()
            .map(|it| it.addr.clone())
            .take(MOST_ADDRESSES)
            .collect();
        evidence.spoken = speak(addresses).await;
    }
    evidence.now_ms = now_ms();
    Ok(evidence)
}

async fn look(client: &Client) -> Result<Node, tower_gwag::Error> {
    Ok(Node {
        target: client.target(),
        peers: client.peers().await?,
        services: [client.services().await?.services, Vec::new()],
        registrations: [client.registrations().await?, Vec::new()],
        hashes: BTreeMap::new(),
    })
}

/// Watches for changes, and reads everything once more at the end.
async fn observe(nodes: &mut [Node], clients: &[Client], time: Duration) {
    let end = Instant::now() + time;
    loop {
        let is_last = Instant::now() >= end;
        for (node, client) in nodes.iter_mut().zip(clients) {
            // An earlier answer stands in for a missing one.
            let Ok(services) = client.services().await else {
                continue;
            };
            for it in &services.services {
                node.hashes
                    .entry(slot(it))
                    .or_default()
                    .insert(it.hash_hex.clone());
            }
            if is_last {
                node.services[1] = services.services;
                node.registrations[1] = client.registrations().await.unwrap_or_default();
            }
        }
        if is_last {
            break;
        }
        sleep(LOOK.min(end.saturating_duration_since(Instant::now()))).await;
    }
    for node in nodes {
        for it in &node.services[0] {
            node.hashes
                .entry(slot(it))
                .or_default()
                .insert(it.hash_hex.clone());
        }
    }
}

async fn pages(base: &Base, evidence: &Evidence) -> Result<Pages, String> {
    let mut pages = Pages::default();
    let (status, body) = base.get("/api/schema/graphql").await?;
    pages.whole = ServedSchema::read(&body).filter(|_| status == StatusCode::OK);
    let is_clustered = evidence.nodes.iter().any(|it| !it.peers.is_empty());
    if pages.whole.is_none() {
        if is_clustered {
            return Err(format!(
                "the server there shows no GraphQL schema (HTTP status {}): it is not a gateway's \
                 HTTP port",
                status.as_u16()
            ));
        }
        // A standalone gateway has no such pages.
        return Ok(pages);
    }
    admin(base, &mut pages).await;
    documents(base, &mut pages).await;
    let slots: Vec<Slot> = evidence.services().map(slot).collect();
    for it in slots.iter().filter(|it| !it.0.starts_with('_')) {
        let path = format!("/api/schema/proto?service={}", selected(it));
        if let Ok((StatusCode::OK, body)) = base.get(&path).await
            && let Ok(set) = FileDescriptorSet::decode(body)
            // Gateways show every service as proto and as OpenAPI: the file's name shows its original
            // kind.
            && set.file.iter().any(|file| file.name() == format!("{}.proto", it.0))
        {
            pages.documents.remove(it);
            pages.protos.insert(it.clone(), set);
        }
    }
    blocks(base, &slots, &mut pages).await;
    Ok(pages)
}

/// The services that cannot be rendered, and those not served although they can be.
async fn blocks(base: &Base, slots: &[Slot], pages: &mut Pages) {
    let whole = match base.get("/api/schema/graphql?service=,").await {
        Ok((StatusCode::INTERNAL_SERVER_ERROR, body)) => Some(said(&body)),
        _ => None,
    };
    let visible: Vec<&Slot> = slots.iter().filter(|it| !it.0.starts_with('_')).collect();
    let missing: BTreeSet<&Slot> = visible
        .iter()
        .copied()
        .filter(|(namespace, version)| {
            pages
                .whole
                .as_ref()
                .is_some_and(|it| it.shows(namespace, version) == Some(false))
        })
        .collect();
    if whole.is_none() && missing.is_empty() {
        return;
    }
    for it in visible.iter().take(MOST_RENDERED) {
        // A proto's free JSON shows only beside that of an OpenAPI document, which `admin` has.
        let beside = format!("/api/schema/graphql?service={},admin", selected(it));
        match base.get(&beside).await {
            Ok((StatusCode::OK, body)) if missing.contains(*it) => {
                let shows = ServedSchema::read(&body).and_then(|served| served.shows(&it.0, &it.1));
                if shows == Some(true) {
                    pages.alone.insert((*it).clone());
                }
            }
            Ok((StatusCode::OK, _)) | Err(_) => {}
            Ok((_, body)) => {
                pages.culprits.insert((*it).clone(), said(&body));
            }
        }
    }
    // A hidden namespace renders to nothing, and an invalid one must not be requested.
    for it in slots.iter().filter(|it| !is_name(&it.0)) {
        let why = || format!("`{}` is not a valid name in a schema", it.0);
        pages.culprits.entry(it.clone()).or_insert_with(why);
    }
    if pages.culprits.is_empty() {
        pages.together = whole;
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    chars.next().is_some_and(is_first) && chars.all(|c| is_first(c) || c.is_ascii_digit())
}

async fn admin(base: &Base, pages: &mut Pages) {
    let Ok((StatusCode::OK, body)) = base.get("/api/admin/services").await else {
        return;
    };
    let Ok(listed) = serde_json::from_slice::<Value>(&body) else {
        return;
    };
    for it in listed["services"].as_array().into_iter().flatten() {
        let text = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let rejected = &it["rejectedJoins"];
        if let Some(count) = rejected["count"].as_u64().filter(|it| *it > 0) {
            let why = rejected["lastReason"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let when = rejected["lastUnixMs"].as_u64().unwrap_or(0);
            pages
                .rejected
                .insert((text("namespace"), text("version")), (count, why, when));
        }
    }
}

/// Every OpenAPI document, by namespace and version.
async fn documents(base: &Base, pages: &mut Pages) {
    let Ok((StatusCode::OK, body)) = base.get("/api/schema/openapi").await else {
        return;
    };
    let Ok(Value::Object(namespaces)) = serde_json::from_slice::<Value>(&body) else {
        return;
    };
    for (namespace, versions) in namespaces {
        let Value::Object(versions) = versions else {
            continue;
        };
        for (version, document) in versions {
            let slot = (namespace.clone(), version);
            if document.get("paths").is_some() && !is_built_in(&slot) {
                pages.documents.insert(slot, document);
            }
        }
    }
}

/// Encodes a text for a query.
fn selected((namespace, version): &Slot) -> String {
    let mut text = String::new();
    for byte in format!("{namespace}:{version}").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b':' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn said(body: &Bytes) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    text.trim().to_owned()
}
