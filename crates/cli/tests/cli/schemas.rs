//! `check`, `schema`, `diff`, `hash`, `lock`, `explain`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::golden;
use crate::support::{Done, call, data, folder};

/// Compares the exit code and the output with a file of `tests/data/golden`.
#[track_caller]
fn is_golden(name: &str, done: &Done) {
    let text = format!("exit code {}\n{}", done.code, done.out);
    golden::is_golden(&data("golden").join(name), &text);
}

#[tokio::test]
async fn outputs_of_the_check_are_as_they_were() {
    let bad = ["shop.proto", "openapi.yaml", "books.graphql"];
    for format in ["human", "json", "github", "sarif"] {
        let arguments = [&["check", "--format", format][..], &bad].concat();
        is_golden(
            &format!("bad.{format}"),
            &call(&data("bad"), &arguments).await,
        );
        let good = ["check", "--format", format, "."];
        is_golden(&format!("good.{format}"), &call(&data("good"), &good).await);
    }
}

/// The two golden files passed a validator with the schema of SARIF 2.1.0, without an error. This holds later
/// output to the parts of the schema that it uses.
#[tokio::test]
async fn sarif_is_such_as_its_schema_wants() {
    let done = call(
        &data("bad"),
        &["check", "--format", "sarif", "shop.proto", "openapi.yaml"],
    )
    .await;
    let sarif = done.json();
    has_only(&sarif, &["$schema", "version", "runs"]);
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    has_only(run, &["tool", "columnKind", "results"]);
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let driver = &run["tool"]["driver"];
    has_only(driver, &["name", "semanticVersion", "rules"]);
    assert!(driver["name"].is_string());
    let rules = driver["rules"].as_array().expect("rules");
    for rule in rules {
        has_only(rule, &["id", "shortDescription", "help"]);
        assert!(
            rule["shortDescription"]["text"]
                .as_str()
                .is_some_and(|it| it.len() > 10),
            "{rule}"
        );
    }
    let results = run["results"].as_array().expect("results");
    assert!(results.len() > 3);
    for result in results {
        has_only(
            result,
            &["ruleId", "ruleIndex", "level", "message", "locations"],
        );
        let index =
            usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(matches!(
            result["level"].as_str(),
            Some("error" | "warning")
        ));
        assert!(result["message"]["text"].is_string());
        let physical = &result["locations"][0]["physicalLocation"];
        let uri = physical["artifactLocation"]["uri"]
            .as_str()
            .expect("a file");
        assert!(data("bad").join(uri).is_file(), "{uri}");
        for number in ["startLine", "startColumn"] {
            assert!(
                physical["region"][number].as_u64().is_some_and(|it| it > 0),
                "{result}"
            );
        }
    }
}

#[track_caller]
fn has_only(value: &Value, keys: &[&str]) {
    let has = value.as_object().expect("an object").keys();
    let other: Vec<_> = has.filter(|it| !keys.contains(&it.as_str())).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[tokio::test]
async fn annotations_have_a_file_and_a_line() {
    let done = call(
        &data("bad"),
        &[
            "check",
            "--format",
            "github",
            "shop.proto",
            "openapi.yaml",
            "books.graphql",
        ],
    )
    .await;
    assert!(done.out.lines().count() > 5, "{done:?}");
    for line in done.out.lines() {
        let properties = line
            .strip_prefix("::error ")
            .or_else(|| line.strip_prefix("::warning "));
        let properties = properties
            .unwrap_or_else(|| panic!("{line}"))
            .split("::")
            .next()
            .unwrap();
        let find = |name: &str| {
            properties
                .split(',')
                .find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
        };
        assert!(
            data("bad").join(find("file").expect("a file")).is_file(),
            "{line}"
        );
        assert!(
            find("line")
                .and_then(|it| it.parse::<u32>().ok())
                .is_some_and(|it| it > 0),
            "{line}"
        );
    }
}

fn real_world() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/real_world/openapi");
    let entries = std::fs::read_dir(folder).expect("documents");
    let mut all: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
    all.sort();
    assert!(all.len() > 10);
    all
}

