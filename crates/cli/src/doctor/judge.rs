//! Draws conclusions from a gateway's answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use tower_gwag::control::live_nodes;

use super::addresses::Spoken;
use super::gather::{Evidence, Node, Slot, is_built_in, slot};
use super::streams::{self, Verdict};
use super::{Finding, Unjudged, paths};
use crate::output::count;
use crate::run::host_port;

/// The namespace of this crate's holds: they route nothing.
const HOLD: &str = "_tower_gwag_hold";
/// A lurker sends heartbeats more often than this.
const REJECTED_RECENTLY_MS: u64 = 45_000;

pub(crate) fn judge(evidence: &Evidence) -> (Vec<Finding>, Vec<Unjudged>) {
    let mut found = Vec::new();
    let mut unjudged = Vec::new();
    for (target, why) in &evidence.away {
        let help = "check the address and the port, which must be the control plane's, usually \
                    50090; start the node, or leave it out";
        found.push(Finding::fault("gateway-away", target, why, help));
    }
    if evidence.nodes.is_empty() {
        return (found, unjudged);
    }
    let given = evidence.nodes.len();
    let now = UNIX_EPOCH + Duration::from_millis(evidence.now_ms);
    let alive = evidence
        .nodes
        .iter()
        .map(|it| live_nodes(&it.peers, now))
        .max()
        .unwrap_or(1);
    let is_whole = given >= alive && evidence.away.is_empty();
    strangers(evidence, &mut found);
    unlisted_peers(evidence, &mut found);
    served(evidence, &mut found, &mut unjudged);
    let counts = counts(evidence);
    if is_whole {
        ghosts(evidence, &counts, &mut found);
    } else {
        let why = format!(
            "{given} of {} given: give --gateway for each",
            count(alive, "live node")
        );
        unjudged.push(Unjudged {
            what: "ghosts",
            why,
        });
    }
    slots(evidence, &counts, is_whole, &mut found);
    unlisted(evidence, &mut found);
    addresses(evidence, &mut found);
    if let Some(pages) = evidence.pages() {
        for (path, owners) in paths::shared(pages) {
            let owners: Vec<String> = owners.iter().map(name).collect();
            let message = format!(
                "{} have it: one of them gets all calls, and which one may change whenever a \
                 service comes or goes",
                owners.join(" and ")
            );
            let help = "give each version its own proto package or path (/v1/…, /v2/…)";
            found.push(Finding::fault("shared-path", path, message, help));
        }
        fatal(evidence, &mut found, &mut unjudged);
    }
    (found, unjudged)
}

fn name((namespace, version): &Slot) -> String {
    format!("{namespace}/{version}")
}

/// Nodes that are given together but form no cluster.
fn strangers(evidence: &Evidence, found: &mut Vec<Finding>) {
    let Some((first, others)) = evidence.nodes.split_first() else {
        return;
    };
    let ids = |node: &Node| {
        node.peers
            .iter()
            .map(|it| it.node_id.clone())
            .collect::<BTreeSet<_>>()
    };
    for node in others {
        if ids(first).is_disjoint(&ids(node)) {
            let message = format!(
                "it is not a peer of {}, so that the lists of one say nothing about the other",
                first.target
            );
            let help = "give the nodes of one cluster only; check another gateway separately";
            found.push(Finding::fault("not-a-peer", &node.target, message, help));
        }
    }
}

/// A node that answers although its cluster does not list it as a peer: its registrations are known
/// all the same.
fn unlisted_peers(evidence: &Evidence, found: &mut Vec<Finding>) {
    let known: BTreeSet<&String> = evidence
        .nodes
        .iter()
        .flat_map(|it| &it.peers)
        .map(|it| &it.node_id)
        .collect();
    let given = evidence.nodes.len();
    if !known.is_empty() && given > known.len() {
        let message = format!(
            "{} answer, and the cluster lists {}: one of them is not known as a peer",
            count(given, "node"),
            count(known.len(), "peer")
        );
        let help = "the log of that node says why (cluster tracking pending); restart it";
        found.push(Finding::warning("unlisted-peer", "peers", message, help));
    }
}

