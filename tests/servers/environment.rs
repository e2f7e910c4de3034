//! Options from the environment, and from a file.

use std::path::PathBuf;
use std::time::Duration;

use tower_gwag::{
    Environment, ErrorKind, GwagRegistrationLayer, Options, Rule, Settings, State, no_gateway,
};
use tower_gwag_gateway::EmbeddedGateway;

use crate::control::Recorder;
use crate::support::Log;
use crate::support::{
    eventually, gateway, greeter_service, listed, plain, registered, tonic_greeter,
};

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(owned).collect()
}

fn read(variables: &[(&str, &str)]) -> Result<Options, tower_gwag::Error> {
    Options::from_environment(&environment(variables))
}

/// A file of this test's with these contents.
fn file(name: &str, contents: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("written");
    path
}

/// Every variable at once does what the option of its name does.
#[tokio::test]
async fn a_service_is_registered_as_the_environment_says() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let token = file("token", "  s3cret\n");
    let (address, token) = (recorder.address.to_string(), token.display().to_string());
    let options = read(&[
        // The first is where nobody listens.
        ("GWAG_GATEWAY", &format!("127.0.0.1:1, {address}")),
        ("GWAG_ADVERTISE_HOST", "localhost"),
        ("GWAG_INSTANCE", "pets-7"),
        ("GWAG_TTL", "17"),
        ("GWAG_HEARTBEAT_INTERVAL", "250ms"),
        ("GWAG_TOKEN_FILE", &token),
        ("GWAG_DRAIN_TIMEOUT", "2s"),
        ("GWAG_LEAVE_TIMEOUT", "1m"),
        ("GWAG_QUIET", "0.01"),
        ("GWAG_BUILD_TAG", ""),
        ("HOME", "/"),
    ])
    .expect("read");
    let server = tonic_greeter(options.service(greeter_service())).await;
    registered(&server.registration).await;
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(entry.instance_id, "pets-7");
    assert_eq!(entry.ttl, Duration::from_secs(17));
    let port = server.address.port();
    assert_eq!(plain(&entry.addr), format!("localhost:{port}"));
    let registers = recorder.calls("Register");
    assert_eq!(registers[0].headers["authorization"], "Bearer s3cret");
    assert!(server.stop().await.is_clean());
}

