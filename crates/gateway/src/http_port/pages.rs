//! The services as JSON and as a page for people.

use serde_json::{Value, json};

use crate::node::life::Life;
use crate::view::ServiceView;

pub(super) fn json(life: &Life) -> Value {
    let services: Vec<Value> = life
        .registry()
        .view_services()
        .iter()
        .map(|service| {
            json!({
                "namespace": service.namespace,
                "version": service.version,
                "hash": service.hash,
                "replicas": service.replicas,
                "deprecation": service.deprecation,
                "routed": service.routed,
            })
        })
        .collect();
    json!({ "services": services })
}

/// What a cluster's node reports about its slots.
pub(super) fn admin_services(life: &Life) -> Value {
    let services = life.registry().admin_services();
    let services = services.into_iter().map(|(service, rejected)| {
        let mut shown = json!({
            "namespace": service.namespace,
            "version": service.version,
            "hashHex": service.hash_hex,
            "replicaCount": service.replica_count,
        });
        if rejected.count > 0 {
            shown["rejectedJoins"] = json!({
                "count": rejected.count,
                "lastReason": rejected.last_reason,
                "lastUnixMs": rejected.last_unix_ms,
            });
        }
        shown
    });
    json!({ "services": services.collect::<Vec<_>>() })
}

/// The page for people; a script fills in the services. Without scripts it shows a plain list.
pub(super) fn html(life: &Life) -> String {
    let services = life.registry().view_services();
    let rows: String = services.iter().map(row).collect();
    let list = match rows.is_empty() {
        true => "<p>No service is registered.</p>".to_owned(),
        false => format!("<ul>{rows}</ul>"),
    };
    include_str!("console.html").replace("<!-- services -->", &list)
}

fn row(service: &ServiceView) -> String {
    let replicas: Vec<String> = service.replicas.iter().map(|addr| escape(addr)).collect();
    let state = if service.routed { "" } else { ", not routed" };
    format!(
        "<li>{}/{}: {}{state}</li>",
        escape(&service.namespace),
        escape(&service.version),
        replicas.join(", "),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
