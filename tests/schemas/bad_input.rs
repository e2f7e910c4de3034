//! Bad input is refused by `check()`, and by the listeners, before anything reaches the network:
//! each fault with a kind of its own and a message that says what to do.

use std::net::TcpListener;
use std::time::Duration;

use tower_gwag::{ErrorKind, GwagRegistrationLayer, Options, Service, Version};

const PROTO: &str = "syntax = \"proto3\"; package a.v1;";

/// A gateway address that notices every connection.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn options(&self) -> Options {
        Options::new(self.0.local_addr().unwrap())
    }

    fn assert_untouched(&self) {
        let touched = self.0.accept().is_ok();
        assert!(!touched, "a connection was made");
    }
}

fn good() -> Service {
    Service::proto(PROTO).namespace("a")
}

/// Refused by `check()`, and alike by both listeners; the message has each of `telling`.
#[track_caller]
#[allow(clippy::needless_pass_by_value, reason = "options are built in place")]
fn refused(options: Options, kind: ErrorKind, telling: &[&str]) {
    let error = options.check().expect_err("refused");
    assert_eq!(error.kind(), kind, "{error}");
    let message = error.to_string();
    for part in telling {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _runtime = runtime.enter();
    for tonic in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let registration = GwagRegistrationLayer::new(options.clone()).registration();
        let error = if tonic {
            registration.incoming(listener).map(drop)
        } else {
            registration.listener(listener).map(drop)
        };
        assert_eq!(error.expect_err("refused").kind(), kind);
    }
}

fn refused_service(service: Service, kind: ErrorKind, telling: &[&str]) {
    let trap = Trap::set();
    refused(trap.options().service(service), kind, telling);
    trap.assert_untouched();
}

#[test]
fn what_is_good_passes() {
    let trap = Trap::set();
    let options = trap
        .options()
        .service(good())
        .service(good().version("v2"))
        .service(good().version(Version::UNSTABLE))
        .ttl(Duration::from_secs(5))
        .heartbeat_interval(Duration::from_millis(2_500));
    options.check().unwrap();
    trap.assert_untouched();
}

#[test]
fn no_services() {
    let trap = Trap::set();
    refused(trap.options(), ErrorKind::NoServices, &["Options::service"]);
    trap.assert_untouched();
}

#[test]
fn names_that_the_gateway_cannot_take() {
    let named = |namespace: &str| Service::proto(PROTO).namespace(namespace);
    let reserved = ErrorKind::InvalidNamespace;
    refused_service(named("a.b"), reserved, &["`a.b`", "`.`", "`a_b` would do"]);
    refused_service(named("a$"), reserved, &["`$`"]);
    let name = ErrorKind::InvalidName;
    refused_service(named("my-svc"), name, &["my-svc", "`my_svc` would do"]);
    refused_service(named("1a"), name, &["`_1a` would do"]);
    refused_service(named("größe"), name, &["would do"]);
    refused_service(named(&"n".repeat(256)), reserved, &["256 bytes"]);
    let missing = ErrorKind::MissingNamespace;
    refused_service(Service::proto(PROTO), missing, &["no. 1", ".namespace("]);
    refused_service(named(""), missing, &[".namespace("]);
    refused_service(Service::graphql("/graphql"), missing, &["GraphQL"]);
    refused_service(
        Service::openapi("openapi: 3.0.3\n"),
        missing,
        &["info.title"],
    );
}

#[test]
fn versions_that_are_none() {
    for version in ["v0", "V1", "1", "v01", "latest", "v1 "] {
        let service = good().version(version);
        refused_service(service, ErrorKind::InvalidVersion, &["`a`", version, "vN"]);
    }
    let service = good().version("stable");
    refused_service(service, ErrorKind::InvalidVersion, &["alias"]);
}

#[test]
fn one_service_twice() {
    let trap = Trap::set();
    let options = trap.options().service(good()).service(good().version("v1"));
    refused(options, ErrorKind::DuplicateService, &["`a/v1`", "twice"]);
    trap.assert_untouched();
}