#[test]
fn the_code_goes_before_the_environment_and_that_before_a_file() {
    let variables = environment(&[
        ("GWAG_GATEWAY", "from-environment:1"),
        ("GWAG_INSTANCE", "of the environment"),
        ("GWAG_TTL", "20s"),
        ("GWAG_ADVERTISE", "from-environment:2"),
    ]);
    let file = r#"{"gateway": ["a:1", "b:2"], "ttl": 30, "build_tag": "v7", "prefer_first": true}"#;
    let file: Settings = serde_json::from_str(file).expect("settings");
    let options = Options::new("")
        .ttl(Duration::from_secs(10))
        .advertise_host("from-code")
        .or_environment(&variables)
        .and_then(|options| options.or_settings(&file));
    let shown = format!("{:?}", options.expect("read"));
    for part in [
        "gateway: \"from-environment:1\"",
        "Host(\"from-code\")",
        "Some(\"of the environment\")",
        "ttl: Some(10s)",
        "build_tag: Some(\"v7\")",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let of_file = Options::from_settings(&file).expect("read");
    assert!(format!("{of_file:?}").contains("[\"a:1\", \"b:2\"]"));
}

/// Whoever sets a variable at night, and sees nothing change, finds out why.
#[test]
fn a_variable_that_the_code_overrides_is_said_or_overrides_it() {
    let variables = environment(&[
        ("GWAG_GATEWAY", "from-environment:1"),
        ("GWAG_GATEWAY_HTTP", "http://from-environment:2"),
        ("GWAG_TTL", "20s"),
        ("GWAG_QUIET", "50ms"),
        ("GWAG_ADVERTISE_HOST", "from-environment"),
        ("GWAG_TOKEN", "s3cret"),
        ("GWAG_PREFER_FIRST", "off"),
        ("GWAG_INSTANCE", "the same"),
    ]);
    let code = || {
        Options::new("from-code:1")
            .gateway_http("http://me:s3cret@from-code:2")
            .ttl(Duration::from_secs(10))
            .advertise_host("from-code")
            .bearer_token("another s3cret".replace(' ', "-"))
            .prefer_first()
            .instance_id("the same")
            .service(greeter_service())
    };
    let warnings = |options: &Options| -> Vec<String> {
        let warnings = options.check().expect("only warnings");
        warnings.iter().map(ToString::to_string).collect()
    };
    let said = warnings(&code().or_environment(&variables).expect("read"));
    for (name, used) in [
        ("`GWAG_GATEWAY`", "from-code:1"),
        ("`GWAG_GATEWAY_HTTP`", "from-code:2"),
        ("`GWAG_TTL`", "10s"),
        ("`GWAG_ADVERTISE_HOST`", "from-code"),
        ("`GWAG_TOKEN`", "another token"),
        ("`GWAG_PREFER_FIRST`", "true"),
    ] {
        let is_it = |text: &&String| text.contains(name) && text.contains(used);
        assert!(said.iter().any(|it| is_it(&it)), "{name}: {said:#?}");
    }
    // Neither what is used nor what is the same.
    assert_eq!(said.len(), 6, "{said:#?}");
    assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");

    // The same where the code comes later.
    let later = Options::from_environment(&variables).expect("read");
    assert_eq!(warnings(&later.clone().service(greeter_service())), [""; 0]);
    let later = later
        .ttl(Duration::from_secs(10))
        .service(greeter_service());
    let said = warnings(&later);
    assert!(said.len() == 1 && said[0].contains("GWAG_TTL"), "{said:?}");

    // The other precedence: nothing to warn of, and what the environment leaves open is the code's.
    let options = code()
        .quiet(Duration::from_secs(1))
        .heartbeat_interval(Duration::from_secs(3))
        .overridden_by_environment(&variables)
        .expect("read");
    assert_eq!(warnings(&options), [""; 0]);
    let shown = format!("{options:?}");
    for part in [
        "gateway: \"from-environment:1\"",
        "Host(\"from-environment\")",
        "ttl: Some(20s)",
        "heartbeat_interval: Some(3s)",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    // A switch in both directions.
    let on = environment(&[("GWAG_ENABLED", "yes")]);
    let options = Options::disabled().or_environment(&on).expect("read");
    assert!(format!("{options:?}").contains("disabled: true"));
    let options = Options::disabled().overridden_by_environment(&on);
    assert!(format!("{options:?}").contains("disabled: false"));
}

#[test]
fn every_bad_value_is_reported_at_once_with_its_name_and_remedy() {
    let expired = "eyJhbGciOiJub25lIn0.eyJleHAiOjEwMDAwMDAwMDB9.c2ln";
    let cases: [(&str, &str, &[&str]); 16] = [
        (
            "GWAG_GATEWAY",
            "ok:1,gateway:99999",
            &["gateway:99999", "write host:port"],
        ),
        (
            "GWAG_GATEWAY_HTTP",
            "https://gateway",
            &["https://gateway", "write `http://"],
        ),
        ("GWAG_GATEWAY_RELEASE", "7.0", &["7.0", "`1.4`"]),
        (
            "GWAG_ADVERTISE",
            "0.0.0.0:1",
            &["0.0.0.0:1", "advertise_host"],
        ),
        ("GWAG_ADVERTISE_PATH", "v2", &["v2", "is not a path"]),
        ("GWAG_ADVERTISE_SCHEME", "ftp", &["ftp", "https"]),
        ("GWAG_EXCLUSIVE_INSTANCE", "a#b", &["a#b", "incarnation"]),
        ("GWAG_ENABLED", "perhaps", &["perhaps", "`off`"]),
        ("GWAG_PREFER_FIRST", "2", &["`2`", "`on`"]),
        ("GWAG_TOKEN", expired, &["expired", "new one"]),
        ("GWAG_TTL", "1500ms", &["1.5s", "whole seconds"]),
        ("GWAG_HEARTBEAT_INTERVAL", "often", &["often", "`15s`"]),
        ("GWAG_DRAIN_TIMEOUT", "-1s", &["-1s", "`15s`"]),
        ("GWAG_LEAVE_TIMEOUT", "0", &["25 s"]),
        ("GWAG_QUIET", "1.23456s", &["1.23456s", "`500ms`"]),
        ("GWAG_RECLAIM_AFTER", "99999999999999999999h", &["`2m`"]),
    ];
    let all: Vec<_> = cases
        .iter()
        .map(|(name, value, _)| (*name, *value))
        .collect();
    let error = read(&all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSetting);
    let found: Vec<_> = error.findings().expect("findings").errors().collect();
    assert_eq!(found.len(), cases.len(), "{error}");
    for (name, _, parts) in cases {
        let said = found.iter().find(|it| it.message().starts_with(name));
        let said = said.unwrap_or_else(|| panic!("{name} is not in {error}"));
        assert_eq!(said.rule(), Rule::SettingValue);
        let text = said.to_string();
        for part in parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
    assert!(!format!("{error}{error:?}").contains(expired));
    // Whoever switches it off need not mend what is not used.
    let off = all.into_iter().filter(|(name, _)| *name != "GWAG_ENABLED");
    let off: Vec<_> = off.chain([("GWAG_ENABLED", "No")]).collect();
    read(&off)
        .expect("off")
        .check()
        .expect("nothing is checked");
}

#[test]
fn tokens_that_cannot_be_used_are_named_and_not_shown() {
    let two_lines = file("two_lines", "s3cret\nand more").display().to_string();
    let empty = file("empty", " \n").display().to_string();
    for (name, value, parts) in [
        ("GWAG_TOKEN", "s3cret word", &["not a token"][..]),
        (
            "GWAG_TOKEN_FILE",
            "/no/such/file",
            &["/no/such/file", "No such file", "check its path"],
        ),
        ("GWAG_TOKEN_FILE", "/", &["cannot be read"]),
        ("GWAG_TOKEN_FILE", "/dev/zero", &["65536"]),
        ("GWAG_TOKEN_FILE", &two_lines, &["two_lines", "not a token"]),
        ("GWAG_TOKEN_FILE", &empty, &["is empty"]),
    ] {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        assert!(!error.contains("s3cret"), "{error}");
    }
    for (one, other) in [
        (("GWAG_TOKEN", "a"), ("GWAG_TOKEN_FILE", two_lines.as_str())),
        (("GWAG_ADVERTISE", "a:1"), ("GWAG_ADVERTISE_HOST", "a")),
    ] {
        let error = read(&[one, other]).unwrap_err().to_string();
        assert!(error.contains("remove one of them"), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_text_is_reported() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(vec![b'a', 0xff]);
    let environment: Environment = [("GWAG_INSTANCE", value)].into_iter().collect();
    let error = Options::from_environment(&environment).unwrap_err();
    assert!(
        error.to_string().contains("GWAG_INSTANCE is not text"),
        "{error}"
    );
}

#[test]
fn unknown_names_are_warned_of_with_the_nearest() {
    let options = read(&[
        ("GWAG_GATEWAY", "gateway:1"),
        ("GWAG_TTTL", "15s"),
        ("GWAG_ADVERTISED_HOST", "pets"),
        ("GWAG_\u{1b}[2J", ""),
        ("gwag_ttl", "3"),
        ("MY_GWAG_TTL", "3"),
    ]);
    let options = options.expect("only warnings").service(greeter_service());
    let warnings = options.check().expect("only warnings");
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    for (name, nearest) in [
        ("`GWAG_TTTL`", "`GWAG_TTL`"),
        ("`GWAG_ADVERTISED_HOST`", "`GWAG_ADVERTISE_HOST`"),
        ("`GWAG_\\u{1b}[2J`", "`GWAG_"),
    ] {
        let is_it = |text: &&String| text.contains(name) && text.contains(nearest);
        assert!(texts.iter().any(|text| is_it(&text)), "{name}: {texts:?}");
    }
    // A file is written for this crate alone.
    let file: Settings = serde_json::from_str(r#"{"tttl": 15, "ttl": "x"}"#).expect("a map");
    let error = Options::from_settings(&file).unwrap_err();
    assert_eq!(error.findings().expect("findings").errors().count(), 2);
    assert!(error.to_string().contains("`ttl`"), "{error}");
}

/// Kubernetes sets these for services called `gwag` and `gwag-gateway`, and the like.
#[test]
fn service_links_are_never_read_nor_warned_of() {
    let mut links = Vec::new();
    for service in ["GWAG", "GWAG_GATEWAY", "GWAG_TTL", "GWAG_GATEWAY_HTTP"] {
        for (suffix, value) in [
            ("PORT", "tcp://10.0.0.1:50090"),
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "50090"),
            ("SERVICE_PORT_GRPC", "50090"),
            ("PORT_50090_TCP", "tcp://10.0.0.1:50090"),
            ("PORT_50090_TCP_PROTO", "tcp"),
            ("PORT_50090_TCP_PORT", "50090"),
            ("PORT_50090_TCP_ADDR", "10.0.0.1"),
            ("PORT_53_UDP_ADDR", "10.0.0.1"),
            ("PORT_9_SCTP", "sctp://10.0.0.1:9"),
        ] {
            links.push((format!("{service}_{suffix}"), value));
        }
    }
    let environment: Environment = links.into_iter().collect();
    let options = Options::from_environment(&environment).expect("nothing to read");
    assert!(no_gateway(&options));
    let options = Options::new("gateway:1").or_environment(&environment);
    let options = options.expect("nothing to read").service(greeter_service());
    assert!(options.check().expect("checked").is_empty());
}

#[tokio::test]
async fn without_a_gateway_the_code_chooses() {
    let none = || {
        read(&[("GWAG_TTL", "5s")])
            .expect("read")
            .service(greeter_service())
    };
    let error = none().check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidGatewayAddress);
    assert!(error.to_string().contains("GWAG_GATEWAY"), "{error}");
    assert!(
        error.to_string().contains("disabled_if(no_gateway)"),
        "{error}"
    );

    let (log, _guard) = Log::of("tower_gwag=debug");
    let server = tonic_greeter(none().disabled_if(no_gateway)).await;
    let state = server.registration.status().borrow().state();
    assert_eq!(state, State::Disabled);
    server.stop().await;
    assert_eq!(
        log.text().matches("GWAG_GATEWAY").count(),
        1,
        "{}",
        log.text()
    );

    let given = read(&[("GWAG_GATEWAY", "gateway:1")]).expect("read");
    let layer = GwagRegistrationLayer::new(given.disabled_if(no_gateway));
    let state = layer.registration().status().borrow().state();
    assert_eq!(state, State::Idle);
}

/// A token is read again for each call, and a file that is gone for a moment stops nothing.
#[tokio::test]
async fn a_token_is_renewed_without_a_restart() {
    let gateway: EmbeddedGateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let path = file("renewed", "first");
    let options = Options::new(recorder.address)
        .service(greeter_service())
        .bearer_token_file(&path)
        .heartbeat_interval(Duration::from_millis(20));
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    let tokens = || -> Vec<String> {
        let calls = recorder.calls("Heartbeat").into_iter();
        calls
            .map(|call| {
                call.headers["authorization"]
                    .to_str()
                    .expect("text")
                    .to_owned()
            })
            .collect()
    };
    let beat_with = async |token: &str| {
        eventually(token, || {
            tokens()
                .last()
                .is_some_and(|last| last == &format!("Bearer {token}"))
        })
        .await;
    };
    beat_with("first").await;
    std::fs::remove_file(&path).expect("removed");
    let before = tokens().len();
    eventually("beats without the file", || tokens().len() > before + 3).await;
    std::fs::write(&path, "second").expect("written");
    beat_with("second").await;
    assert!(
        tokens()
            .iter()
            .all(|it| it == "Bearer first" || it == "Bearer second")
    );
    assert_eq!(
        recorder.calls("Register").len(),
        2,
        "the hold and the service, once"
    );
    assert!(server.stop().await.is_clean());
}