/// Whether listed services are served, and which service blocks them.
fn served(evidence: &Evidence, found: &mut Vec<Finding>, unjudged: &mut Vec<Unjudged>) {
    let what =
        "whether services are served, who blocks, shared paths, methods that end the gateway";
    let pages = match &evidence.pages {
        None => {
            let why = "give --http, the base URL of the gateway's HTTP port".to_owned();
            unjudged.push(Unjudged { what, why });
            return;
        }
        Some(Err(why)) => {
            let help = "check --http: it is the base URL of the HTTP port, usually 8080, not of \
                        the control plane";
            found.push(Finding::fault("http-port", "--http", why.clone(), help));
            unjudged.push(Unjudged {
                what,
                why: "--http does not lead to a gateway".to_owned(),
            });
            return;
        }
        Some(Ok(pages)) => pages,
    };
    if pages.whole.is_none() {
        let why = "a standalone gateway shows no schema; it refuses at Register what it cannot \
                   serve"
            .to_owned();
        unjudged.push(Unjudged { what, why });
        return;
    }
    let owners = |slot: &Slot| {
        let all = evidence
            .registrations()
            .filter(|it| it.namespaces.contains(&name(slot)));
        let mut all: Vec<String> = all
            .map(|it| format!("{} ({})", it.addr, it.instance_id))
            .collect();
        all.truncate(3);
        all.join(", ")
    };
    for (slot, why) in &pages.culprits {
        let message = format!(
            "it cannot be rendered and blocks the gateway: changes of every other service are not served, and the gateway cannot restart. The gateway says: {why}. Registered by: {}",
            owners(slot)
        );
        let help = format!(
            "stop these replicas, or deregister them; then register the service with another \
             schema: `tower-gwag check` finds such faults ({})",
            remedy(why)
        );
        found.push(Finding::fault("blocks", name(slot), message, help));
    }
    if let Some(why) = &pages.together {
        let message = format!(
            "the services cannot be rendered together, although each can alone; this blocks the \
             gateway. The gateway says: {why}"
        );
        let help = "rename a type, a package or a component of one of them: `tower-gwag check` of all their schemas names both";
        found.push(Finding::fault("blocks", "several services", message, help));
    }
    let blocker: Vec<String> = pages.culprits.keys().map(name).collect();
    for slot in &pages.alone {
        let (message, help) = match blocker.as_slice() {
            [] if pages.together.is_some() => (
                "it is listed but not served, because the gateway is blocked".to_owned(),
                "it is served once the block ends; if its calls fail then, restart it, because its \
                 entry is dead".to_owned(),
            ),
            [] => (
                "it is listed but not served, although nothing blocks the gateway".to_owned(),
                "restart it, so that it registers again; if that does not help, restart the gateway".to_owned(),
            ),
            some => (
                format!("it is listed but not served, because {} blocks the gateway", some.join(" and ")),
                "end the block; if its calls fail then, restart it, because its entry is dead \
                 (services that use tower-gwag register again by themselves)".to_owned(),
            ),
        };
        found.push(Finding::fault("blocked", name(slot), message, help));
    }
}

fn remedy(why: &str) -> &'static str {
    if why.contains("\"JSON\"") {
        "a map<>, Struct or Value in an answer: use a repeated message of pairs"
    } else if why.contains("Names must match") || why.contains("is not a valid name") {
        "a name that GraphQL does not allow: use letters, digits and _"
    } else if why.contains("collides") || why.contains("unique named types") {
        "two things with one name"
    } else {
        "see tower-gwag explain RULE"
    }
}

/// Replicas and registrations of a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// The lowest and the highest number seen.
    replicas: (usize, usize),
    registrations: (usize, usize),
}

