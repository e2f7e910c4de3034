//! What a build script reports, and what it leaves for the program.

#[path = "../../../../tests/support/golden.rs"]
mod golden;
mod locking;
mod messages;
#[path = "../../../../tests/support/tree.rs"]
mod tree;

use std::path::Path;

use super::bundle::Outcome;
use super::environment::Environment;
use super::{Bundle, lock};
use tower_gwag_schema::{CheckError, Rule, Service, check};
use tree::Tree;

const GREETER: &str = "syntax = \"proto3\";\npackage greeter.v1;\nimport \"common/name.proto\";\n\
    service Greeter { rpc Hello(common.Name) returns (common.Name); }\n";
const NAME: &str = "syntax = \"proto3\"; package common; message Name { string text = 1; }\n";

/// A crate with a proto tree of two files, and a directory for build output.
fn greeter() -> Tree {
    let tree = Tree::of([
        ("proto/greeter.proto", GREETER),
        ("proto/common/name.proto", NAME),
        ("proto/unrelated.proto", "message {"),
    ]);
    std::fs::create_dir(tree.path().join("out")).unwrap();
    tree
}

fn environment(tree: &Tree, is_release: bool) -> Environment {
    Environment {
        out_dir: tree.path().join("out"),
        manifest_dir: tree.path().to_owned(),
        is_release,
    }
}

fn debug(tree: &Tree, bundle: &Bundle) -> Outcome {
    bundle.run(&environment(tree, false))
}

fn release(tree: &Tree, bundle: &Bundle) -> Outcome {
    bundle.run(&environment(tree, true))
}

fn of_greeter() -> Bundle {
    Bundle::new("proto/greeter.proto", ["proto"])
}

fn locked(tree: &Tree) -> Vec<String> {
    let text = std::fs::read_to_string(tree.path().join(lock::FILE)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn bundled(tree: &Tree, name: &str) -> Vec<u8> {
    std::fs::read(tree.path().join("out").join(name)).unwrap()
}

/// The values of all directives of one kind.
fn told<'a>(outcome: &'a Outcome, kind: &str) -> Vec<&'a str> {
    let prefix = format!("cargo::{kind}=");
    let lines = outcome.directives.iter();
    lines
        .filter_map(|line| line.strip_prefix(&*prefix))
        .collect()
}

/// Each error in a line.
fn faults(outcome: &Outcome) -> Vec<String> {
    let error = outcome.result.as_ref().expect_err("the build goes on");
    // Cargo repeats them with the rest of the output.
    let told = outcome.directives.join("\n");
    assert!(!told.contains("error["), "{told}");
    let errors = error.findings().errors();
    errors.map(super::directives::line).collect()
}

#[track_caller]
fn failed(outcome: Outcome, rule: Rule) -> CheckError {
    let error = outcome.result.expect_err("the build goes on");
    assert_eq!(error.rule(), rule, "{error}");
    error
}

#[test]
fn a_bundle_is_the_service_that_its_files_are() {
    let tree = greeter();
    let outcome = release(&tree, &of_greeter());
    outcome.result.as_ref().unwrap();
    let bytes = bundled(&tree, "greeter.gwag");
    let service = Service::proto_bundle(&bytes);
    let of_files = Service::proto_dir(tree.path().join("proto"), "greeter.proto");
    let hash = of_files.hash().unwrap();
    assert_eq!(service.hash().unwrap(), hash);
    assert_eq!(locked(&tree), [format!("greeter v1 {hash}")]);
    let added = told(&outcome, "warning");
    assert!(
        added[0].starts_with("gwag.lock: warning[version-locked]: "),
        "{added:?}"
    );
    assert!(added[0].contains("commit the file"), "{added:?}");
    assert_eq!(
        told(&outcome, "rerun-if-changed"),
        [
            "gwag.lock",
            "proto/common/name.proto",
            "proto/greeter.proto"
        ]
    );
    assert_eq!(outcome.directives.len(), 4, "{outcome:?}");

    // A second run is the same, byte for byte; it does not even touch the lock file.
    let time = || {
        std::fs::metadata(tree.path().join(lock::FILE))
            .unwrap()
            .modified()
    };
    let before = time().unwrap();
    let outcome = release(&tree, &of_greeter());
    assert_eq!(told(&outcome, "warning"), [""; 0]);
    assert_eq!(bundled(&tree, "greeter.gwag"), bytes);
    assert_eq!(time().unwrap(), before);
}

#[test]
fn what_is_said_in_the_program_goes_before_the_bundle() {
    let tree = greeter();
    let bundle = of_greeter().namespace("hello").version("v7").name("it");
    debug(&tree, &bundle).result.unwrap();
    assert!(locked(&tree)[0].starts_with("hello v7 "));
    let service = Service::proto_bundle(bundled(&tree, "it.gwag"));
    let shown = |service: &Service| format!("{service:?}");
    assert!(shown(&service).contains("\"hello\""), "{service:?}");
    assert!(shown(&service).contains("\"v7\""), "{service:?}");
    let service = service.namespace("other").version("unstable");
    assert!(shown(&service).contains("\"other\""), "{service:?}");
    assert!(shown(&service).contains("\"unstable\""), "{service:?}");
    check(&[service.import("common/name.proto", NAME)]).unwrap();
}

/// As for a directory: the file's own path, not the name under which a gateway compiles it.
#[test]
fn the_program_tells_faults_by_the_names_of_the_files() {
    let tree = greeter();
    tree.add(
        "proto/greeter.proto",
        format!("{GREETER}service Two {{}}\n"),
    );
    let bundle = of_greeter().namespace("hi").allow(Rule::ProtoTwoServices);
    debug(&tree, &bundle).result.unwrap();
    let service = Service::proto_bundle(bundled(&tree, "greeter.gwag"));
    // The rules that the build script allowed stay allowed.
    check(std::slice::from_ref(&service)).unwrap();
    let service = service.import("common/name.proto", "syntax = \"proto3\"; message A {");
    let error = check(&[service]).unwrap_err();
    let files: Vec<_> = error.findings().errors().map(|it| it.file()).collect();
    assert_eq!(files, [Some("common/name.proto")]);
}

