//! `Options::check` against what real gateways refused and could serve, and the hashes they showed.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Deserialize;
use tower_gwag::{Finding, Options, Rule, Service};

use crate::cases::{Case, list};
use crate::shown::show;
use crate::wire::{self, proto::ServiceBinding};

/// Refusals for another reason than the content of the request: its address, what else is
/// registered, the policy of the gateway, an endpoint that does not answer.
const OTHER_REASONS: [&str; 9] = [
    "addr is required",
    "at least one",
    "dial ",
    "different schema hash",
    "different concurrency caps",
    "already registered as",
    "--allow-tier",
    "introspect",
    "parse introspection",
];

/// What a gateway accepts and `check` refuses.
const STRICTER: [(&str, &str); 3] = [
    (
        "import-key-equals-entry",
        "an unused import of the entry's name replaces a source that is garbage; it is not sent",
    ),
    (
        "proto-ns-empty",
        "a gateway calls every such service `entry`, so that the second one collides",
    ),
    (
        "ns-len-1000",
        "255 bytes are the most: about 4,090 end a clustered gateway's store",
    ),
];

/// What cannot be said with `Options`: more or fewer than one schema in a service.
const UNSAYABLE: [&str; 4] = [
    "two-schemas-proto-openapi",
    "two-schemas-proto-graphql",
    "three-schemas",
    "imports-only",
];

/// The options that make this request; the address is left to the listener.
fn options(case: &Case) -> Options {
    let request = wire::register(&case.request);
    let mut options = Options::new("gateway:1").services(request.services.into_iter().map(service));
    if request.ttl_seconds > 0 {
        options = options.ttl(Duration::from_secs(request.ttl_seconds.into()));
    }
    options.instance_id(request.instance_id)
}

fn service(binding: ServiceBinding) -> Service {
    let mut service = if !binding.openapi_spec.is_empty() {
        Service::openapi(binding.openapi_spec)
    } else if !binding.graphql_endpoint.is_empty() {
        Service::graphql(binding.graphql_endpoint)
    } else {
        Service::proto(binding.proto_source)
    };
    for (path, source) in binding.proto_imports {
        service = service.import(path, source);
    }
    if !binding.namespace.is_empty() {
        service = service.namespace(binding.namespace);
    }
    service
        .version(binding.version)
        .max_concurrency(binding.max_concurrency)
        .max_concurrency_per_instance(binding.max_concurrency_per_instance)
}

