//! The embedded gateway against what real gateways answered: data/cases.json.

mod cases;
mod check;
mod endpoint;
mod shown;
mod validity;
mod wire;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tower_gwag_gateway::{EmbeddedGateway, EmbeddedGatewayBuilder, Profile, Rpc, Tier};

use crate::cases::{Case, list, state};
use crate::shown::show;
use crate::wire::Wire;

/// No answer of a gateway in this process takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// What every case that is not as recorded has wrong.
#[derive(Default)]
struct Verdict {
    replayed: usize,
    faults: Vec<String>,
}

impl Verdict {
    fn note(&mut self, case: &Case, faults: &[String]) {
        self.replayed += 1;
        if !faults.is_empty() {
            self.faults
                .push(format!("{}: {}", case.id, faults.join("; ")));
        }
    }

    fn end(self, list: &str) {
        show(format_args!("{list}: {} cases replayed", self.replayed));
        assert!(self.faults.is_empty(), "{:#?}", self.faults);
    }
}

async fn start(builder: EmbeddedGatewayBuilder) -> (EmbeddedGateway, Wire) {
    let gateway = builder.start().await.unwrap();
    let wire = Wire::connect(&gateway.target()).await;
    (gateway, wire)
}

fn id_of(answer: &wire::Answer) -> String {
    answer.fields["registration_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A clustered gateway mounts a moment after it answered.
async fn settle(gateway: &EmbeddedGateway) {
    let settled = gateway.wait_until(|now| now.pending_mounts == 0);
    tokio::time::timeout(DEADLINE, settled).await.unwrap();
}

#[tokio::test]
async fn validation_standalone() {
    validation("validation", EmbeddedGateway::builder()).await;
}

#[tokio::test]
async fn validation_clustered() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    validation("validation_clustered", builder).await;
}

async fn validation(name: &str, builder: EmbeddedGatewayBuilder) {
    let mut verdict = Verdict::default();
    for case in list(name, endpoint::serve().await) {
        let (gateway, mut wire) = start(builder.clone()).await;
        let timeout = match case.id.as_str() {
            "graphql-slow-client-deadline" => Duration::from_millis(300),
            _ => DEADLINE,
        };
        let answer = wire.call(&case.method, &case.request, None, timeout).await;
        settle(&gateway).await;
        let mut faults = case.faults(&answer);
        faults.extend(state(&mut wire).await.faults(&case.state_after));
        verdict.note(&case, &faults);
        gateway.shutdown().await;
    }
    verdict.end(name);
}

/// Cases whose recorded state real gateways contradict: a heartbeat of a displaced `unstable` replica
/// takes the slot back at once, on 1.1.0 and on 1.4.0, 8 of 8 times, however soon it comes.
fn is_contradicted(name: &str, case: &Case) -> bool {
    name == "replicas_clustered"
        && matches!(
            case.id.as_str(),
            "uns-4-heartbeats-of-swapped-out" | "uns-5-old-deregisters"
        )
}

/// The ids of the recording's registrations stand for these cases.
fn recorded_ids(case: &Case) -> &'static [&'static str] {
    match case.id.as_str() {
        // "Owners": three of the four replicas of v1.
        "rep-12-after-dereg-v1-owners" => {
            &["rep-1-first", "rep-2-second-addr", "rep-3-same-addr-again"]
        }
        "uns-4-heartbeats-of-swapped-out" | "uns-5-old-deregisters" => &["uns-1"],
        _ => &[],
    }
}

#[tokio::test]
async fn replicas_standalone() {
    replicas("replicas", EmbeddedGateway::builder()).await;
}

#[tokio::test]
async fn replicas_clustered() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    replicas("replicas_clustered", builder).await;
}

async fn replicas(name: &str, builder: EmbeddedGatewayBuilder) {
    let (gateway, mut wire) = start(builder).await;
    let mut verdict = Verdict::default();
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut prefix = String::new();
    for case in list(name, endpoint::serve().await) {
        let begins = case.id.split('-').next().unwrap().to_owned();
        if begins != prefix || case.id.starts_with("multi-2") {
            prefix = begins;
            gateway.evict_all();
            settle(&gateway).await;
        }
        let mut faults = Vec::new();
        match recorded_ids(&case) {
            [] => {
                let answer = wire.call(&case.method, &case.request, None, DEADLINE).await;
                faults.extend(case.faults(&answer));
                if answer.fields.contains_key("registration_id") {
                    ids.insert(case.id.clone(), id_of(&answer));
                }
            }
            owners => {
                for owner in owners {
                    let request = json!({ "registration_id": ids[*owner] });
                    let answer = wire.call(&case.method, &request, None, DEADLINE).await;
                    faults.extend(case.faults(&answer));
                }
            }
        }
        settle(&gateway).await;
        let differences = state(&mut wire).await.faults(&case.state_after);
        if is_contradicted(name, &case) {
            assert!(!differences.is_empty(), "{}: as recorded again", case.id);
        } else {
            faults.extend(differences);
        }
        verdict.note(&case, &faults);
    }
    verdict.end(name);
}