#[test]
fn every_fault_is_reported_with_its_place_on_disk() {
    let tree = greeter();
    let hello = "rpc Hello(common.Name) returns (common.Name);";
    let greeter = format!("{GREETER}service Two {{ {hello} }}\nservice Three {{ {hello} }}\n");
    tree.add("proto/greeter.proto", greeter);
    let outcome = debug(&tree, &of_greeter().allow(Rule::RequestSize));
    let errors = faults(&outcome);
    assert_eq!(errors.len(), 2, "{outcome:?}");
    assert!(
        errors[0].starts_with(
            "proto/greeter.proto:5:9: error[proto-two-services]: service `greeter`: `Two` is one"
        ),
        "{errors:?}"
    );
    assert!(
        errors[0].contains("; help: register each as a separate service with `.split_services()`"),
        "{errors:?}"
    );
    assert!(
        errors[1].starts_with("proto/greeter.proto:6:9: "),
        "{errors:?}"
    );
    let shown = format!("{:?}", failed(outcome, Rule::ProtoTwoServices));
    assert!(shown.contains("--> proto/greeter.proto:5:9"), "{shown}");
    assert!(
        shown.contains("`Bundle::allow(Rule::ProtoTwoServices)`"),
        "{shown}"
    );
    assert!(
        shown.contains("`allow` has no effect on `request-size`"),
        "{shown}"
    );
    assert!(!tree.path().join("out/greeter.gwag").exists());
    assert!(!tree.path().join(lock::FILE).exists());

    tree.add(
        "proto/common/name.proto",
        "syntax = \"proto3\";\nmessage Name {\n  strin text = 1\n}",
    );
    tree.add("proto/greeter.proto", GREETER);
    let outcome = debug(&tree, &of_greeter());
    let error = &faults(&outcome)[0];
    assert!(
        error.starts_with("proto/common/name.proto:4:1: error[proto-compile]: "),
        "{error}"
    );
}

#[test]
fn what_is_missing_is_reported() {
    let tree = greeter();
    std::fs::remove_file(tree.path().join("proto/common/name.proto")).unwrap();
    let outcome = debug(&tree, &of_greeter());
    let error = faults(&outcome)[0].clone();
    assert!(
        error.starts_with("proto/greeter.proto:3:8: error[proto-import-missing]"),
        "{error}"
    );
    assert!(error.contains("is not in the directory `proto`"), "{error}");
    failed(outcome, Rule::ProtoImportMissing);

    let missing = |entry: &str, includes: &[&str], telling: &str| {
        let bundle = Bundle::new(entry, includes);
        let error = failed(debug(&tree, &bundle), Rule::ProtoEntryMissing).to_string();
        assert!(error.contains(telling), "{error}");
    };
    missing(
        "proto/greet.proto",
        &["proto"],
        "`greet.proto` is not in the directory `proto`",
    );
    missing(
        "proto/greeter.proto",
        &["api"],
        "not below an include directory",
    );
    missing("proto/greeter.proto", &[], "add `proto`");
    tree.add("first/greeter.proto", "");
    missing(
        "proto/greeter.proto",
        &["first", "proto"],
        "is hidden by `first/greeter.proto`",
    );
}

#[test]
fn paths_may_be_written_in_several_ways() {
    let tree = greeter();
    tree.add("vendor/common/name.proto", NAME);
    std::fs::remove_file(tree.path().join("proto/common/name.proto")).unwrap();
    let absolute = tree.path().join("proto/greeter.proto");
    for (entry, includes) in [
        (Path::new("proto/greeter.proto"), ["proto/", "vendor"]),
        (Path::new("./proto/greeter.proto"), ["./proto", "vendor"]),
        (&absolute, ["proto", "vendor"]),
    ] {
        let outcome = debug(&tree, &Bundle::new(entry, includes));
        outcome.result.as_ref().unwrap();
        let read = told(&outcome, "rerun-if-changed");
        assert!(read.contains(&"vendor/common/name.proto"), "{read:?}");
    }
    tree.add("x/../sole.proto", "syntax = \"proto3\";");
    let outcome = debug(&tree, &Bundle::new("sole.proto", ["."]).version("unstable"));
    outcome.result.unwrap();
}

#[test]
fn bundles_of_one_build_script_have_names_and_lines_of_their_own() {
    let tree = greeter();
    tree.add("proto/v2/greeter.proto", GREETER);
    let second = Bundle::new("proto/v2/greeter.proto", ["proto"]).version("v2");
    debug(&tree, &of_greeter()).result.unwrap();
    let error = failed(debug(&tree, &second), Rule::BuildScript).to_string();
    assert!(
        error.contains("two bundles are called `greeter`"),
        "{error}"
    );
    assert!(error.contains("`proto/greeter.proto`"), "{error}");
    debug(&tree, &second.name("two")).result.unwrap();
    let versions = locked(&tree);
    let versions: Vec<_> = versions
        .iter()
        .filter_map(|it| it.rsplit_once(' '))
        .collect();
    assert_eq!(
        versions.iter().map(|it| it.0).collect::<Vec<_>>(),
        ["greeter v1", "greeter v2"]
    );
    let error = failed(
        debug(&tree, &of_greeter().name("no/where")),
        Rule::BuildScript,
    );
    assert!(error.to_string().contains("cannot be written"), "{error}");
}
