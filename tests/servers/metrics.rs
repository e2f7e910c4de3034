//! What is counted of a whole life, as a scrape shows it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use tower_gwag::State;

use crate::support::{
    eventually, gateway, greeter_client, greeter_options, hello, in_flight, registered,
    tonic_greeter, until_state,
};

/// A sample: name, labels and value.
type Samples = BTreeMap<(String, Vec<(String, String)>), f64>;

/// Reads the text format of Prometheus, and accepts nothing that is not as it says.
fn parse(text: &str) -> (Samples, BTreeMap<String, String>) {
    let (mut samples, mut types) = (Samples::new(), BTreeMap::new());
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes
            .next()
            .is_some_and(|it| it.is_ascii_alphabetic() || it == b'_')
            && bytes.all(|it| it.is_ascii_alphanumeric() || it == b'_')
    };
    assert!(text.ends_with('\n'), "the last line has no end");
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(is_name(name) && !help.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(
                ["counter", "gauge", "summary", "histogram"].contains(&kind),
                "{line}"
            );
            let former = types.insert(name.to_owned(), kind.to_owned());
            assert_eq!(former, None, "{name} has two types");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = match series.split_once('{') {
                None => (series, Vec::new()),
                Some((name, rest)) => {
                    let mut rest = rest.strip_suffix('}').expect("an end of the labels");
                    let mut labels = Vec::new();
                    while !rest.is_empty() {
                        let (label, after) = rest.split_once("=\"").expect("a label");
                        let (value, after) = after.split_once('"').expect("a value");
                        assert!(is_name(label) && !value.contains('\\'), "{line}");
                        labels.push((label.to_owned(), value.to_owned()));
                        rest = after.strip_prefix(',').unwrap_or(after);
                    }
                    labels.sort();
                    (name, labels)
                }
            };
            assert!(is_name(name), "{line}");
            let value = value.parse().expect("a number");
            let former = samples.insert((name.to_owned(), labels), value);
            assert_eq!(former, None, "{series} is there twice");
        }
    }
    (samples, types)
}

fn value(samples: &Samples, name: &str, labels: &[(&str, &str)]) -> f64 {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut labels: Vec<_> = labels.iter().map(owned).collect();
    labels.push(("service".to_owned(), "greeter/v1".to_owned()));
    labels.sort();
    let found = samples.get(&(name.to_owned(), labels.clone()));
    *found.unwrap_or_else(|| panic!("no {name} {labels:?} in {samples:#?}"))
}

/// Prometheus' own tool, where it is installed, or named by `PROMTOOL`.
fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Option<(bool, String)> {
    let tool = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(folder);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("skipped: promtool {arguments:?}, which is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("piped");
    // It may end without having read.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[tokio::test]
async fn a_life_is_counted_and_the_scrape_is_strict() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let scrape = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let gateway = gateway().await;
    let options = greeter_options(&gateway).heartbeat_interval(Duration::from_millis(20));
    let mut server = tonic_greeter(options.drain_timeout(Duration::from_millis(300))).await;
    registered(&server.registration).await;
    let samples = || parse(&scrape.render()).0;
    let call = |call: &'static str, result: &'static str| {
        [("call", call), ("entry", "service"), ("result", result)]
    };
    let count = |name: &str, labels: &[(&str, &str)]| value(&samples(), name, labels);
    eventually("beats", || {
        scrape
            .render()
            .contains(r#"call="heartbeat",entry="service",result="ok""#)
    })
    .await;
    assert!(count("gwag_heartbeat_age_seconds", &[]) < 5.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let beat = count("gwag_heartbeat_last_success_timestamp_seconds", &[]);
    assert!(
        (now.expect("after 1970").as_secs_f64() - beat).abs() < 30.0,
        "{beat}"
    );
    assert_eq!(count("gwag_calls_total", &call("register", "ok")), 1.0);

    // Evicted, and restarted: two causes.
    gateway.evict_all();
    let again = |cause: &'static str| {
        let wanted =
            format!("gwag_reregistrations_total{{service=\"greeter/v1\",cause=\"{cause}\"}} 1");
        move |text: &str| text.contains(&wanted)
    };
    let forgotten = again("forgotten");
    eventually("forgotten", || forgotten(&scrape.render())).await;
    gateway.kill().await;
    until_state(&server.registration, State::Unreachable).await;
    assert_eq!(
        count("gwag_registration_state", &[("state", "unreachable")]),
        1.0
    );
    gateway.revive().await.expect("the same ports");
    let unreachable = again("unreachable");
    eventually("unreachable", || unreachable(&scrape.render())).await;

    let mut client = greeter_client(server.address).await;
    let held = tokio::spawn(async move { client.hello(hello("hold")).await });
    in_flight(&server.registration, 1).await;
    eventually("in flight", || count("gwag_requests_in_flight", &[]) == 1.0).await;
    server.signal();
    assert!(held.await.expect("no panic").is_err(), "it is cut");
    let report = server.stop().await;
    assert_eq!(report.cut(), 1, "{report}");

    let text = scrape.render();
    let (samples, types) = parse(&text);
    for (name, kind) in &types {
        assert!(name.starts_with("gwag_"), "{name}");
        assert_eq!(
            kind == "counter",
            name.ends_with("_total"),
            "{name} is a {kind}"
        );
    }
    assert_eq!(types.len(), 12, "{types:#?}");
    assert_eq!(value(&samples, "gwag_requests_cut_total", &[]), 1.0);
    assert_eq!(value(&samples, "gwag_requests_in_flight", &[]), 0.0);
    assert_eq!(
        value(&samples, "gwag_leave_duration_seconds_count", &[]),
        1.0
    );
    assert_eq!(value(&samples, "gwag_abandoned_entries_total", &[]), 0.0);
    let states = samples
        .iter()
        .filter(|((name, _), _)| name == "gwag_registration_state");
    let on: Vec<_> = states.filter(|(_, value)| **value != 0.0).collect();
    assert_eq!(on.len(), 1, "{on:?}");
    assert_eq!(
        value(&samples, "gwag_registration_state", &[("state", "left")]),
        1.0
    );
    if let Some((is_good, said)) = promtool(&["check", "metrics"], Path::new("."), &text) {
        assert!(is_good, "{said}\n{text}");
    }
}

#[test]
fn the_alerts_are_those_that_their_test_wants() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let rules = std::fs::read_to_string(contrib.join("alerts.yml")).expect("rules");
    let names: Vec<&str> = rules
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- alert: "))
        .collect();
    assert_eq!(names.len(), 5);
    let tests = std::fs::read_to_string(contrib.join("alerts_test.yml")).expect("tests");
    for name in names {
        assert!(tests.contains(name), "{name} has no test");
    }
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        if let Some((is_good, said)) = promtool(&arguments, &contrib, "") {
            assert!(is_good, "{said}");
        }
    }
}
