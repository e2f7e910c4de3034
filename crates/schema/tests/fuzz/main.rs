//! Any names, versions, protos and OpenAPI documents: `Options::check` and `Service::hash` end
//! soon, in bounded memory, without a panic. `PROPTEST_CASES` says how often.

mod descriptors;
mod documents;
mod hashing;
mod protos;
mod sources;

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tower_gwag::{Findings, Options, Rule, Service};

use descriptors::{damaged_set, odd_set};
use documents::any_document;
use protos::any_proto;
use sources::{MONEY, PROTO2, mutated};

/// No check takes so long, not where the machine is busy with other things either.
const LONGEST: Duration = Duration::from_secs(60);

/// More memory than any check takes at its height, in bytes.
const LARGEST: u64 = 400 << 20;

fn ends(service: Service) {
    let begun = Instant::now();
    let used = allocation_counter::measure(|| {
        let _ = service.hash();
        let options = Options::new("gateway:1").service(service);
        let shown = match options.check() {
            Ok(findings) => findings.to_string(),
            Err(error) => error.to_string(),
        };
        drop(shown);
    });
    assert!(begun.elapsed() < LONGEST, "{:?}", begun.elapsed());
    assert!(used.bytes_max < LARGEST, "{} bytes", used.bytes_max);
}

fn found(service: Service) -> Findings {
    let checked = Options::new("gateway:1").service(service).check();
    checked.unwrap_or_else(|error| error.findings().cloned().unwrap_or_default())
}

fn told(findings: &Findings, rule: Rule) -> bool {
    findings.iter().any(|it| it.rule() == rule)
}

proptest! {
    #[test]
    fn names_and_versions(namespace in "(?s).{0,40}|[a-z_-]{200,300}", version in "(?s).{0,8}|v[0-9]{0,25}",
        endpoint in "(?s).{0,20}|https?://.{0,10}", title in "(?s).{0,30}") {
        ends(Service::proto("syntax = \"proto3\"; message M {}").namespace(&*namespace).version(&*version));
        ends(Service::graphql(endpoint).namespace(namespace));
        let document = serde_json::json!({
            "openapi": "3.0.0", "info": {"title": title, "version": version}, "paths": {},
        });
        ends(Service::openapi(document));
    }

    #[test]
    fn protos(source in any_proto(), namespace in select(&["s", "common/money", "my-svc", ""][..])) {
        ends(Service::proto(source).namespace(namespace).import("common/money.proto", MONEY));
    }

    #[test]
    fn proto_files(entry in any_proto(), imported in mutated(&[MONEY, PROTO2])) {
        let files = [("shop.proto", entry.as_str()), ("common/money.proto", &imported)];
        ends(Service::proto_dir(files, "shop.proto"));
    }

    #[test]
    fn split_protos(source in any_proto(), namespace in select(&["s", "my-svc", ""][..])) {
        ends(Service::proto(source.as_str()).split_services());
        ends(Service::proto(source).namespace(namespace).split_services());
    }

    #[test]
    fn descriptor_sets(set in prop_oneof![damaged_set(), odd_set()]) {
        ends(Service::descriptor_set(set.as_slice(), "a.proto"));
        ends(Service::descriptor_set(set, "a.proto").split_services());
    }

    #[test]
    fn openapi_documents(document in any_document()) {
        ends(Service::openapi(document.as_str()));
        ends(Service::openapi(document).namespace("s"));
    }

    /// What a repair can do, it does; what was good, it leaves.
    #[test]
    fn repairs_of_openapi_documents(document in any_document()) {
        let text = document.clone();
        let service = Service::openapi(document).namespace("s");
        let plain = found(service.clone());
        let repaired = found(service.clone().repair());
        ends(service.clone().repair());
        if plain.errors().next().is_none() {
            prop_assert!(repaired.errors().next().is_none(), "{repaired}");
        }
        if !told(&repaired, Rule::OpenApiRepaired) {
            prop_assert_eq!(service.clone().hash().ok(), service.repair().hash().ok());
        }
        if documents::has_operations_only(&text) {
            for rule in [
                Rule::OpenApiOperationIdMissing,
                Rule::OpenApiOperationIdName,
                Rule::OpenApiOperationIdDuplicate,
                Rule::OpenApiOperationIdCollision,
            ] {
                prop_assert!(!told(&repaired, rule), "{repaired}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text(bytes in vec(any::<u8>(), 0..200)) {
        ends(Service::proto(bytes.as_slice()).namespace("s"));
        ends(Service::openapi(bytes));
    }
}

/// Unoptimized code is ten times as slow.
const MANY: usize = if cfg!(debug_assertions) {
    3_000
} else {
    20_000
};

/// Large ones: what takes more than linear time takes forever here.
#[test]
fn large_sources_end_too() {
    let many = |piece: fn(usize) -> String, count: usize| (0..count).map(piece).collect::<String>();
    let proto =
        |body: String| Service::proto(format!("syntax = \"proto3\"; {body}")).namespace("s");
    ends(proto(many(
        |n| format!("message M{n} {{ M{} m = 1; }}\n", n + 1),
        MANY / 4,
    )));
    ends(proto(many(
        |n| format!("message M{n} {{ Missing m = 1; }} "),
        MANY / 10,
    )));
    ends(proto(many(
        |n| format!("message M {{ string a{n} = 1; }} "),
        MANY / 10,
    )));
    let chain = many(|n| format!("message M{n} {{ M{} m = 1; }}\n", n + 1), MANY);
    let chain = format!("{chain} message M{MANY} {{}} service S {{ rpc R(M0) returns (M0); }}");
    ends(proto(chain));
    let schemas = many(
        |n| {
            format!(
                "\"A{n}\":{{\"properties\":{{\"a\":{{\"$ref\":\"#/components/schemas/A{}\"}}}}}},",
                n + 1
            )
        },
        MANY,
    );
    ends(Service::openapi(format!(
        "{{\"openapi\":\"3.0.0\",\"info\":{{\"title\":\"t\",\"version\":\"1\"}},\"paths\":{{\"/\":{{\"get\":{{\
         \"operationId\":\"a\",\"responses\":{{\"200\":{{\"content\":{{\"x\":{{\"schema\":{{\"$ref\":\
         \"#/components/schemas/A0\"}}}}}}}}}}}}}}}},\"components\":{{\"schemas\":{{{schemas}\"A{MANY}\":{{}}}}}}}}"
    )));
    let bad = many(
        |n| {
            format!(
                "  /p/{{a-{n}}}/{{b-{n}}}:\n    get: {{parameters: [{{in: path, name: a-{n}}}, \
                 {{in: path, name: b-{n}}}]}}\n"
            )
        },
        MANY / 40,
    );
    let document = format!("openapi: 3.0.0\ninfo: {{title: t, version: '1'}}\npaths:\n{bad}");
    ends(Service::openapi(document).repair());
    let bad = many(
        |n| format!("  /p{n}:\n    get: {{operationId: a-b}}\n"),
        MANY / 4,
    );
    ends(Service::openapi(format!(
        "openapi: 3.0.0\ninfo: {{title: t, version: '1'}}\npaths:\n{bad}"
    )));
}
