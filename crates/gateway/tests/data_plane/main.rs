//! What becomes of calls: recorded calls of real gateways, played against a gateway.
//!
//! The services behind the gateway are played too: each answers as the case says and notes what it
//! was sent. Against an embedded gateway, or against the one that `GWAG_GATEWAY` (control plane,
//! `host:port`) and `GWAG_GATEWAY_HTTP` (base URL) name; there the calls that would end it are left
//! out. `GWAG_GATEWAY_RELEASE=1.1` leaves out what blocks that release, or is otherwise there. `GWAG_CASES` names another
//! file of cases, and `GWAG_RECORD` a file for what was seen.

mod callers;
mod compare;
mod gateway;
mod messages;
mod services;
#[path = "../conformance/shown.rs"]
mod shown;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use self::gateway::Gateway;
use self::services::Services;
use self::shown::show;

const CASES: &str = include_str!("../data/data-plane-cases.json");
const MORE: &str = include_str!("../data/data-plane-more.json");

/// Cases in which the embedded gateway is known to differ, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("more-oas-host-header", "it refuses pages of other sites"),
    (
        "more-graphql-http-origin",
        "it refuses pages of other sites",
    ),
];

/// Cases in which a real gateway draws lots: the name of an enum's number that has two, the order of
/// an enum's values, and of fields in a message.
const DRAWN: [&str; 4] = [
    "new-graphql-intro-03",
    "new-http-wrap-body-13",
    "new-ws-lots",
    "new-ws-tree-0",
];

/// How many cases are played at a time.
const LANES: usize = 2;

/// How many cases of one kind of service and one ingress agreed.
#[derive(Default)]
struct Count {
    agreed: usize,
    all: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_fare_as_through_a_real_gateway() {
    let file = std::env::var("GWAG_CASES").ok();
    let text = file.map(|file| std::fs::read_to_string(file).expect("a file of cases"));
    let recorded: Value = serde_json::from_str(CASES).expect("JSON");
    let mut cases: Vec<Value> = match &text {
        Some(text) => cases_of(text),
        None => [cases_of(CASES), cases_of(MORE)].concat(),
    };
    if let Ok(only) = std::env::var("GWAG_ONLY") {
        cases.retain(|case| case["id"].as_str().is_some_and(|id| id.contains(&only)));
    }
    let gateway = Gateway::find().await;
    if let Ok(release) = std::env::var("GWAG_GATEWAY_RELEASE") {
        let is_of_it = |it: &Value| it.as_str().is_some_and(|it| it.starts_with(&release));
        let releases = |case: &Value| case["releases"].as_array().cloned().unwrap_or_default();
        cases.retain(|case| releases(case).iter().any(is_of_it));
    }
    let mut schemas = recorded["schemas"].clone();
    let own: Value = serde_json::from_str(text.as_deref().unwrap_or(MORE)).expect("JSON");
    let own = own["schemas"].as_object().cloned().unwrap_or_default();
    match text
        .as_deref()
        .is_some_and(|text| text.contains("\"alone\""))
    {
        true => schemas = own.into(),
        false => schemas.as_object_mut().expect("an object").extend(own),
    }
    // Side by side, each lane with services and a gateway of its own; a real gateway is one.
    let lanes = if gateway.is_real() { 1 } else { LANES };
    let mut played = tokio::task::JoinSet::new();
    let is_real = gateway.is_real();
    let mut gateways = vec![gateway];
    while gateways.len() < lanes {
        gateways.push(Gateway::find().await);
    }
    let cases = Arc::new(cases);
    for (lane, gateway) in gateways.into_iter().enumerate() {
        let (cases, schemas) = (Arc::clone(&cases), schemas.clone());
        played.spawn(async move {
            let of_lane = cases.iter().enumerate().skip(lane).step_by(lanes);
            play(&gateway, &schemas, of_lane).await
        });
    }
    let mut outcomes = Vec::new();
    while let Some(of_lane) = played.join_next().await {
        outcomes.extend(of_lane.expect("no panic"));
    }
    outcomes.sort_by_key(|outcome| outcome.at);

    let mut counts: BTreeMap<(String, String), Count> = BTreeMap::new();
    let mut differing = Vec::new();
    let mut seen = Vec::new();
    for outcome in outcomes {
        let case = &cases[outcome.at];
        let word = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let count = counts.entry((word("kind"), word("ingress"))).or_default();
        count.all += 1;
        match outcome.difference {
            None => count.agreed += 1,
            Some(difference) => differing.push((word("id"), difference)),
        }
        seen.push(outcome.seen);
    }
    if let Ok(file) = std::env::var("GWAG_RECORD") {
        let text =
            serde_json::to_string(&json!({ "schemas": schemas, "cases": seen })).expect("JSON");
        std::fs::write(file, text).expect("written");
    }
    let mut sum = Count::default();
    for ((kind, ingress), count) in &counts {
        show(format_args!(
            "{kind:8} {ingress:11} {:4} of {:4}",
            count.agreed, count.all
        ));
        sum.agreed += count.agreed;
        sum.all += count.all;
    }
    show(format_args!(
        "{:20} {:4} of {:4}",
        "all", sum.agreed, sum.all
    ));
    let exception = |id: &str| -> Option<&'static str> {
        if is_real {
            return DRAWN.contains(&id).then_some("the gateway draws lots");
        }
        let known = EXCEPTIONS.iter().find(|(known, _)| *known == id);
        known.map(|(_, reason)| *reason)
    };
    for (id, difference) in &differing {
        match exception(id) {
            Some(reason) => show(format_args!("{id}: differs, since {reason}")),
            None => show(format_args!("{id}: {difference}\n")),
        }
    }
    let unexpected: Vec<&str> = differing.iter().map(|(id, _)| id.as_str()).collect();
    let unexpected: Vec<&str> = unexpected
        .into_iter()
        .filter(|id| exception(id).is_none())
        .collect();
    assert!(
        unexpected.is_empty(),
        "{} differ: {unexpected:?}",
        unexpected.len()
    );
    if !is_real && text.is_none() {
        for (id, _) in EXCEPTIONS {
            assert!(
                differing.iter().any(|(it, _)| it == id),
                "{id} is no exception any more"
            );
        }
    }
}