fn counts(evidence: &Evidence) -> BTreeMap<Slot, Count> {
    let mut counts: BTreeMap<Slot, [[usize; 2]; 2]> = BTreeMap::new();
    for at in [0, 1] {
        // Every node lists the replicas of all nodes.
        for it in evidence
            .nodes
            .iter()
            .take(1)
            .flat_map(|it| &it.services[at])
        {
            counts.entry(slot(it)).or_default()[at][0] = it.replica_count as usize;
        }
        for it in evidence.nodes.iter().flat_map(|it| &it.registrations[at]) {
            for name in &it.namespaces {
                if let Some((namespace, version)) = name.rsplit_once('/') {
                    let slot = (namespace.to_owned(), version.to_owned());
                    counts.entry(slot).or_default()[at][1] += 1;
                }
            }
        }
    }
    let both = |a: usize, b: usize| (a.min(b), a.max(b));
    let counts = counts.into_iter().map(|(slot, [a, b])| {
        let count = Count {
            replicas: both(a[0], b[0]),
            registrations: both(a[1], b[1]),
        };
        (slot, count)
    });
    counts.filter(|(slot, _)| !is_built_in(slot)).collect()
}

/// Counts only what stayed the same during all looks.
fn ghosts(evidence: &Evidence, counts: &BTreeMap<Slot, Count>, found: &mut Vec<Finding>) {
    for (slot, it) in counts.iter().filter(|(slot, _)| slot.0 != HOLD) {
        let ghosts = it.replicas.0.saturating_sub(it.registrations.1);
        if ghosts == 0 {
            continue;
        }
        let message = format!(
            "{}, but {} of {}: the gateway routes to {} that nobody can remove. Calls to them fail \
             once their processes end",
            count(it.replicas.0, "replica"),
            count(it.registrations.1, "registration"),
            count(evidence.nodes.len(), "node"),
            count(ghosts, "ghost")
        );
        let help = "only a restart of the gateway after more than 30 s of downtime removes them; \
                    until then keep the processes alive";
        found.push(Finding::fault("ghosts", name(slot), message, help));
    }
}

/// Two schemas that compete for one slot.
fn slots(
    evidence: &Evidence,
    counts: &BTreeMap<Slot, Count>,
    is_whole: bool,
    found: &mut Vec<Finding>,
) {
    for (slot, count) in counts.iter().filter(|(slot, _)| !is_built_in(slot)) {
        let hashes = evidence.nodes.iter().filter_map(|it| it.hashes.get(slot));
        let hashes: BTreeSet<&String> = hashes.flatten().collect();
        let extra = count.registrations.0.saturating_sub(count.replicas.1);
        let all: Vec<String> = evidence
            .registrations()
            .filter(|it| it.namespaces.contains(&name(slot)))
            .map(|it| {
                format!(
                    "{} at {} (id {})",
                    it.instance_id, it.addr, it.registration_id
                )
            })
            .take(4)
            .collect();
        let among = match all.as_slice() {
            [] => String::new(),
            some => format!(" Registered are: {}", some.join("; ")),
        };
        if slot.1 == "unstable" {
            let swaps = hashes.len() > 1;
            if swaps || (extra > 0 && count.replicas.1 > 0) {
                let seen = match swaps {
                    true => "its schema changed during the check".to_owned(),
                    false => format!(
                        "{extra} of {} are not routed",
                        count_of(count.registrations.0)
                    ),
                };
                let message = format!(
                    "{seen}: builds with different schemas send heartbeats, and each heartbeat \
                     takes the slot.{among}"
                );
                let help =
                    "stop one of the builds; or register them as vN, which keep their schemas";
                found.push(Finding::fault("flapping", name(slot), message, help));
            }
            continue;
        }
        let rejected = evidence.pages().and_then(|it| it.rejected.get(slot));
        let recent = rejected
            .filter(|(_, _, when)| evidence.now_ms.saturating_sub(*when) < REJECTED_RECENTLY_MS);
        let lurks = match recent {
            Some(_) => extra > 0 || !is_whole,
            // A slot whose replicas are being mounted is not a conflict.
            None => extra > 0 && count.replicas.1 > 0 && rejected.is_some(),
        };
        if lurks {
            let (times, why) = rejected.map_or((0, ""), |(times, why, _)| (*times, why.as_str()));
            let which = match extra {
                0 => "a registration on a node that was not given".to_owned(),
                extra => format!("{extra} of {}", count_of(count.registrations.0)),
            };
            let message = format!(
                "{which} has another schema: the gateway accepted it but never routes it, answers \
                 its heartbeats with ok, and lets it take the name when the owner leaves, or at \
                 the gateway's next restart. Rejected {}, the last time because: \
                 {why}.{among}",
                crate::output::count(usize::try_from(times).unwrap_or(usize::MAX), "time")
            );
            let help = "stop or deregister the replica with the other schema, or register it as the next version";
            found.push(Finding::fault("lurker", name(slot), message, help));
        }
    }
}

