//! The log of a life, line by line.

use serde_json::Value;
use tower_gwag::{GwagRegistrationLayer, Options, Service, State};

use super::super::routed::node;
use crate::support::{
    GREETER_PROTO, Log, eventually, greet, greeter_options, registered, tonic_greeter, until_state,
};

#[derive(Clone, Default)]
pub(crate) struct Lines(Log);

impl Lines {
    /// The log of this thread at INFO.
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        self.start_at(tracing::Level::INFO)
    }

    pub(crate) fn start_at(&self, level: tracing::Level) -> tracing::subscriber::DefaultGuard {
        let lines = self.0.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(level)
            .with_writer(move || lines.clone())
            .finish();
        crate::support::log_to(subscriber)
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        let text = self.0.text();
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        text.lines().map(line).collect()
    }
}

pub(crate) fn field<'a>(line: &'a Value, name: &str) -> &'a str {
    line["fields"][name].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_life_with_a_restart_is_a_line_for_each_event() {
    let log = Lines::default();
    let _guard = log.start();
    let gateway = node().await;
    let options =
        greeter_options(&gateway).heartbeat_interval(std::time::Duration::from_millis(50));
    let server = tonic_greeter(options.instance_id("greeter-0")).await;
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    gateway.revive().await.expect("the same ports");
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;

    let lines = log.all();
    assert!(lines.len() < 10, "{lines:#?}");
    let target = gateway.target();
    for line in &lines {
        assert_eq!(line["target"], "tower_gwag", "{line}");
        assert_eq!(field(line, "namespaces"), "greeter/v1", "{line}");
        assert!(field(line, "instance").starts_with("greeter-0"), "{line}");
        assert_eq!(field(line, "gateway"), target, "{line}");
        assert_eq!(line["span"]["name"], "registration", "{line}");
        // What has a field of its own is said once.
        assert!(line["span"]["namespaces"].is_null(), "{line}");
        let (message, id) = (field(line, "message"), field(line, "registration_id"));
        assert!(id.is_empty() || !message.contains(id), "{line}");
        assert!(!message.contains('\n'), "{line}");
    }
    let states: Vec<&str> = lines.iter().map(|line| field(line, "state")).collect();
    let expected = [
        "Registering",
        "Registered",
        "Routed",
        "Unreachable",
        "Registered",
        "Routed",
        "Leaving",
        "Left",
    ];
    assert_eq!(states, expected, "{lines:#?}");
    assert_eq!(lines[3]["level"], "WARN");
    assert_eq!(field(&lines[3], "kind"), "Unavailable");
    assert!(field(&lines[3], "message").contains(&target));
    let ids = [1, 4].map(|at| field(&lines[at], "registration_id"));
    assert!(
        ids.iter().all(|id| !id.is_empty()) && ids[0] != ids[1],
        "{lines:#?}"
    );
}

#[tokio::test]
async fn an_error_at_the_start_is_not_preceded_by_a_report() {
    let log = Lines::default();
    let _guard = log.start();
    let service = Service::proto(GREETER_PROTO).namespace("my-greeter");
    let layer = GwagRegistrationLayer::new(Options::new("gateway:50090").service(service));
    let registration = layer.registration();
    assert!(registration.start(([127, 0, 0, 1], 1).into()).is_err());
    drop((layer, registration));
    assert_eq!(log.all(), [] as [Value; 0]);
}

#[tokio::test]
async fn what_was_found_is_said_in_a_line_each() {
    let log = Lines::default();
    let _guard = log.start();
    let gateway = node().await;
    let options = greeter_options(&gateway).unchecked_schemas();
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    eventually("a line", || log.all().len() > 1).await;
    let lines = log.all();
    assert_eq!(lines[0]["level"], "WARN");
    assert!(
        field(&lines[0], "message").starts_with("warning[schemas-unchecked]: "),
        "{lines:#?}"
    );
    server.stop().await;
}