/// What became of a case.
struct Outcome {
    /// Its place among the cases.
    at: usize,
    /// As a file of cases has it.
    seen: Value,
    difference: Option<String>,
}

/// Plays one case after the other.
async fn play(
    gateway: &Gateway,
    schemas: &Value,
    cases: impl Iterator<Item = (usize, &Value)>,
) -> Vec<Outcome> {
    let services = Services::start(schemas).await;
    gateway.register(&services).await;
    let mut outcomes = Vec::new();
    for (at, case) in cases {
        if std::env::var_os("GWAG_TRACE").is_some() {
            show(&case["id"]);
        }
        let id = case["id"].as_str().expect("an id");
        let is_fatal = case["gateway_after"] == "exited";
        if is_fatal && gateway.is_real() {
            continue;
        }
        services.begin(case);
        let got = callers::call(gateway, &services, case).await;
        let saw = services.end().await;
        let fatal = gateway.take_fatal_calls();
        let seen = json!({ "id": id, "kind": case["kind"], "schema": case["schema"], "ingress": case["ingress"],
            "call": case["call"], "answer": case["answer"], "got": compare::normal(&services, &got),
            "upstream_saw": compare::normal(&services, &saw), "core": false, "releases": ["1.4.0"],
            "gateway_after": if fatal == 0 { "runs" } else { "exited" } });
        let mut difference = compare::differ(&services, case, &got, &saw);
        if !gateway.is_real() && is_fatal != (fatal > 0) {
            difference = Some(format!("{fatal} calls were recorded as fatal"));
        }
        outcomes.push(Outcome {
            at,
            seen,
            difference,
        });
    }
    gateway.leave().await;
    outcomes
}

fn cases_of(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).expect("JSON");
    file["cases"].as_array().expect("cases").clone()
}
