//! What the gateway shows of itself: the services as JSON and as a page for people.

use std::fmt::Write;

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

/// What a cluster's node tells of its slots.
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

pub(super) fn html(life: &Life) -> String {
    let services = life.registry().view_services();
    let rows: String = services.iter().map(row).collect();
    let table = if rows.is_empty() {
        "<p>No service is registered.</p>".to_owned()
    } else {
        format!(
            "<table><tr><th>service</th><th>replicas</th><th>schema</th><th></th></tr>{rows}</table>"
        )
    };
    include_str!("console.html").replace("<!-- services -->", &table)
}

fn row(service: &ServiceView) -> String {
    let mut row = String::new();
    let replicas: Vec<String> = service.replicas.iter().map(|addr| escape(addr)).collect();
    let note = match (&service.deprecation, service.routed) {
        (Some(reason), _) => format!("deprecated: {}", escape(reason)),
        (None, false) => "not routed".to_owned(),
        (None, true) => String::new(),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        row,
        "<tr><td>{}/{}</td><td>{}</td><td><code>{}</code></td><td>{note}</td></tr>",
        escape(&service.namespace),
        escape(&service.version),
        replicas.join("<br>"),
        service.hash.get(..12).unwrap_or_default(),
    );
    row
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