#[test]
fn check_refuses_what_standalone_refuses_for_its_content() {
    let endpoint = "127.0.0.1:1".parse().unwrap();
    let lists = ["validation", "replicas"];
    let cases = lists.into_iter().flat_map(|name| list(name, endpoint));
    let cases: Vec<Case> = cases.filter(|case| case.method == "Register").collect();
    let (mut compared, mut stricter, mut wrong) = (0, Vec::new(), Vec::new());
    for case in &cases {
        let reason = case.message_contains.as_deref().unwrap_or_default();
        let accepted = case.code == "OK";
        let other = OTHER_REASONS.iter().any(|it| reason.contains(it));
        let other = other || case.code == "DEADLINE_EXCEEDED";
        if UNSAYABLE.contains(&&*case.id) || (!accepted && other) {
            continue;
        }
        compared += 1;
        match (accepted, options(case).check()) {
            (true, Err(_)) if STRICTER.iter().any(|(id, _)| *id == case.id) => {
                stricter.push(&case.id);
            }
            (true, Err(error)) => wrong.push(format!("{}: refused: {error}", case.id)),
            (false, Ok(_)) => wrong.push(format!("{}: accepted, though {reason}", case.id)),
            (true, Ok(_)) | (false, Err(_)) => {}
        }
    }
    show(format_args!(
        "check: {compared} of {} Register cases are about content, {} exceptions: {stricter:?}",
        cases.len(),
        stricter.len()
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(stricter.len(), STRICTER.len(), "{stricter:?}");
    assert!(stricter.len() * 50 < cases.len(), "2 % are too many");
}

#[derive(Deserialize)]
struct Render {
    id: String,
    kind: String,
    source: String,
    served: bool,
}

/// The rule that each case breaks which is not served.
const BROKEN: [(&str, Rule); 37] = [
    ("map_string_string_resp", Rule::ProtoFreeJson),
    ("struct_request", Rule::ProtoFreeJson),
    ("value_response", Rule::ProtoFreeJson),
    ("method_same_as_version", Rule::ProtoMethodName),
    ("map_of_messages_response", Rule::ProtoFreeJson),
    ("underscore_names_collide", Rule::ProtoTypeName),
    ("enum", Rule::OpenApiEnumValue),
    ("opid_dot", Rule::OpenApiOperationIdName),
    ("opid_space", Rule::OpenApiOperationIdName),
    ("opid_stable", Rule::OpenApiOperationIdCollision),
    ("path_param", Rule::OpenApiParameterName),
    ("query_array", Rule::OpenApiParameterName),
    ("two_ops_same_id", Rule::OpenApiOperationIdDuplicate),
    ("body_anyof_refs", Rule::OpenApiUnionInput),
    ("body_comp_oneof", Rule::OpenApiUnionInput),
    ("body_items_oneof", Rule::OpenApiUnionInput),
    ("body_oneof_inline", Rule::OpenApiUnionInput),
    ("coll_Foo_in_FooInput_out", Rule::OpenApiTypeName),
    ("coll_xBodyInput_out", Rule::OpenApiTypeName),
    ("comp_dot_resp200", Rule::OpenApiComponentName),
    ("ex_allof_anyof_body30", Rule::OpenApiExample),
    ("ex_allof_ref_anyof31", Rule::OpenApiExample),
    ("ex_anyof30", Rule::OpenApiExample),
    ("ex_anyof_required_only_31", Rule::OpenApiExample),
    ("ex_required_only_anyof_30", Rule::OpenApiExample),
    ("ex_required_only_direct_30", Rule::OpenApiExample),
    ("ex_required_only_oneof_30", Rule::OpenApiExample),
    ("ex_required_only_prop_30", Rule::OpenApiExample),
    ("header_oneof", Rule::OpenApiUnionInput),
    ("in_named_single_anyof", Rule::OpenApiUnionInput),
    ("multipart_oneof", Rule::OpenApiUnionInput),
    ("p_nested_Q_in_Q_Input_out", Rule::ProtoTypeName),
    ("p_nested_Q_in_QdotInput_out", Rule::ProtoTypeName),
    ("p_update_Input_enum", Rule::ProtoTypeName),
    ("query_oneof_refs", Rule::OpenApiUnionInput),
    ("type_array_in_30", Rule::OpenApiShape),
    ("utoipa_command", Rule::OpenApiUnionInput),
];

/// Documents without operations: there is nothing to serve, which is worth a warning.
const WITHOUT_OPERATIONS: [&str; 2] = ["paths_without_ops", "webhooks_only31"];

#[test]
fn check_refuses_what_cannot_be_rendered_and_names_the_rule() {
    let cases: Vec<Render> =
        serde_json::from_str(include_str!("../../../schema/tests/data/render-cases.json")).unwrap();
    let broken: HashMap<_, _> = BROKEN.into_iter().collect();
    let mut wrong = Vec::new();
    for case in &cases {
        let service = match case.kind.as_str() {
            "proto" => Service::proto(case.source.as_str()),
            _ => Service::openapi(case.source.as_str()),
        };
        let options = Options::new("gateway:1").service(service.namespace("s"));
        match options.check() {
            Ok(_) if case.served => {}
            Ok(found) if WITHOUT_OPERATIONS.contains(&&*case.id) => {
                let rules: Vec<_> = found.warnings().map(Finding::rule).collect();
                assert_eq!(rules, [Rule::OpenApiNoOperations], "{}", case.id);
            }
            Ok(_) => wrong.push(format!("{}: accepted", case.id)),
            Err(error) => {
                let findings = error.findings().unwrap();
                let rules: Vec<_> = findings.errors().map(Finding::rule).collect();
                if case.served || rules.first() != broken.get(&*case.id) {
                    wrong.push(format!("{}: {rules:?}", case.id));
                }
                // Each tells where, and how to go on.
                for finding in findings.errors() {
                    if finding.line().is_none() || finding.remedy().is_none() {
                        wrong.push(format!("{}: {finding}", case.id));
                    }
                }
                // A proven false alarm can be let through.
                let allowed = rules.iter().fold(options, |it, rule| it.allow(*rule));
                if allowed.check().is_err() {
                    wrong.push(format!("{}: not to be allowed", case.id));
                }
            }
        }
    }
    show(format_args!("check: {} cases of rendering", cases.len()));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// proto3 sources whose hash cannot be known here for sure, and why.
const UNSURE: [(&str, &str); 4] = [
    ("customopt", "custom options"),
    ("retention", "options younger than the compiler used here"),
    ("wkt_api", "the gateway has its own api.proto"),
    ("wkts", "the gateway has its own api.proto"),
];

#[derive(Deserialize)]
struct Vector {
    name: String,
    namespace: String,
    proto_source: String,
    proto_imports: BTreeMap<String, String>,
    hash_hex: String,
}

#[test]
fn hashes_are_exact_or_marked_as_unsure() {
    let texts = [
        include_str!("../../../schema/tests/data/hash-vectors.json"),
        include_str!("../../../schema/tests/data/hash-vectors-compiler.json"),
    ];
    let vectors = texts.map(|text| serde_json::from_str::<Vec<Vector>>(text).unwrap());
    let (mut exact, mut unsure, mut wrong) = (0, Vec::new(), Vec::new());
    for vector in vectors.into_iter().flatten() {
        let is_old = ["proto2", "edition"]
            .iter()
            .any(|it| vector.proto_source.contains(it));
        let mut service = Service::proto(vector.proto_source).namespace(&vector.namespace);
        for (path, source) in vector.proto_imports {
            service = service.import(path, source);
        }
        let hash = match service.hash() {
            Ok(hash) => hash,
            // A source of white space alone is a mistake, though gateways take it.
            Err(error) if error.rule() == Rule::ProtoEntryMissing => {
                unsure.push(vector.name);
                continue;
            }
            Err(error) => panic!("{}: {error}", vector.name),
        };
        if hash.is_exact() {
            exact += 1;
            if hash.hex() != Some(&vector.hash_hex) {
                wrong.push(format!("{}: {hash}", vector.name));
            }
        } else if is_old || UNSURE.iter().any(|(name, _)| *name == vector.name) {
            unsure.push(vector.name);
        } else {
            wrong.push(format!("{}: {hash}", vector.name));
        }
    }
    show(format_args!(
        "hash: {exact} exact, {} unsure: {unsure:?}",
        unsure.len()
    ));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_source_without_its_import_has_no_hash() {
    let service = Service::proto("import \"a.proto\";").namespace("s");
    let error = service.hash().unwrap_err();
    assert_eq!(error.rule(), Rule::ProtoImportMissing);
    let graphql = Service::graphql("/graphql").namespace("s").hash().unwrap();
    assert!(!graphql.is_exact() && graphql.hex().is_none());
}