const ADDR: &str = "127.0.0.1:21990";

/// A Register of the demo proto under another name.
fn demo(namespace: &str, version: &str, source: &Value) -> Value {
    json!({ "addr": ADDR, "services": [{
        "namespace": namespace, "version": version, "proto_source": source,
    }] })
}

#[tokio::test]
async fn heartbeat_standalone() {
    let sweep = Duration::from_millis(50);
    let (gateway, mut wire) = start(EmbeddedGateway::builder().sweep_interval(sweep)).await;
    let all = list("heartbeat", endpoint::serve().await);
    let source = demo_source();
    let request = demo("hb", "v1", &source);
    let answer = wire.call("Register", &request, None, DEADLINE).await;
    let id = id_of(&answer);
    let mut verdict = Verdict::default();
    for case in all {
        let mut request = case.request.clone();
        if let Some(recorded) = request["registration_id"].as_str() {
            // Ids of the recording become ours; made-up ones stay.
            let ours = match recorded {
                "f5e68f35da1e8f969ab3b6bc" => id.clone(),
                "F5E68F35DA1E8F969AB3B6BC" => id.to_uppercase(),
                other => other.to_owned(),
            };
            request["registration_id"] = ours.into();
        }
        let mut faults = Vec::new();
        if case.id.starts_with("ttl-evict-") {
            faults.extend(evicted_when_silent(&gateway, &mut wire, &source).await);
        } else if case.id == "ttl1-heartbeat-every-0.33s" {
            faults.extend(beats_keep_alive(&gateway, &mut wire, &source).await);
        } else if case.id == "hb-after-ttl-before-janitor" {
            faults.extend(late_beat_revives(&source).await);
        } else {
            let answer = wire.call(&case.method, &request, None, DEADLINE).await;
            faults.extend(case.faults(&answer));
            let expects_ok = case.response["ok"] == true;
            if case.method == "Heartbeat" && answer.fields.contains_key("ok") != expects_ok {
                faults.push(format!("ok is {:?}", answer.fields.get("ok")));
            }
            faults.extend(state(&mut wire).await.faults(&case.state_after));
        }
        verdict.note(&case, &faults);
    }
    verdict.end("heartbeat");
}

fn demo_source() -> Value {
    let data: Value = serde_json::from_str(include_str!("../data/cases.json")).unwrap();
    data["replicas"][0]["request"]["services"][0]["proto_source"].clone()
}

/// With the shortest lease, so that a replay takes seconds; the sweep is set, not 5 s.
async fn evicted_when_silent(
    gateway: &EmbeddedGateway,
    wire: &mut Wire,
    source: &Value,
) -> Vec<String> {
    let mut request = demo("evict", "v1", source);
    request["ttl_seconds"] = 1.into();
    let begun = tokio::time::Instant::now();
    let id = id_of(&wire.call("Register", &request, None, DEADLINE).await);
    let gone = gateway.wait_until(|now| now.registrations.iter().all(|it| it.id != id));
    if tokio::time::timeout(DEADLINE, gone).await.is_err() {
        return vec!["never evicted".to_owned()];
    }
    let silent = begun.elapsed();
    if silent < Duration::from_secs(1) || silent > Duration::from_secs(3) {
        return vec![format!("evicted after {silent:?}")];
    }
    Vec::new()
}

async fn beats_keep_alive(
    gateway: &EmbeddedGateway,
    wire: &mut Wire,
    source: &Value,
) -> Vec<String> {
    let mut request = demo("keep", "v1", source);
    request["ttl_seconds"] = 1.into();
    let id = id_of(&wire.call("Register", &request, None, DEADLINE).await);
    let beat = json!({ "registration_id": id });
    let mut ticks = tokio::time::interval(Duration::from_millis(330));
    for _ in 0..7 {
        ticks.tick().await;
        let answer = wire.call("Heartbeat", &beat, None, DEADLINE).await;
        if !answer.fields.contains_key("ok") {
            return vec!["a beat in time was refused".to_owned()];
        }
    }
    match gateway.evict(&id) {
        true => Vec::new(),
        false => vec!["it was evicted in spite of its beats".to_owned()],
    }
}

