//! The rooms of `src/` and of the schema crate: who may call whom, and what may touch the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{root, sources_in};

/// Each room may use those that are listed.
type Arrows = [(&'static str, &'static [&'static str])];

/// What is not here (the crate's page, things around the layer) may use everything, and is used by
/// nobody below.
const LAYER: &Arrows = &[
    ("error", &[]),
    ("liveness", &[]),
    ("pace", &[]),
    ("optional_future", &[]),
    ("control", &["error", "liveness"]),
    // Every event is also counted.
    ("status", &["error", "metrics"]),
    ("lease", &["error", "liveness", "pace"]),
    ("drain", &["status"]),
    (
        "options",
        &["control", "error", "health", "lease", "status"],
    ),
    (
        "observe",
        &["optional_future", "control", "error", "pace", "status"],
    ),
    (
        "driver",
        &[
            "optional_future",
            "control",
            "drain",
            "error",
            "health",
            "lease",
            "liveness",
            "metrics",
            "observe",
            "options",
            "pace",
            "status",
        ],
    ),
    ("registration", &["driver", "error", "status"]),
];

/// Every module of the crate but its front page.
const SCHEMA: &Arrows = &[
    ("location", &[]),
    ("redact", &[]),
    ("name", &[]),
    ("quote", &[]),
    ("gateway", &[]),
    ("sorted", &[]),
    ("version", &[]),
    ("json", &["location", "sorted"]),
    ("finding", &["redact"]),
    (
        "proto",
        &["finding", "gateway", "location", "name", "quote"],
    ),
    ("openapi", &["finding", "json", "location", "name"]),
    ("hash", &["proto"]),
    (
        "graphql",
        &[
            "json", "location", "name", "openapi", "proto", "quote", "gateway", "sorted", "version",
        ],
    ),
    (
        "renderable",
        &[
            "finding", "graphql", "json", "location", "name", "openapi", "proto", "gateway",
            "version",
        ],
    ),
    (
        "calls",
        &[
            "finding", "graphql", "json", "location", "openapi", "proto", "gateway",
        ],
    ),
    (
        "repair",
        &[
            "finding",
            "json",
            "location",
            "name",
            "openapi",
            "renderable",
        ],
    ),
    (
        "checks",
        &[
            "calls",
            "finding",
            "graphql",
            "json",
            "location",
            "name",
            "openapi",
            "proto",
            "gateway",
            "renderable",
        ],
    ),
    (
        "service",
        &[
            "calls", "checks", "finding", "graphql", "hash", "redact", "name", "openapi", "proto",
            "gateway", "repair", "version",
        ],
    ),
    (
        "diff",
        &[
            "finding", "graphql", "json", "location", "openapi", "proto", "gateway", "service",
            "sorted",
        ],
    ),
];

/// Decides, and does nothing: time goes in as a number.
const PURE: [&str; 3] = ["lease", "liveness", "pace"];

/// The code of each file of a library, without comments and tests, by its room.
fn rooms(src: &Path) -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut rooms: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in sources_in(src) {
        let text = std::fs::read_to_string(&path).expect("text");
        let of_tests = ["#[cfg(test)]\nmod ", "#[cfg(all(test"];
        let end = of_tests.iter().filter_map(|it| text.find(it)).min();
        let code = &text[..end.unwrap_or(text.len())];
        let lines = code.lines().filter(|it| !it.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        let inside = path.strip_prefix(src).expect("inside").to_path_buf();
        let room = inside.iter().next().expect("a part").to_string_lossy();
        let room = room.trim_end_matches(".rs").to_owned();
        rooms.entry(room).or_default().push((inside, code));
    }
    rooms
}

/// The rooms that some code names, also in `use crate::{one, other::Thing}`.
fn named(code: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(mut list) = after.strip_prefix('{') else {
            names.insert(word(after));
            continue;
        };
        let mut depth = 0;
        while let Some(at) = list.find(['{', '}', ',']) {
            if depth == 0 {
                names.insert(word(list.trim_start()));
            }
            match list.as_bytes()[at] {
                b'{' => depth += 1,
                b'}' if depth == 0 => break,
                b'}' => depth -= 1,
                _ => {}
            }
            list = &list[at + 1..];
        }
    }
    names.remove("");
    names
}

/// The identifier at the start of a text.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Returns how many arrows were seen.
fn check(rooms: &BTreeMap<String, Vec<(PathBuf, String)>>, arrows: &Arrows) -> usize {
    let mut seen = 0;
    for (at, (room, allowed)) in arrows.iter().enumerate() {
        // No circle can be allowed.
        let is_below = |it: &str| arrows[..at].iter().any(|(below, _)| *below == it);
        let is_listed = |it: &str| arrows.iter().any(|(listed, _)| *listed == it);
        let up = allowed.iter().find(|it| is_listed(it) && !is_below(it));
        assert_eq!(up, None, "{room}");
        let files = rooms.get(*room);
        for (path, code) in files.unwrap_or_else(|| panic!("there is no room `{room}`")) {
            for name in named(code) {
                let is_fine = name == *room || allowed.contains(&name) || !rooms.contains_key(name);
                assert!(is_fine, "{}: {room} → {name}", path.display());
                seen += 1;
            }
        }
    }
    seen
}

#[test]
fn names_are_found_in_lists_too() {
    let code =
        "use crate::{Error, lease::{Entry, self}, pace};\nlet it = crate::drain::Stop::of();";
    let all = ["Error", "drain", "lease", "pace"];
    assert_eq!(named(code), all.into());
}

#[test]
fn calls_go_down_only() {
    let seen = check(&rooms(&root().join("src")), LAYER);
    assert!(seen > 100, "{seen} names");
}

#[test]
fn calls_in_the_schema_crate_go_down_only() {
    let mut rooms = rooms(&root().join("crates/schema/src"));
    rooms.remove("lib");
    // Only in tests.
    rooms.remove("recorded");
    let listed: BTreeSet<&str> = SCHEMA.iter().map(|it| it.0).collect();
    let all: BTreeSet<&str> = rooms.keys().map(String::as_str).collect();
    assert_eq!(listed, all);
    // A type that the front page re-exports would hide its room.
    for (path, code) in rooms.values().flatten() {
        let hidden = named(code)
            .into_iter()
            .find(|it| it.starts_with(char::is_uppercase));
        assert_eq!(hidden, None, "{}", path.display());
    }
    let seen = check(&rooms, SCHEMA);
    assert!(seen > 200, "{seen} names");
}

#[test]
fn what_decides_knows_no_runtime_and_no_network() {
    let rooms = rooms(&root().join("src"));
    for room in PURE {
        for (path, code) in &rooms[room] {
            for word in [
                "tokio",
                "tonic",
                "hyper",
                "Socket::",
                "TcpStream",
                "spawn",
                "Instant::now",
            ] {
                assert!(!code.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

/// The gateway, its HTTP port and GraphQL endpoints, the advertised address, the route to a gateway.
#[test]
fn few_files_touch_the_network() {
    let mut found = BTreeSet::new();
    for (path, code) in rooms(&root().join("src")).into_values().flatten() {
        let is_network = ["TcpStream::connect", "UdpSocket::bind", "to_socket_addrs"]
            .iter()
            .any(|it| code.contains(it));
        if is_network {
            found.insert(path.display().to_string());
        }
    }
    let expected = [
        "control/address.rs",
        "control/connection.rs",
        "control/resolver.rs",
        "driver/advertised_address.rs",
        "observe/http.rs",
        "observe/reach.rs",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}
