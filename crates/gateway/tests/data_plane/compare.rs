//! What counts as the same.

use serde_json::{Value, json};

use crate::services::Services;

/// How the outcome differs from what was recorded.
pub(crate) fn differ(
    services: &Services,
    case: &Value,
    got: &Value,
    saw: &Value,
) -> Option<String> {
    let mut expected = normal(services, &case["got"]);
    let mut got = normal(services, got);
    // Texts and times of the caller's own library.
    for side in [&mut expected, &mut got] {
        let code = side["code"].as_str().unwrap_or_default();
        let is_local = match code {
            "CANCELLED" => !case["call"]["cancel_after_s"].is_null(),
            "DEADLINE_EXCEEDED" => !case["call"]["timeout_s"].is_null(),
            "UNAVAILABLE" => case["gateway_after"] == "exited",
            _ => false,
        };
        if is_local {
            side["message"] = json!("*");
        }
        if let Some(side) = side.as_object_mut() {
            side.remove("after_s");
        }
    }
    let expected_saw = in_order(case, normal(services, &case["upstream_saw"]));
    let saw = in_order(case, normal(services, saw));
    if expected != got {
        return Some(format!("got\n  {got}\nnot\n  {expected}"));
    }
    if expected_saw != saw {
        return Some(format!("the service saw\n  {saw}\nnot\n  {expected_saw}"));
    }
    None
}

/// Root fields of a query are asked for at once: any order is right.
fn in_order(case: &Value, saw: Value) -> Value {
    match saw {
        Value::Array(mut all) if case["ingress"] == "graphql" => {
            all.sort_by_key(Value::to_string);
            Value::Array(all)
        }
        other => other,
    }
}

/// Without ports, without suggestions of names, and numbers by value.
pub(crate) fn normal(services: &Services, value: &Value) -> Value {
    match value {
        Value::String(text) => plain(&services.anonymous(text)).into(),
        Value::Array(all) => all.iter().map(|it| normal(services, it)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, it)| (key.clone(), normal(services, it)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn plain(text: &str) -> String {
    // The gateway's protobuf library writes some of its blanks as no-break spaces, by chance.
    let text = text.replace('\u{a0}', " ");
    match text.split_once(" Did you mean ") {
        Some((before, rest)) => match rest.split_once('?') {
            Some((_, after)) => format!("{before} Did you mean …?{after}"),
            None => text,
        },
        None => text,
    }
}