/// In the repository's own documents in the style of public APIs.
#[tokio::test]
async fn what_is_repaired_passes_and_stays_as_it_is() {
    let folder = folder("");
    let mut repaired = Vec::new();
    let mut in_place = 0;
    for document in real_world() {
        let name = document.file_name().unwrap().to_str().unwrap().to_owned();
        let original = std::fs::read_to_string(&document).unwrap();
        let file = folder.join(&name);
        std::fs::write(&file, &original).unwrap();
        let before = call(&folder, &["check", &name]).await;
        let fixed = call(&folder, &["check", "--fix", &name]).await;
        let text = std::fs::read_to_string(&file).unwrap();
        if name.ends_with(".yaml") {
            assert!(!text.starts_with('{'), "{name}: YAML stays YAML");
        }
        if before.code == 1 && fixed.code == 0 {
            // Comments are the first to go where a document is written anew.
            let comments = |it: &str| it.matches(" # ").count();
            assert_eq!(comments(&text), comments(&original), "{name}");
            in_place += usize::from(!fixed.err.contains("rewritten"));
            assert!(
                fixed.out.contains(&format!("--- {name}\n+++ {name}\n@@")),
                "{fixed:?}"
            );
            repaired.push(name.clone());
        }
        let again = call(&folder, &["check", "--fix", &name]).await;
        assert_eq!(again.code, fixed.code, "{name}");
        assert!(!again.out.contains("@@"), "{name}: {again:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "{name}");
    }
    println!("repaired, {in_place} in place: {repaired:?}");
    // As many as the library repairs of these files.
    let wanted = [
        "back_office.json",
        "chat.yaml",
        "code_hosting.yaml",
        "ledger.yaml",
        "payments.json",
        "status.yaml",
        "video.yaml",
    ];
    assert_eq!(repaired, wanted);
    assert_eq!(in_place, repaired.len());
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let folder = folder("bad");
    let before = std::fs::read(folder.join("openapi.yaml")).unwrap();
    let done = call(&folder, &["check", "--fix", "--dry-run", "openapi.yaml"]).await;
    assert!(done.out.contains("+  /pets/{pet_id}:"), "{done:?}");
    assert_eq!(std::fs::read(folder.join("openapi.yaml")).unwrap(), before);
    // The links of a path are followed, not replaced.
    std::os::unix::fs::symlink("openapi.yaml", folder.join("link.yaml")).unwrap();
    call(&folder, &["check", "--fix", "link.yaml"])
        .await
        .ends_with(0);
    assert!(
        std::fs::symlink_metadata(folder.join("link.yaml"))
            .unwrap()
            .is_symlink()
    );
    call(&folder, &["check", "openapi.yaml"]).await.ends_with(0);
}

#[tokio::test]
async fn rules_are_allowed_and_warnings_denied() {
    let bad = data("bad");
    call(
        &bad,
        &[
            "check",
            "shop.proto",
            "--split",
            "--allow",
            "proto-free-json",
        ],
    )
    .await
    .ends_with(0);
    call(&bad, &["check", "shop.proto", "--allow", "no-such-rule"])
        .await
        .ends_with(2)
        .says("no-such-rule");
    // A namespace that gateways have themselves is a warning.
    let good = data("good");
    let named = ["check", "proto/greeter.proto", "--namespace", "ps"];
    call(&good, &named)
        .await
        .ends_with(0)
        .says("namespace-built-in");
    call(&good, &[&named[..], &["--deny-warnings"]].concat())
        .await
        .ends_with(1);
}

#[tokio::test]
async fn changes_are_reported_with_the_code_for_ci() {
    let folder = folder("good");
    std::fs::create_dir(folder.join("old")).unwrap();
    let old = std::fs::read_to_string(folder.join("proto/greeter.proto")).unwrap();
    std::fs::write(folder.join("old/greeter.proto"), &old).unwrap();
    let arguments = ["diff", "old/greeter.proto", "proto/greeter.proto"];
    call(&folder, &arguments)
        .await
        .ends_with(0)
        .says("no change that callers notice");
    std::fs::write(
        folder.join("proto/greeter.proto"),
        old.replace("string name = 1", "int32 name = 1"),
    )
    .unwrap();
    let done = call(&folder, &arguments).await.ends_with(1);
    assert!(
        done.out.contains("breaking (gRPC)") && done.out.contains("--> proto/greeter.proto:3"),
        "{done:?}"
    );
    call(&folder, &[&arguments[..], &["--fail-on", "never"]].concat())
        .await
        .ends_with(0);
    let json = call(&folder, &[&arguments[..], &["--json"]].concat())
        .await
        .ends_with(1)
        .json();
    assert_eq!(json["changes"][0]["level"], "breaking");
    // Of several documents the one at fault is named.
    std::fs::copy(data("bad/openapi.yaml"), folder.join("other.yaml")).unwrap();
    let both = ["schema", "pets.yaml", "other.yaml"];
    call(&folder, &both)
        .await
        .ends_with(1)
        .says("--> other.yaml:");
    // The error names the one of the two that is at fault.
    std::fs::write(
        folder.join("old/greeter.proto"),
        "syntax = \"proto3\"; message {",
    )
    .unwrap();
    call(&folder, &arguments)
        .await
        .ends_with(1)
        .says("--> old/greeter.proto:1");
}

#[tokio::test]
async fn a_lock_file_keeps_versions_to_their_schemas() {
    let folder = folder("good");
    let lock = ["lock", "."];
    call(&folder, &[&lock[..], &["--check"]].concat())
        .await
        .ends_with(1)
        .says("no line for");
    call(&folder, &lock).await.ends_with(0).says("greeter v2 ");
    let text = std::fs::read_to_string(folder.join("gwag.lock")).unwrap();
    call(&folder, &[&lock[..], &["--check"]].concat())
        .await
        .ends_with(0);
    let source = std::fs::read_to_string(folder.join("proto/greeter.proto")).unwrap();
    std::fs::write(
        folder.join("proto/greeter.proto"),
        source.replace("string name", "bytes name"),
    )
    .unwrap();
    call(&folder, &lock)
        .await
        .ends_with(1)
        .says("bump it to v3");
    assert_eq!(
        std::fs::read_to_string(folder.join("gwag.lock")).unwrap(),
        text
    );
    std::fs::write(folder.join("gwag.lock"), "<<<<<<< ours\n").unwrap();
    call(&folder, &lock)
        .await
        .ends_with(3)
        .says("gwag.lock:1:1");
}

/// The hashes of the contract.
#[tokio::test]
async fn hashes_are_those_of_gateways() {
    let folder = folder("");
    let source = "syntax = \"proto3\";\npackage demo.v1;\nmessage Req { string a = 1; }\nmessage Resp { string b = 1; }\nservice Demo { rpc Ping(Req) returns (Resp); }\n";
    std::fs::write(folder.join("demo.proto"), source).unwrap();
    let done = call(&folder, &["hash", "demo.proto"]).await.ends_with(0);
    assert_eq!(
        done.out,
        "57d1f475ad0502d11a0fed469840b17478c28436ec328dbb7a7554e266f69ace  demo/v1\n"
    );
    let done = call(&folder, &["hash", "demo.proto", "--namespace", "demo2"])
        .await
        .ends_with(0);
    assert!(
        done.out.starts_with(
            "2c88ef32aa380bdeed5abcbc7e8de5db191e65c829db709f36f7516cec94be27  demo2/v1"
        ),
        "{done:?}"
    );
}

#[tokio::test]
async fn every_rule_is_explained() {
    let all: Vec<&str> = tower_gwag::Rule::ALL.iter().map(|it| it.id()).collect();
    let done = call(&data("good"), &[&["explain"][..], &all].concat())
        .await
        .ends_with(0);
    for rule in all {
        assert!(done.out.contains(&format!("{rule}\n\n")), "{rule}");
    }
    assert!(done.out.contains("bad:\n    syntax") && done.out.contains("good:\n    syntax"));
    assert!(!done.out.contains("```"));
}

#[tokio::test]
async fn what_becomes_of_calls_is_explained() {
    let done = call(
        &data("good"),
        &["explain", "pets.yaml", "proto/greeter.proto"],
    )
    .await;
    let done = done
        .ends_with(0)
        .says("GET /pets")
        .says("/greeter.v1.Greeter/Greet");
    for ingress in ["gRPC", "HTTP", "GraphQL"] {
        assert!(done.out.contains(ingress), "{done:?}");
    }
}

#[tokio::test]
async fn imports_are_found_above_the_file() {
    let folder = folder("");
    std::fs::create_dir_all(folder.join("proto/shop/v1")).unwrap();
    let types = "syntax = \"proto3\"; package shop.v1; message Item { string name = 1; }";
    std::fs::write(folder.join("proto/shop/v1/types.proto"), types).unwrap();
    let entry = "syntax = \"proto3\"; package shop.v1; import \"shop/v1/types.proto\";\nservice Shop { rpc Get(Item) returns (Item); }";
    std::fs::write(folder.join("proto/shop/v1/shop.proto"), entry).unwrap();
    call(&folder, &["check", "proto/shop/v1/shop.proto"])
        .await
        .ends_with(0);
    call(
        &folder,
        &["check", "-I", "proto", "proto/shop/v1/shop.proto"],
    )
    .await
    .ends_with(0);
    call(
        &folder,
        &["check", "-I", "proto/shop", "proto/shop/v1/shop.proto"],
    )
    .await
    .ends_with(1)
    .says("proto-import-missing");
    // A fault in an imported file is reported at its place in that file.
    std::fs::write(
        folder.join("proto/shop/v1/types.proto"),
        types.replace("string name", "strin name"),
    )
    .unwrap();
    call(&folder, &["check", "proto/shop/v1/shop.proto"])
        .await
        .ends_with(1)
        .says("--> proto/shop/v1/types.proto:1:");
}
