//! The manifests of docs/manual/kubernetes.md: only known fields, values that fit each other, and
//! enough time to leave. `.ci/run` validates them with Kubernetes' own schemas where
//! `kubernetes-validate` is installed.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use tower_gwag::OpenApiDocument;

use super::root;

/// The manifests, as the crate's own YAML reader reads them, and all of the page.
fn manifests() -> (Vec<Value>, String) {
    let page = fs::read_to_string(root().join("docs/manual/kubernetes.md")).expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    let texts = blocks.map(|it| it.split("```").next().expect("its end"));
    // What is indented is a part of a manifest, shown inside a list.
    let texts = texts.filter(|it| !it.starts_with(' '));
    let read = |text: &str| OpenApiDocument::from(text).as_written().expect("YAML");
    (texts.map(read).collect(), page.clone())
}

#[track_caller]
fn has_only(object: &Value, required: &[&str], optional: &[&str]) {
    let keys: BTreeSet<_> = object
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    for name in required {
        assert!(keys.contains(name), "{name} is missing in {object}");
    }
    for key in keys {
        assert!(
            required.contains(&key) || optional.contains(&key),
            "{key} is unknown in {object}"
        );
    }
}

fn seconds(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is not a number of seconds"))
}

/// The default of `Options::leave_timeout`, as the documentation of `Options` has it.
fn leave_timeout() -> u64 {
    let options = fs::read_to_string(root().join("src/options/mod.rs")).expect("the options");
    let row = options
        .lines()
        .find(|it| it.contains("| [`leave_timeout`]"))
        .expect("its row");
    let default = row.rsplit('|').nth(1).expect("the default").trim();
    default.trim_end_matches(" s").parse().expect("seconds")
}

#[test]
fn the_deployment_is_one_that_kubernetes_accepts_and_leaves_enough_time() {
    let (manifests, page) = manifests();
    let [deployment, _] = &manifests[..] else {
        panic!("two manifests: {manifests:#?}");
    };
    has_only(deployment, &["apiVersion", "kind", "metadata", "spec"], &[]);
    assert_eq!(
        (&deployment["apiVersion"], &deployment["kind"]),
        (&"apps/v1".into(), &"Deployment".into())
    );
    has_only(&deployment["metadata"], &["name"], &["labels"]);
    let spec = &deployment["spec"];
    has_only(spec, &["selector", "template", "strategy", "replicas"], &[]);
    has_only(&spec["selector"], &["matchLabels"], &[]);
    assert_eq!(
        spec["selector"]["matchLabels"],
        spec["template"]["metadata"]["labels"]
    );
    // A new pod before an old one ends.
    has_only(
        &spec["strategy"]["rollingUpdate"],
        &["maxUnavailable", "maxSurge"],
        &[],
    );
    assert_eq!(spec["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    assert!(spec["strategy"]["rollingUpdate"]["maxSurge"].as_u64() > Some(0));

    let pod = &spec["template"]["spec"];
    has_only(pod, &["containers", "terminationGracePeriodSeconds"], &[]);
    // The process leaves in time, also after the pause of the preStop hook that the page shows.
    let grace = seconds(&pod["terminationGracePeriodSeconds"]);
    let pause = page
        .split("preStop: {sleep: {seconds: ")
        .nth(1)
        .expect("the hook");
    let pause: u64 = pause.split('}').next().unwrap().parse().expect("seconds");
    assert!(grace > leave_timeout(), "{grace} s");
    assert!(
        page.contains(&format!("and {pause} s to\n  the grace period")),
        "the page adds the pause"
    );

    let [container] = &pod["containers"].as_array().expect("containers")[..] else {
        panic!("one container");
    };
    let known = [
        "name",
        "image",
        "ports",
        "env",
        "readinessProbe",
        "livenessProbe",
    ];
    has_only(container, &known, &["lifecycle"]);
    let ports = container["ports"].as_array().expect("ports");
    for port in ports {
        has_only(port, &["name", "containerPort"], &["protocol"]);
        let name = port["name"].as_str().expect("a name");
        assert!(name.len() <= 15 && name.chars().all(|it| it.is_ascii_lowercase() || it == '-'));
    }
    let is_port = |value: &Value| {
        ports
            .iter()
            .any(|port| port["name"] == *value || port["containerPort"] == *value)
    };
    let readiness = &container["readinessProbe"];
    has_only(readiness, &["grpc"], &["periodSeconds"]);
    // A gRPC probe takes only a number.
    assert!(readiness["grpc"]["port"].is_u64() && is_port(&readiness["grpc"]["port"]));
    let liveness = &container["livenessProbe"];
    has_only(liveness, &["tcpSocket"], &["periodSeconds"]);
    assert!(is_port(&liveness["tcpSocket"]["port"]));

    // The variables are such as the crate reads, and the address is the pod's.
    for variable in container["env"].as_array().expect("variables") {
        has_only(variable, &["name"], &["value", "valueFrom"]);
        let name = variable["name"].as_str().expect("a name");
        let settings =
            fs::read_to_string(root().join("src/options/reading.rs")).expect("the settings");
        let known = name.strip_prefix("GWAG_").expect("one of ours");
        assert!(
            settings.contains(&format!("    \"{known}\",\n")),
            "{name} is unknown"
        );
        if let Some(from) = variable.get("valueFrom") {
            assert_eq!(from["fieldRef"]["fieldPath"], "status.podIP");
        }
    }
}

#[test]
fn the_service_of_the_gateway_is_headless() {
    let (manifests, _) = manifests();
    let service = &manifests[1];
    has_only(service, &["apiVersion", "kind", "metadata", "spec"], &[]);
    assert_eq!(
        (&service["apiVersion"], &service["kind"]),
        (&"v1".into(), &"Service".into())
    );
    has_only(&service["spec"], &["clusterIP", "selector", "ports"], &[]);
    assert_eq!(service["spec"]["clusterIP"], "None");
    // The name and port that the Deployment's variable has.
    let gateway = &manifests[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"];
    let (name, port) = (
        &service["metadata"]["name"],
        &service["spec"]["ports"][0]["port"],
    );
    assert_eq!(
        gateway.as_str(),
        Some(&*format!("{}:{port}", name.as_str().unwrap()))
    );
}
