//! Every message about options, names and versions, in one file, to be read in one go. With
//! `UPDATE_GOLDEN=1` the test writes it. Those about schemas are in crates/schema/tests/data, those
//! of a gateway's silence or refusal in tests/life/words.

use std::time::Duration;

use tower_gwag::{Environment, GatewayRelease, Options, Rule, Service, Tls};

use super::golden::is_golden;
use super::root;

const PROTO: &str =
    "syntax = \"proto3\"; package p; message M {} service S { rpc Call(M) returns (M); }";

fn greeter() -> Service {
    Service::proto(PROTO).namespace("greeter")
}

fn pets(parameters: &str) -> Service {
    Service::openapi(format!(
        "{{openapi: 3.0.3, info: {{title: Pets, version: '1'}}, paths: {{/pets: {{get: {{operationId: list, \
         parameters: [{parameters}], responses: {{'200': {{description: all}}}}}}}}}}}}"
    ))
}

fn read(variables: &[(&str, &str)]) -> Options {
    let environment: Environment = variables.iter().copied().collect();
    let read = Options::from_environment(&environment).expect("options");
    read.service(greeter())
}

/// A name, and options with the fault that it names.
fn faults() -> Vec<(&'static str, Options)> {
    let options = || Options::new("gateway:50090");
    let with = |service: Service| options().service(service);
    let sound = || with(greeter());
    vec![
        (
            "setting-name",
            read(&[("GWAG_GATEWAY", "gateway:50090"), ("GWAG_TLL", "15s")]),
        ),
        (
            "setting-value",
            read(&[("GWAG_GATEWAY", "gateway:50090"), ("GWAG_TTL", "15s")])
                .ttl(Duration::from_secs(20)),
        ),
        (
            "gateway-address",
            Options::new("gateway").service(greeter()),
        ),
        ("gateway-http", sound().gateway_http("gateway:8080")),
        (
            "gateway-tls",
            Options::new("http://gateway:50090")
                .tls(Tls::new())
                .service(greeter()),
        ),
        ("no-services", options()),
        ("ttl", sound().ttl(Duration::from_millis(1500))),
        (
            "heartbeat-interval",
            sound().heartbeat_interval(Duration::from_secs(20)),
        ),
        ("timeouts", sound().drain_timeout(Duration::from_secs(60))),
        ("exclusive-instance", sound().exclusive_instance("pets#0")),
        ("metadata", sound().metadata("team name", "pets")),
        ("advertised-address", sound().advertise("0.0.0.0:50051")),
        (
            "advertised-address, a URL",
            sound().advertise("http://pets.example/v2"),
        ),
        ("schemas-unchecked", sound().unchecked_schemas()),
        ("not-allowable", sound().allow(Rule::Ttl)),
        ("namespace-missing", with(Service::proto(PROTO))),
        (
            "namespace-reserved",
            with(Service::proto(PROTO).namespace("greeter.v1")),
        ),
        (
            "namespace-length",
            with(Service::proto(PROTO).namespace("n".repeat(256))),
        ),
        (
            "namespace-name",
            with(Service::proto(PROTO).namespace("my-greeter")),
        ),
        (
            "namespace-built-in",
            with(Service::proto(PROTO).namespace("admin")),
        ),
        ("version-syntax", with(greeter().version("1.0"))),
        (
            "unstable-in-tagged-build",
            with(greeter().version("unstable")).build_tag("release-7"),
        ),
        ("duplicate-service", sound().service(greeter())),
        (
            "import-without-proto",
            with(pets("").import("a.proto", "syntax = \"proto3\";")),
        ),
        (
            "proto-bundle",
            with(Service::proto_bundle(b"not a bundle").namespace("greeter")),
        ),
        (
            "proto-entry-missing",
            with(Service::proto_dir([("b.proto", PROTO)].to_vec(), "a.proto")),
        ),
        (
            "descriptor-set",
            with(Service::descriptor_set(b"no set".to_vec(), "a.proto")),
        ),
        (
            "openapi-repaired",
            with(pets("{name: pet-id, in: query, schema: {type: string}}").repair()),
        ),
        (
            "graphql-endpoint",
            with(Service::graphql("graphql").namespace("books")),
        ),
        (
            "graphql-unchecked",
            with(Service::graphql("/graphql").namespace("books")),
        ),
        (
            "calls-header-name",
            with(pets("{name: X-Tenant, in: header, schema: {type: string}}"))
                .gateway_release(GatewayRelease::V1_1),
        ),
        (
            "calls-shared-routes",
            sound().service(greeter().version("v2")),
        ),
    ]
}

#[test]
fn messages_about_options_are_those_of_the_golden_file() {
    let path = root().join("tests/house/messages.txt");
    let mut messages = String::new();
    for (name, options) in faults() {
        let found = match options.check() {
            Ok(found) => found,
            Err(error) => error.findings().expect("findings").clone(),
        };
        assert!(!found.is_empty(), "{name}: nothing is found");
        messages.push_str(&format!("== {name}\n{found}\n\n"));
    }
    let unusable = [
        ("GWAG_GATEWAY", "gateway"),
        ("GWAG_TTL", "soon"),
        ("GWAG_PREFER_FIRST", "perhaps"),
    ];
    let environment: Environment = unusable.into_iter().collect();
    let error = Options::from_environment(&environment).expect_err("unusable");
    messages.push_str(&format!("== setting-value, of the environment\n{error}\n"));

    is_golden(&path, &messages);
}
