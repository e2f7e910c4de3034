//! Which lines `gwag.lock` gets, and which builds it fails.

use super::super::{Bundle, lock};
use super::{
    GREETER, NAME, bundled, debug, failed, faults, greeter, locked, of_greeter, release, told,
};
use tower_gwag_schema::{Rule, Service};

/// Each part is locked separately, and the program need not repeat the settings.
#[test]
fn the_services_of_a_split_file_have_a_line_each() {
    let tree = greeter();
    let both =
        format!("{GREETER}service Stock {{ rpc Put(common.Name) returns (common.Name); }}\n");
    tree.add("proto/greeter.proto", both.clone());
    let bundle = of_greeter().split_services();
    debug(&tree, &bundle).result.unwrap();
    let names = |lines: &[String]| -> Vec<String> {
        let name = |line: &String| line.rsplit_once(' ').unwrap().0.to_owned();
        lines.iter().map(name).collect()
    };
    let before = locked(&tree);
    assert_eq!(names(&before), ["greeter v1", "stock v1"]);
    let service = Service::proto_bundle(bundled(&tree, "greeter.gwag"));
    let hashes = service.hashes().unwrap();
    for ((namespace, hash), line) in hashes.iter().zip(&before) {
        assert_eq!(&format!("{namespace} v1 {}", hash.hex().unwrap()), line);
    }
    // The namespaces of the parts are derived from the bundle's.
    debug(&tree, &bundle.namespace("shop").name("named"))
        .result
        .unwrap();
    let named = Service::proto_bundle(bundled(&tree, "named.gwag"));
    let names = named.hashes().unwrap();
    assert_eq!(names[1].0, "shop_stock");
    // A change inside a blanked service does not change the other part.
    tree.add("proto/greeter.proto", both.replace("rpc Put", "rpc Add"));
    let outcome = release(&tree, &of_greeter().split_services());
    assert_eq!(faults(&outcome).len(), 1, "{outcome:?}");
}

#[test]
fn a_changed_schema_fails_a_release_build_and_only_that() {
    let tree = greeter();
    debug(&tree, &of_greeter()).result.unwrap();
    debug(&tree, &of_greeter().version("v2").name("two"))
        .result
        .unwrap();
    let before = locked(&tree);
    // An import counts, and so do comments.
    tree.add(
        "proto/common/name.proto",
        format!("{NAME}// changed\nmessage A {{}}\n"),
    );
    let outcome = debug(&tree, &of_greeter());
    let warning = told(&outcome, "warning")[0].to_owned();
    assert!(
        warning.starts_with("gwag.lock:4:1: warning[version-locked]: "),
        "{warning}"
    );
    assert!(warning.contains("a release build fails"), "{warning}");
    outcome.result.unwrap();

    let outcome = release(&tree, &of_greeter());
    let error = faults(&outcome)[0].clone();
    assert!(
        error.starts_with(
            "gwag.lock:4:1: error[version-locked]: service `greeter`: the schema of `greeter/v1` \
             (proto/greeter.proto) has changed"
        ),
        "{error}"
    );
    // v2 is already locked.
    assert!(
        error.contains("bump it to v3 (`Bundle::new(…).version(\"v3\")`) or use `unstable`"),
        "{error}"
    );
    assert!(
        error.contains("never released, remove this line"),
        "{error}"
    );
    failed(outcome, Rule::VersionLocked);
    assert_eq!(locked(&tree), before);

    // Each of the three remedies.
    release(&tree, &of_greeter().version("unstable"))
        .result
        .unwrap();
    assert_eq!(locked(&tree), before);
    release(&tree, &of_greeter().version("v3")).result.unwrap();
    assert_eq!(locked(&tree)[..2], before);
    let kept = format!("{}\n", before[1]);
    tree.add(lock::FILE, kept);
    release(&tree, &of_greeter()).result.unwrap();
    assert_ne!(locked(&tree)[0], before[0]);
    assert_eq!(locked(&tree)[1], before[1]);
}

#[test]
fn what_a_merge_left_in_the_lock_file_fails_every_build() {
    let tree = greeter();
    tree.add(lock::FILE, "# x\n<<<<<<< ours\n");
    let outcome = debug(&tree, &of_greeter());
    let error = faults(&outcome)[0].clone();
    assert!(
        error.starts_with("gwag.lock:2:1: error[lock-file]: "),
        "{error}"
    );
    failed(outcome, Rule::LockFile);
    // `unstable` is not allowed in the file.
    debug(&tree, &of_greeter().version("unstable"))
        .result
        .unwrap();
}

/// Like the sources that cargo unpacks and verifies before publishing.
#[test]
fn a_packaged_copy_is_not_written_to() {
    let tree = greeter();
    tree.add("Cargo.toml.orig", "");
    let outcome = release(&tree, &of_greeter());
    let warning = told(&outcome, "warning")[0].to_owned();
    assert!(warning.contains("the line `greeter v1 "), "{warning}");
    assert!(warning.contains("copy of a package"), "{warning}");
    outcome.result.unwrap();
    assert!(!tree.path().join(lock::FILE).exists());
}

/// A file that cannot be written, here because a directory has its name.
#[test]
fn a_lock_file_that_cannot_be_read_or_written_is_reported() {
    let tree = greeter();
    std::fs::create_dir(tree.path().join(lock::FILE)).unwrap();
    let error = failed(debug(&tree, &of_greeter()), Rule::LockFile);
    assert!(error.to_string().contains("--> gwag.lock"), "{error}");
}

/// An unsure hash is locked like any other.
#[test]
fn unsure_hashes_are_locked_too() {
    let tree = greeter();
    let extended = "syntax = \"proto2\"; package x; message M { extensions 100 to 199; }\n";
    tree.add("proto/unsure.proto", extended);
    let bundle = Bundle::new("proto/unsure.proto", ["proto"]);
    debug(&tree, &bundle).result.unwrap();
    let service = Service::proto_bundle(bundled(&tree, "unsure.gwag"));
    assert!(!service.hash().unwrap().is_exact());
    tree.add("proto/unsure.proto", format!("{extended}message N {{}}\n"));
    failed(release(&tree, &bundle), Rule::VersionLocked);
}

#[test]
fn what_has_no_hash_is_bundled_with_a_warning() {
    let tree = greeter();
    tree.add(
        "proto/new.proto",
        "edition = \"2024\"; package x; message M {}\n",
    );
    let outcome = debug(&tree, &Bundle::new("proto/new.proto", ["proto"]));
    let warnings = told(&outcome, "warning");
    assert!(
        warnings[0].starts_with("proto/new.proto:1:1: warning[proto-unverified]"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].contains("`new/v1` is not locked"),
        "{warnings:?}"
    );
    outcome.result.unwrap();
}