#[test]
fn ttls_that_the_wire_cannot_carry() {
    let trap = Trap::set();
    for (ttl, why) in [
        (Duration::from_millis(500), "the minimum is 1 s"),
        (Duration::ZERO, "the minimum is 1 s"),
        (Duration::from_millis(1_999), "whole seconds"),
        (Duration::from_secs(1 << 33), "32 bits"),
    ] {
        let options = trap.options().service(good()).ttl(ttl);
        refused(options, ErrorKind::InvalidTtl, &[why]);
    }
    trap.assert_untouched();
}

#[test]
fn beats_slower_than_half_the_ttl() {
    let trap = Trap::set();
    let kind = ErrorKind::InvalidHeartbeatInterval;
    let beat = |seconds| {
        let options = trap.options().service(good());
        options.heartbeat_interval(Duration::from_secs(seconds))
    };
    refused(beat(16), kind, &["half the TTL", "15s"]);
    refused(beat(15).ttl(Duration::from_secs(2)), kind, &["1s"]);
    refused(beat(0), kind, &["shorter than"]);
    beat(15).check().unwrap();
    trap.assert_untouched();
}

#[test]
fn unstable_with_a_build_tag() {
    let trap = Trap::set();
    let unstable = trap.options().service(good().version("unstable"));
    refused(
        unstable.clone().build_tag("r42"),
        ErrorKind::UnstableInTaggedBuild,
        &["`a/unstable`", "`r42`"],
    );
    unstable.build_tag("").check().unwrap();
    trap.assert_untouched();
}

#[test]
fn proto_files_that_are_not_there() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter/proto");
    Options::new("g:1")
        .service(Service::proto_dir(dir, "greeter.proto"))
        .check()
        .unwrap();
    let entry = ErrorKind::MissingProtoEntry;
    refused_service(Service::proto_dir(dir, ""), entry, &["entry file"]);
    refused_service(
        Service::proto_dir(dir, "no.proto"),
        entry,
        &["no.proto", dir],
    );
    refused_service(Service::proto_dir(dir, "../greeter.proto"), entry, &[dir]);
    refused_service(Service::proto("").namespace("a"), entry, &["empty"]);
    let import = ErrorKind::MissingProtoImport;
    let importing = "import \"b.proto\";";
    let service = Service::proto(importing).namespace("a");
    refused_service(service, import, &["`b.proto`", ".import("]);
    let tree = [("a.proto", importing), ("b.proto", "import \"c/d.proto\";")];
    refused_service(
        Service::proto_dir(tree, "a.proto"),
        import,
        &["a.proto → b.proto → c/d.proto"],
    );
    let tree = [("x/a.proto", "import \"a.proto\";"), ("a.proto", "")];
    refused_service(
        Service::proto_dir(tree, "x/a.proto"),
        ErrorKind::InvalidProto,
        &["`a.proto`", "another namespace"],
    );
    let binary: [(&str, &[u8]); 1] = [("a.proto", b"\xff\xfe")];
    refused_service(
        Service::proto_dir(binary, "a.proto"),
        ErrorKind::UnreadableProto,
        &["UTF-8"],
    );
}

#[test]
fn gateway_addresses_that_do_not_parse() {
    for address in [
        "",
        "gateway",
        "gateway:x",
        "ftp://gateway:1",
        "http://gateway:1/x",
    ] {
        let options = Options::new(address).service(good());
        refused(options, ErrorKind::InvalidGatewayAddress, &["host:port"]);
    }
}

