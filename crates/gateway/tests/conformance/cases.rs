//! The cases, and what of a gateway's state they show.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tonic::Code;

use crate::wire::{Answer, Wire, proto};

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) mode: String,
    pub(crate) method: String,
    pub(crate) request: Value,
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message_contains: Option<String>,
    #[serde(default)]
    pub(crate) response: Value,
    #[serde(default)]
    pub(crate) state_after: Value,
}

/// One list of the file; the ports of its GraphQL endpoints become the test server's.
pub(crate) fn list(name: &str, endpoint: std::net::SocketAddr) -> Vec<Case> {
    // One port in the recording of each profile.
    let text = include_str!("../data/cases.json")
        .replace("127.0.0.1:21064", &endpoint.to_string())
        .replace("127.0.0.1:21115", &endpoint.to_string());
    let mut lists: BTreeMap<String, Vec<Case>> = serde_json::from_str(&text).unwrap();
    lists.remove(name).unwrap()
}

impl Case {
    /// What the answer has wrong; empty when it is as recorded.
    pub(crate) fn faults(&self, answer: &Answer) -> Vec<String> {
        let mut faults = Vec::new();
        let code = match answer.code {
            Code::Ok => "OK",
            Code::Unknown => "UNKNOWN",
            Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
            _ => "another code",
        };
        if code != self.code {
            faults.push(format!(
                "code {code}, not {}: {}",
                self.code, answer.message
            ));
        }
        if let Some(fragment) = &self.message_contains
            && !answer.message.contains(fragment)
        {
            faults.push(format!("{:?} lacks {fragment:?}", answer.message));
        }
        for (key, expected) in self.response.as_object().into_iter().flatten() {
            let found = answer.fields.get(key).unwrap_or(&Value::Null);
            // Of a moment, a key and a node of the recording.
            let recorded = matches!(key.as_str(), "hmac" | "timestamp_unix" | "peers");
            if found.is_null() || (!recorded && found != expected) {
                faults.push(format!("{key} is {found}, not {expected}"));
            }
        }
        faults
    }
}

/// What the lists of a gateway show, without its built-in services.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) services: Vec<proto::ServiceInfo>,
    pub(crate) stable: BTreeMap<String, u32>,
    pub(crate) registrations: Vec<proto::Registration>,
}

const BUILT_IN: [&str; 3] = ["admin", "admin_events", "ps"];

pub(crate) async fn state(wire: &mut Wire) -> State {
    let listed = wire
        .0
        .list_services(proto::ListServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    let registered = wire
        .0
        .list_registrations(proto::ListRegistrationsRequest {})
        .await
        .unwrap()
        .into_inner();
    let foreign = |name: &str| !BUILT_IN.contains(&name);
    State {
        services: listed
            .services
            .into_iter()
            .filter(|service| foreign(&service.namespace))
            .collect(),
        stable: listed
            .stable_vn
            .into_iter()
            .filter(|(name, _)| foreign(name))
            .collect(),
        registrations: registered.registrations,
    }
}

impl State {
    /// What differs from a recorded state, in any of the shapes that the file has.
    pub(crate) fn faults(&self, recorded: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        match recorded {
            Value::Array(services) => self.compare_services(services, &mut faults),
            Value::Object(parts) if parts.values().all(Value::is_u64) && !parts.is_empty() => {
                self.compare_stable(recorded, &mut faults);
            }
            Value::Object(parts) => {
                if let Some(services) = parts.get("services").and_then(Value::as_array) {
                    self.compare_services(services, &mut faults);
                }
                if let Some(stable) = parts.get("stable") {
                    self.compare_stable(stable, &mut faults);
                }
                if let Some(registrations) = parts.get("registrations").and_then(Value::as_array) {
                    self.compare_registrations(registrations, &mut faults);
                }
            }
            _ => {}
        }
        faults
    }

    fn compare_services(&self, recorded: &[Value], faults: &mut Vec<String>) {
        let found: Vec<Value> = self
            .services
            .iter()
            .map(|it| {
                let mut shown = vec![
                    Value::from(it.namespace.clone()),
                    it.version.clone().into(),
                    it.hash_hex[..12].into(),
                    it.replica_count.into(),
                ];
                if !it.manual_deprecation_reason.is_empty() {
                    shown.push(it.manual_deprecation_reason.clone().into());
                }
                shown.into()
            })
            .collect();
        // The hash of the recording's GraphQL server is not that of ours.
        let same = |found: &Value, recorded: &Value| {
            found == recorded || (found[0] == "gq" && recorded[2] == "4cb80f02b93e")
        };
        let equal =
            found.len() == recorded.len() && found.iter().zip(recorded).all(|(a, b)| same(a, b));
        if !equal {
            faults.push(format!("services {found:?}, not {recorded:?}"));
        }
    }

    fn compare_stable(&self, recorded: &Value, faults: &mut Vec<String>) {
        let recorded: BTreeMap<String, u32> = serde_json::from_value(recorded.clone()).unwrap();
        if self.stable != recorded {
            faults.push(format!("stable {:?}, not {recorded:?}", self.stable));
        }
    }

    /// Two shapes: `[name…, addr, instance, ttl]` and `[addr, ttl, [name…]]`; the order of a list
    /// says nothing.
    fn compare_registrations(&self, recorded: &[Value], faults: &mut Vec<String>) {
        let nested = recorded.iter().any(|it| it[2].is_array());
        let mut found: Vec<String> = self
            .registrations
            .iter()
            .map(|it| {
                let shown: Value = if nested {
                    vec![
                        Value::from(it.addr.clone()),
                        it.ttl_seconds.into(),
                        it.namespaces.clone().into(),
                    ]
                    .into()
                } else {
                    let instance: String = it.instance_id.chars().take(40).collect();
                    let names = it.namespaces.iter().cloned().map(Value::from);
                    names
                        .chain([it.addr.clone().into(), instance.into()])
                        .chain([it.ttl_seconds.into()])
                        .collect()
                };
                shown.to_string()
            })
            .collect();
        let mut recorded: Vec<String> = recorded.iter().map(Value::to_string).collect();
        found.sort();
        recorded.sort();
        if found != recorded {
            faults.push(format!("registrations {found:?}, not {recorded:?}"));
        }
    }
}