fn count_of(registrations: usize) -> String {
    count(registrations, "registration")
}

/// Accepted, and never mounted.
fn unlisted(evidence: &Evidence, found: &mut Vec<Finding>) {
    let listed: BTreeSet<String> = evidence
        .nodes
        .iter()
        .flat_map(|it| it.services.iter().flatten())
        .map(|it| name(&slot(it)))
        .collect();
    let before: BTreeSet<&String> = evidence
        .nodes
        .iter()
        .flat_map(|it| &it.registrations[0])
        .map(|it| &it.registration_id)
        .collect();
    for it in evidence
        .registrations()
        .filter(|it| before.contains(&it.registration_id))
    {
        for service in it.namespaces.iter().filter(|name| !listed.contains(*name)) {
            let message = format!(
                "it is registered by {} ({}), but the gateway does not list it: it cannot mount \
                 the schema, or is very busy",
                it.addr, it.instance_id
            );
            let help = "check its schema: `tower-gwag check` finds what gateways accept but never \
                        mount; the gateway's log says why";
            found.push(Finding::fault("unlisted", service, message, help));
        }
    }
}

/// What answers at the addresses of replicas.
fn addresses(evidence: &Evidence, found: &mut Vec<Finding>) {
    let mut services: BTreeMap<&str, (BTreeSet<&str>, &str)> = BTreeMap::new();
    for it in evidence.registrations() {
        let entry = services
            .entry(&it.addr)
            .or_insert_with(|| (BTreeSet::new(), it.instance_id.as_str()));
        let names = it.namespaces.iter().map(String::as_str);
        entry.0.extend(names.filter(|it| !it.starts_with(HOLD)));
    }
    let grpc = grpc_addresses(evidence);
    let is_remote = evidence.own.iter().any(|(host, _)| !is_loopback(host));
    for (address, (names, instance)) in services {
        let names: Vec<&str> = names.into_iter().collect();
        let who = match names.as_slice() {
            [] => instance.to_owned(),
            some => format!("{} ({instance})", some.join(", ")),
        };
        let is_grpc = grpc.contains(address);
        if is_grpc && (address.starts_with("http://") || address.starts_with("https://")) {
            let message =
                format!("{who} is a gRPC service, and its address has a scheme: every call fails");
            let help = "register it as host:port";
            found.push(Finding::fault("address-scheme", address, message, help));
            continue;
        }
        let Some(place) = host_port(address) else {
            // Another kind of target, such as a socket on the gateway's host.
            continue;
        };
        if evidence.own.contains(&place) {
            let message = format!("{who} is registered with the gateway's own address");
            let help = "register the service's own address";
            found.push(Finding::fault("own-address", address, message, help));
            continue;
        }
        if is_remote && is_loopback(&place.0) {
            let message =
                format!("{who} is registered with an address that only its own host can dial");
            let help = "register an address that the gateway can dial (`advertise`), unless both are on one host";
            found.push(Finding::warning("loopback-address", address, message, help));
        }
        if let Some(spoken) = evidence.spoken.get(address)
            && let Some((id, message, help)) = misspoken(evidence, address, is_grpc, spoken)
        {
            found.push(Finding::fault(id, address, format!("{who}{message}"), help));
        }
    }
}