#[test]
fn advertised_addresses_that_cannot_serve_the_services() {
    let trap = Trap::set();
    let kind = ErrorKind::InvalidAdvertisedAddress;
    let grpc = || trap.options().service(good());
    let http = || {
        let document = r#"{"openapi":"3.0.3","info":{"title":"T","version":"1"},"paths":{}}"#;
        trap.options().service(Service::openapi(document))
    };
    refused(grpc().advertise("http://a:1"), kind, &["gRPC", "host:port"]);
    refused(grpc().advertise("a"), kind, &["no port"]);
    refused(grpc().advertise("a:0"), kind, &["port 0"]);
    refused(grpc().advertise(""), kind, &["empty"]);
    refused(http().advertise("dns:///a:1"), kind, &["HTTP"]);
    refused(
        grpc().advertise_host("a:1"),
        kind,
        &["must not have a port"],
    );
    refused(grpc().advertise_host("a b"), kind, &["host name"]);
    for nobody in [
        "0.0.0.0:80",
        "[::]:80",
        "[0:0::0]:80",
        "[::ffff:0.0.0.0]:80",
        "0:80",
    ] {
        refused(
            grpc().advertise(nobody),
            kind,
            &["nobody can call", "advertise_host"],
        );
        let url = format!("http://{nobody}/base");
        refused(http().advertise(url), kind, &["nobody can call"]);
        let target = format!("dns:///{nobody}");
        refused(grpc().advertise(target), kind, &["nobody can call"]);
    }
    refused(grpc().advertise("a:00000"), kind, &["port 0"]);
    refused(http().advertise("https://a:0/base"), kind, &["port 0"]);
    for nobody in ["0.0.0.0", "::", "::ffff:0.0.0.0", "0"] {
        refused(
            grpc().advertise_host(nobody),
            kind,
            &["not an address that the gateway can call"],
        );
    }
    refused(
        grpc().advertise_scheme("https"),
        kind,
        &["gRPC", "separate registration"],
    );
    refused(http().advertise_scheme("ftp"), kind, &["neither"]);
    refused(
        http().advertise("a:1").advertise_scheme("http"),
        kind,
        &["advertise(`a:1`)"],
    );
    http().advertise_scheme("https").check().unwrap();
    let alone = &["gRPC", "advertise_path(`/v2`)", "separate registration"];
    refused(grpc().advertise_path("/v2"), kind, alone);
    for no_path in ["", "/", "v2", "http://a/v2", "/v2?q", "/v 2", "/v2#a"] {
        refused(http().advertise_path(no_path), kind, &["is not a path"]);
    }
    let both = http().advertise("a:1").advertise_path("/v2");
    refused(both, kind, &["advertise(`a:1`)", "base URL"]);
    http().advertise_path("/v2/a").check().unwrap();
    let base = http().advertise_host("pets.example").advertise_path("/v2");
    base.advertise_scheme("https").check().unwrap();
    http().advertise("https://a/base").check().unwrap();
    grpc().advertise_host("2001:db8::1").check().unwrap();
    let graphql = Service::graphql("/graphql").namespace("g");
    let options = trap.options().service(graphql).advertise("dns:///a:1");
    refused(options, kind, &["GraphQL path"]);
    trap.assert_untouched();
}

#[test]
fn documents_and_endpoints_that_are_none() {
    let kind = ErrorKind::InvalidOpenApi;
    refused_service(Service::openapi(""), kind, &["JSON or YAML"]);
    for endpoint in ["graphql", "ftp://a/graphql", "//a", ""] {
        let service = Service::graphql(endpoint).namespace("g");
        refused_service(service, ErrorKind::InvalidGraphQlEndpoint, &["`/graphql`"]);
    }
    let service = Service::openapi("{}").namespace("a").import("a", "b");
    refused_service(service, ErrorKind::Misuse, &["import"]);
}

#[test]
fn headers_timeouts_and_sizes() {
    let trap = Trap::set();
    let options = || trap.options().service(good());
    let metadata = ErrorKind::InvalidMetadata;
    refused(options().metadata("a b", "c"), metadata, &["`a b`"]);
    refused(options().bearer_token("a\nb"), metadata, &["authorization"]);
    refused(options().bearer_token(""), metadata, &["empty"]);
    let timeout = ErrorKind::InvalidTimeout;
    let second = Duration::from_secs(1);
    refused(options().leave_timeout(Duration::ZERO), timeout, &["25 s"]);
    let long_drain = options().leave_timeout(second).drain_timeout(second * 2);
    refused(long_drain, timeout, &["drain_timeout"]);
    let options = options().drain_timeout(second);
    refused(options.clone().quiet(second * 2), timeout, &["quiet"]);
    let large = Service::openapi(vec![b'x'; 5 << 20]).namespace("large");
    let kind = ErrorKind::TooLarge;
    refused(options.service(large), kind, &["4194304", "`large`"]);
    trap.assert_untouched();
}

#[cfg(feature = "tls")]
#[test]
fn tls_that_contradicts_the_address() {
    let config = tonic::transport::ClientTlsConfig::new();
    let options = Options::new("http://gateway:1").service(good()).tls(config);
    refused(options, ErrorKind::InvalidTls, &["https://"]);
}
