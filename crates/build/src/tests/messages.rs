//! Every error and warning of a build script as cargo shows it, in one file, to be read in one go. With
//! `UPDATE_GOLDEN=1` the test writes it. Those about schemas are in crates/schema/tests/data.

use super::golden::is_golden;
use super::*;

/// What a build script shows.
struct Shown(String);

impl Shown {
    fn add(&mut self, situation: &str, tree: &Tree, outcome: &Outcome) {
        let mut lines = String::new();
        for kind in ["error", "warning"] {
            for line in told(outcome, kind) {
                lines += &format!("cargo::{kind}={line}\n");
            }
        }
        if let Err(error) = &outcome.result {
            lines += &format!("{error}\n");
        }
        assert!(!lines.is_empty(), "{situation}: nothing is reported");
        let folder = tree.path().display().to_string();
        self.0 += &format!("== {situation}\n{}\n", lines.replace(&folder, "CRATE"));
    }
}

/// A tree with this entry file.
fn with_entry(source: &str) -> Tree {
    let tree = greeter();
    tree.add("proto/greeter.proto", source);
    tree
}

/// A tree whose version v1 is locked to another schema.
fn with_lock(lock: &str) -> Tree {
    let tree = greeter();
    tree.add(lock::FILE, lock);
    tree
}

#[test]
fn messages_are_those_of_the_golden_file() {
    let mut shown = Shown(String::new());
    let mut add = |situation: &str, tree: &Tree, bundle: &Bundle, is_release: bool| {
        let outcome = bundle.run(&environment(tree, is_release));
        shown.add(situation, tree, &outcome);
    };
    let entry = |path: &str, includes: &[&str]| Bundle::new(path, includes);

    // The entry file.
    let tree = greeter();
    let missing = entry("proto/greet.proto", &["proto"]);
    add("the entry file does not exist", &tree, &missing, false);
    let outside = entry("proto/greeter.proto", &["api"]);
    add("no include directory has it", &tree, &outside, false);
    tree.add("first/greeter.proto", "");
    let hidden = entry("proto/greeter.proto", &["first", "proto"]);
    add("another file hides it", &tree, &hidden, false);
    let gone = entry("gone/greeter.proto", &["gone"]);
    add("its directory does not exist", &tree, &gone, false);

    // Its content.
    let import = "syntax = \"proto3\";\nimport \"common/other.proto\";\n";
    add(
        "an import does not exist",
        &with_entry(import),
        &of_greeter(),
        false,
    );
    let tree = greeter();
    tree.add("proto/common/name.proto", [0xff]);
    add("an import is not text", &tree, &of_greeter(), false);
    let torn = with_entry("syntax = \"proto3\";\nmessage Name { Text text = 1; }\n");
    add("it does not compile", &torn, &of_greeter(), false);
    let two = "syntax = \"proto3\";\nmessage M {}\nservice A { rpc X(M) returns (M); }\nservice B \
               { rpc Y(M) returns (M); }\n";
    add(
        "it has two services",
        &with_entry(two),
        &of_greeter(),
        false,
    );

    // The settings.
    let tree = greeter();
    let named = of_greeter().namespace("pet-store");
    add("the namespace is not a name", &tree, &named, false);
    let numbered = of_greeter().version("1.0");
    add("the version is not one", &tree, &numbered, false);
    let allowed = of_greeter().version("unstable").allow(Rule::VersionSyntax);
    add("a rule that cannot be allowed", &tree, &allowed, false);

    // The lock file.
    let tree = greeter();
    add("a new version is locked", &tree, &of_greeter(), false);
    let tree = greeter();
    tree.add(".cargo-ok", "");
    add("a new version in a copy", &tree, &of_greeter(), false);
    let hash = "0".repeat(64);
    let tree = with_lock(&format!("greeter v1 {hash}\n"));
    add("a locked schema changed", &tree, &of_greeter(), false);
    add("the same in a release", &tree, &of_greeter(), true);
    let torn = [
        "<<<<<<< ours",
        &format!("greeter v1 {hash}"),
        &format!("greeter v1 {hash}"),
        "greeter one",
    ];
    let tree = with_lock(&torn.join("\n"));
    add("the lock file is torn", &tree, &of_greeter(), false);
    let tree = greeter();
    std::fs::create_dir(tree.path().join(lock::FILE)).unwrap();
    add("the lock file is a directory", &tree, &of_greeter(), false);

    // The bundle.
    let tree = greeter();
    tree.add("proto/v2/greeter.proto", GREETER);
    release(&tree, &of_greeter()).result.unwrap();
    let second = entry("proto/v2/greeter.proto", &["proto"]).version("unstable");
    add("two bundles with one name", &tree, &second, false);
    let tree = greeter();
    std::fs::create_dir(tree.path().join("out/greeter.gwag")).unwrap();
    let bundle = of_greeter().version("unstable");
    add("the bundle cannot be written", &tree, &bundle, false);
    let outside = Environment::of_cargo().expect_err("OUT_DIR is set in build scripts only");
    shown.add(
        "outside a build script",
        &tree,
        &Outcome::of(&[], vec![outside]),
    );

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/messages.txt");
    is_golden(Path::new(path), &shown.0);
}