/// The addresses with a gRPC service.
fn grpc_addresses(evidence: &Evidence) -> BTreeSet<&str> {
    let is_proto = |service: &String| {
        let Some((namespace, version)) = service.rsplit_once('/') else {
            return false;
        };
        let slot = (namespace.to_owned(), version.to_owned());
        let pages = evidence.pages();
        namespace == HOLD || pages.is_some_and(|it| it.protos.contains_key(&slot))
    };
    evidence
        .registrations()
        .filter(|it| it.namespaces.iter().any(is_proto))
        .map(|it| it.addr.as_str())
        .collect()
}

fn is_loopback(host: &str) -> bool {
    let ip = host.parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|it| it.is_loopback())
}

/// The fault of a port that speaks another protocol than its address says, or none: the rule, the
/// message after the service's name, and the help.
fn misspoken(
    evidence: &Evidence,
    address: &str,
    is_grpc: bool,
    spoken: &Spoken,
) -> Option<(&'static str, String, &'static str)> {
    let has_https = address.starts_with("https://");
    let (id, message, help) = match spoken {
        Spoken::Nobody(why) => {
            let message = format!(
                ": nothing answers there, as seen from this host: {why}. A dead replica attracts \
                 calls, because it fails fast"
            );
            let help = "if the process is dead, its entry expires up to 5 s after its TTL; if it \
                        lives, it advertises a wrong address, or a firewall blocks the way";
            return Some(("dead-address", message, help));
        }
        Spoken::Tls if is_grpc && !evidence.is_tls => (
            "tls",
            " speaks TLS, but the gateway dials gRPC services in plaintext",
            "serve without TLS, or start the gateway with TLS: then it dials all gRPC services \
             with its certificate",
        ),
        Spoken::Tls if !is_grpc && !has_https && evidence.pages().is_some() => (
            "tls",
            " speaks TLS, but is registered without https",
            "advertise an https:// address",
        ),
        Spoken::Http1 | Spoken::Http2 if is_grpc && evidence.is_tls => (
            "tls",
            " does not speak TLS, but a gateway with TLS dials all gRPC services with TLS",
            "serve with TLS, and with the gateway's CA",
        ),
        Spoken::Http1 | Spoken::Http2 if has_https => (
            "tls",
            " is registered with https, but speaks plain HTTP",
            "advertise http://, or host:port",
        ),
        Spoken::Http1 if is_grpc => (
            "wrong-port",
            " is a gRPC service, but its port speaks HTTP/1: the address has the wrong port",
            "register the port of the gRPC server",
        ),
        _ => return None,
    };
    Some((id, message.to_owned(), help))
}

/// Calls that any caller can make, and that end the gateway.
fn fatal(evidence: &Evidence, found: &mut Vec<Finding>, unjudged: &mut Vec<Unjudged>) {
    let Some(pages) = evidence.pages() else {
        return;
    };
    let mut unknown = Vec::new();
    for (slot, set) in &pages.protos {
        for (method, verdict) in streams::verdicts(set) {
            match verdict {
                Verdict::Fatal(by) => {
                    let message = format!(
                        "{}: a call ends the gateway's process, for everybody: it streams, and {by}",
                        name(slot)
                    );
                    let help = "replace the field in the method's messages (int64, or a repeated \
                                message of pairs), and register the next version; until then keep \
                                callers away";
                    found.push(Finding::fault("fatal-method", method, message, help));
                }
                Verdict::Unknown(of) => unknown.push(format!("{method} ({of} is imported)")),
            }
        }
    }
    if !unknown.is_empty() {
        let why = format!("not known: {}", unknown.join(", "));
        unjudged.push(Unjudged {
            what: "methods that end the gateway",
            why,
        });
    }
}
