//! The rooms of `src/`: who may call whom, and what may touch the network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{root, sources};

/// Each may use those that are listed. What is not here (the crate's page, things around the layer)
/// may use everything, and is used by nobody below.
const ARROWS: [(&str, &[&str]); 12] = [
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

/// Decides, and does nothing: time goes in as a number.
const PURE: [&str; 3] = ["lease", "liveness", "pace"];

/// The code of each file of the library, without comments and tests, by its room.
fn rooms() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let src = root().join("src");
    let mut rooms: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("text");
        let code = text.split("#[cfg(test)]\nmod ").next().expect("the code");
        let lines = code.lines().filter(|it| !it.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n");
        let inside = path.strip_prefix(&src).expect("inside").to_path_buf();
        let room = inside.iter().next().expect("a part").to_string_lossy();
        let room = room.trim_end_matches(".rs").to_owned();
        rooms.entry(room).or_default().push((inside, code));
    }
    rooms
}

/// The rooms that some code names.
fn named(code: &str) -> BTreeSet<&str> {
    let after = code.split("crate::").skip(1);
    let names = after.filter_map(|it| it.split(|c: char| !c.is_alphanumeric() && c != '_').next());
    names.filter(|it| !it.is_empty()).collect()
}

#[test]
fn calls_go_down_only() {
    let rooms = rooms();
    let mut seen = 0;
    for (room, allowed) in ARROWS {
        let files = rooms.get(room);
        for (path, code) in files.unwrap_or_else(|| panic!("there is no room `{room}`")) {
            for name in named(code) {
                let is_fine = name == room || allowed.contains(&name) || !rooms.contains_key(name);
                assert!(is_fine, "{}: {room} → {name}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen} names");
}

#[test]
fn what_decides_knows_no_runtime_and_no_network() {
    let rooms = rooms();
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
    for (path, code) in rooms().into_values().flatten() {
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
        "driver/address.rs",
        "observe/http.rs",
        "observe/reach.rs",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}