/// The sweep is an hour away: the lease is over, and a beat takes it up again.
async fn late_beat_revives(source: &Value) -> Vec<String> {
    let sweep = Duration::from_secs(3600);
    let (gateway, mut wire) = start(EmbeddedGateway::builder().sweep_interval(sweep)).await;
    let mut request = demo("late", "v1", source);
    request["ttl_seconds"] = 1.into();
    let id = id_of(&wire.call("Register", &request, None, DEADLINE).await);
    // A delayed beat is the clock here: it is worked on after the lease has run out.
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(1100));
    let beat = json!({ "registration_id": id });
    let answer = wire.call("Heartbeat", &beat, None, DEADLINE).await;
    match answer.fields.contains_key("ok") {
        true => Vec::new(),
        false => vec!["a late beat was refused".to_owned()],
    }
}

const ADMIN: &str = "00ff00ff";

/// What the name of a case says of its credentials.
fn authorization(id: &str) -> Option<&'static str> {
    match id {
        _ if id.ends_with("-auth-admin") || id.ends_with("-auth-signer") => Some("Bearer 00ff00ff"),
        _ if id.ends_with("-auth-bad") => Some("Bearer 11ee"),
        _ if id.ends_with("-auth-nothex") => Some("Bearer not-hex"),
        _ if id.ends_with("-auth-basic") => Some("Basic 00ff00ff"),
        _ if id.ends_with("-lowercase-bearer") => Some("bearer 00ff00ff"),
        "sign-configured" | "sign-unknown-kid" => Some("Bearer 00ff00ff"),
        _ => None,
    }
}

#[tokio::test]
async fn operator_standalone() {
    operator("standalone", EmbeddedGateway::builder()).await;
}

#[tokio::test]
async fn operator_clustered() {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    operator("clustered", builder).await;
}

/// The gateways of the recording, by what a case needs.
struct Gateways {
    plain: (EmbeddedGateway, Wire),
    signing: (EmbeddedGateway, Wire),
    numbered_only: (EmbeddedGateway, Wire),
    both_tiers: (EmbeddedGateway, Wire),
}

impl Gateways {
    async fn start(builder: EmbeddedGatewayBuilder) -> Self {
        let builder = builder.admin_token(ADMIN);
        let tiers = |tiers: &[Tier]| builder.clone().allow_tiers(tiers.iter().copied());
        Self {
            plain: start(builder.clone()).await,
            signing: start(builder.clone().subscribe_secret("secret")).await,
            numbered_only: start(tiers(&[Tier::Numbered])).await,
            both_tiers: start(tiers(&[Tier::Unstable, Tier::Numbered])).await,
        }
    }

    fn of(&mut self, id: &str) -> (&EmbeddedGateway, &mut Wire) {
        let (gateway, wire) = match id {
            "sign-configured" | "sign-unknown-kid" => &mut self.signing,
            _ if id.starts_with("tier-vN-") => &mut self.numbered_only,
            _ if id.starts_with("tier-unstable,vN-") => &mut self.both_tiers,
            _ => &mut self.plain,
        };
        (gateway, wire)
    }
}

async fn operator(mode: &str, builder: EmbeddedGatewayBuilder) {
    let mut gateways = Gateways::start(builder).await;
    let source = demo_source();
    for version in ["v1", "v2", "v3", "unstable"] {
        register(&mut gateways, "s", version, &source).await;
    }
    let mut verdict = Verdict::default();
    let cases = list("operator", endpoint::serve().await);
    for case in cases.into_iter().filter(|case| case.mode == mode) {
        match case.id.as_str() {
            "deprecate-unknown-then-register" => {
                register(&mut gateways, "later", "v1", &source).await;
            }
            "retract-unregistered-target" => register(&mut gateways, "q", "v5", &source).await,
            "retract-then-reregister-v3-replica" => {
                register(&mut gateways, "s", "v3", &source).await;
            }
            "retract-then-register-v4" => register(&mut gateways, "s", "v4", &source).await,
            _ => {}
        }
        let (gateway, wire) = gateways.of(&case.id);
        let mut request = case.request.clone();
        if case.id == "forget-self" {
            let peers = wire.call("ListPeers", &json!({}), None, DEADLINE).await;
            request["node_id"] = peers.fields["peers"][0]["node_id"].clone();
        }
        let credentials = authorization(&case.id);
        let answer = wire
            .call(&case.method, &request, credentials, DEADLINE)
            .await;
        settle(gateway).await;
        let mut faults = case.faults(&answer);
        faults.extend(state(wire).await.faults(&case.state_after));
        verdict.note(&case, &faults);
    }
    verdict.end(&format!("operator, {mode}"));
}

async fn register(gateways: &mut Gateways, namespace: &str, version: &str, source: &Value) {
    let (gateway, wire) = &mut gateways.plain;
    let request = demo(namespace, version, source);
    id_of(&wire.call("Register", &request, None, DEADLINE).await);
    settle(gateway).await;
}
