//! The crates of the workspace: dependencies point down only, and nobody pays for what is not used.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{all_sources_in, root};

/// Each may depend on those before it. `tower-gwag-build` is beside the layer, not above it.
const ORDER: [(&str, &[&str]); 5] = [
    ("tower-gwag-schema", &[]),
    ("tower-gwag-build", &["tower-gwag-schema"]),
    ("tower-gwag", &["tower-gwag-schema"]),
    ("tower-gwag-gateway", &["tower-gwag-schema", "tower-gwag"]),
    (
        "tower-gwag-cli",
        &[
            "tower-gwag-schema",
            "tower-gwag-build",
            "tower-gwag",
            "tower-gwag-gateway",
        ],
    ),
];

fn cargo(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).arg("--offline");
    let output = command.current_dir(directory).output().expect("cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

fn metadata() -> Value {
    let arguments = ["metadata", "--format-version=1", "--no-deps", "--locked"];
    serde_json::from_str(&cargo(root(), &arguments)).expect("JSON")
}

/// Name and version of every crate that is compiled.
fn compiled(directory: &Path, arguments: &[&str]) -> BTreeSet<String> {
    let tree = ["tree", "--prefix=none", "--edges=normal,build"];
    let told = cargo(directory, &[&tree, arguments].concat());
    let crates = told.lines().filter(|line| !line.is_empty());
    let crates = crates.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    crates.collect()
}

#[test]
fn plain_cargo_test_tests_every_crate() {
    let metadata = metadata();
    let members = |key: &str| -> BTreeSet<String> {
        let ids = metadata[key].as_array().expect(key).iter();
        ids.map(|id| id.as_str().expect("an id").to_owned())
            .collect()
    };
    let all = members("workspace_members");
    assert_eq!(all, members("workspace_default_members"));
    assert_eq!(all.len(), metadata["packages"].as_array().unwrap().len());
}

#[test]
fn dependencies_point_down_only() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let known = ORDER.iter().find(|(it, _)| *it == name);
        let (_, allowed) = known.unwrap_or_else(|| panic!("where is `{name}` in the order?"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let on = dependency["name"].as_str().expect("a name");
            if !on.starts_with("tower-gwag") {
                continue;
            }
            let requirement = dependency["req"].as_str().expect("a requirement");
            if dependency["kind"] == "dev" {
                // One that points up cannot be published with a version.
                let points_up = !allowed.contains(&on);
                assert!(
                    !points_up || requirement == "*",
                    "{name} → {on} {requirement}"
                );
            } else {
                assert!(allowed.contains(&on), "{name} → {on}");
                assert_ne!(requirement, "*", "{name} → {on} has no version");
            }
        }
    }
}

/// Its types would be those of another build of this crate.
#[test]
fn unit_tests_of_the_layer_do_without_the_gateway_crate() {
    let folders = ["src", "crates/schema/src"];
    let sources = folders.map(|it| all_sources_in(&root().join(it))).concat();
    for path in &sources {
        let text = std::fs::read_to_string(path).expect("text");
        let is_used = text.contains("use tower_gwag_gateway");
        assert!(!is_used, "{}", path.display());
    }
    assert!(sources.len() > 50, "{} files", sources.len());
}

#[test]
fn a_build_script_compiles_no_network() {
    let crates = compiled(root(), &["--package=tower-gwag-build"]);
    let names: BTreeSet<&str> = crates
        .iter()
        .filter_map(|it| it.split(' ').next())
        .collect();
    for network in [
        "tokio", "hyper", "tonic", "tower", "axum", "socket2", "mio", "h2",
    ] {
        assert!(!names.contains(network), "{network}");
    }
    assert!(crates.len() < 45, "{}: {crates:?}", crates.len());
}

#[test]
fn the_layer_adds_two_crates_to_a_plain_server() {
    let tree = |name: &str, more: &str| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(directory.join("src")).expect("a folder");
        std::fs::write(directory.join("src/main.rs"), "fn main() {}\n").expect("written");
        let manifest = format!(
            "[package]\nname = \"plain\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
             [dependencies]\naxum = \"0.8\"\nprost = \"0.14\"\ntonic = \"0.14\"\n\
             tonic-prost = \"0.14\"\n\
             tokio = {{ version = \"1\", features = [\"macros\", \"net\", \"rt-multi-thread\"] }}\n{more}"
        );
        std::fs::write(directory.join("Cargo.toml"), manifest).expect("written");
        std::fs::copy(root().join("Cargo.lock"), directory.join("Cargo.lock")).expect("copied");
        compiled(&directory, &[])
    };
    let layer = |features: &str| {
        format!(
            "tower-gwag = {{ path = '{}', default-features = false, features = [{features}] }}\n",
            root().display()
        )
    };
    let plain = tree("plain", "");
    let with = tree("with_layer", &layer("\"tonic\", \"axum\""));
    let added: Vec<&str> = with
        .difference(&plain)
        .filter_map(|it| it.split(' ').next())
        .collect();
    let ours = ["tower-gwag", "tower-gwag-schema"];
    let foreign: Vec<_> = added.iter().filter(|it| !ours.contains(it)).collect();
    assert_eq!(foreign, [&"errno", &"signal-hook-registry"], "{added:?}");
}

/// A runtime waits at its end for blocking tasks, and a name server may be silent for long.
#[test]
fn the_layer_has_no_blocking_tasks() {
    let blocking = ["spawn_blocking", "block_in_place", "lookup_host"];
    let sources = all_sources_in(&root().join("src"));
    for path in &sources {
        let text = std::fs::read_to_string(path).expect("text");
        let found = blocking.iter().find(|it| text.contains(**it));
        assert_eq!(found, None, "{}: use a thread", path.display());
    }
    assert!(sources.len() > 50, "{} files", sources.len());
}
