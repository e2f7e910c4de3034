//! TLS and credentials towards the gateway.
#![cfg(feature = "tls")]

#[path = "../support/tls_proxy.rs"]
mod tls_proxy;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::control::Recorder;
use crate::support::Log;
use crate::support::{
    Events, eventually, gateway, greeter_client, greeter_service, hello, listed, registered,
    tonic_greeter, until_state, within,
};
use tls_proxy::{Authority, TlsProxy};
use tonic::transport::{ClientTlsConfig, Endpoint};
use tower_gwag::{
    ErrorKind, GwagRegistrationLayer, Hold, Options, Registration, State, Status, Tls,
};

/// Where no server listens; a gateway does not dial at Register.
const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50051);

fn start(options: Options) -> Registration {
    let options = options.service(greeter_service()).hold(Hold::Off);
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(NOWHERE).expect("started");
    registration
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(authority.certificate())
}

async fn unreachable(registration: &Registration) -> Status {
    until_state(registration, State::Unreachable).await;
    registration.status().borrow().clone()
}

/// All that the reason says, down to its root.
fn chain(status: &Status) -> String {
    let mut text = status.to_string();
    let mut cause = status.reason().and_then(std::error::Error::source);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_gateway_with_a_private_ca_is_registered_with() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    // A scheme, or none: TLS is configured.
    for address in [proxy.localhost(), format!("https://{}", proxy.localhost())] {
        let registration = start(Options::new(address).tls(trusting(&authority)));
        registered(&registration).await;
        assert_eq!(gateway.registrations().len(), 1);
        assert!(registration.leave().await.is_clean());
        listed(&gateway, 0).await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_trusted_is_reported_as_such_and_tried_again() {
    let gateway = gateway().await;
    let (mine, other) = (Authority::new("mine"), Authority::new("other"));
    let proxy = TlsProxy::before(gateway.address(), other.server("localhost", None)).await;
    let registration = start(Options::new(proxy.localhost()).tls(trusting(&mine)));
    let status = unreachable(&registration).await;
    assert_eq!(status.reason_kind(), Some(ErrorKind::Unavailable));
    // What an operator reads in the log, without the chain of causes.
    assert!(status.to_string().contains("certificate"), "{status}");
    assert!(
        chain(&status).contains("UnknownIssuer"),
        "{}",
        chain(&status)
    );
    proxy.change(mine.server("localhost", None));
    registered(&registration).await;
    assert!(registration.leave().await.is_clean());
}

#[tokio::test]
async fn a_gateway_of_another_name_is_not_trusted() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let config = authority.server("gateway.internal", None);
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let registration = start(Options::new(proxy.localhost()).tls(trusting(&authority)));
    let status = unreachable(&registration).await;
    assert!(status.to_string().contains("certificate"), "{status}");
    registration.leave().await;
}

/// The names of its certificate are the peer's choice.
#[tokio::test]
async fn a_gateway_of_many_other_names_fills_no_log() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let names: Vec<String> = (0..500)
        .map(|it| format!("gateway-{it}.internal"))
        .collect();
    let config = authority.server(&names.join(" "), None);
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let registration = start(Options::new(proxy.localhost()).tls(trusting(&authority)));
    let status = unreachable(&registration).await.to_string();
    assert!(status.contains("GWAG_TLS_SERVER_NAME"), "{status}");
    assert!(status.len() < 1_000, "{} bytes: {status}", status.len());
    registration.leave().await;
}

#[tokio::test]
async fn the_server_name_can_be_given() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let config = authority.server("gateway.internal", None);
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let named = trusting(&authority).domain_name("gateway.internal");
    let registration = start(Options::new(proxy.address).tls(named));
    registered(&registration).await;
    assert_eq!(proxy.names(), [Some("gateway.internal".to_owned())]);
    registration.leave().await;
}

#[tokio::test]
async fn mutual_tls_shows_who_we_are() {
    let gateway = gateway().await;
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let config = servers.server("localhost", Some(&clients));
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let nobody = start(Options::new(proxy.localhost()).tls(trusting(&servers)));
    unreachable(&nobody).await;
    // TLS 1.3 refuses after the first bytes: whether they arrived cannot be known.
    nobody.leave().await;
    let identity = clients.identity("greeter");
    let tls = trusting(&servers).identity(identity);
    let somebody = start(Options::new(proxy.localhost()).tls(tls));
    registered(&somebody).await;
    somebody.leave().await;
}

#[tokio::test]
async fn a_ready_endpoint_brings_its_own_tls() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let endpoint = Endpoint::from_shared(format!("https://{}", proxy.localhost()))
        .and_then(|endpoint| endpoint.tls_config(trusting(&authority)))
        .expect("an endpoint");
    let registration = start(Options::new(endpoint));
    registered(&registration).await;
    assert!(registration.leave().await.is_clean());
    listed(&gateway, 0).await;
}

/// One side speaks TLS, the other does not: neither hangs, and both get an error that says so.
#[tokio::test]
async fn a_mismatch_of_tls_and_plaintext_is_unreachable() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let plain = start(Options::new(proxy.localhost()));
    unreachable(&plain).await;
    plain.leave().await;
    let address = format!("https://localhost:{}", gateway.address().port());
    let tls = start(Options::new(address).tls(trusting(&authority)));
    unreachable(&tls).await;
    tls.leave().await;
}

/// Not the connection of anybody else, whose trust is another.
#[tokio::test]
async fn a_connection_with_its_own_tls_is_not_shared() {
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let proxy = TlsProxy::before(gateway.address(), authority.server("localhost", None)).await;
    let trusted = start(Options::new(proxy.localhost()).tls(trusting(&authority)));
    registered(&trusted).await;
    let other = Authority::new("other");
    let distrustful = start(Options::new(proxy.localhost()).tls(trusting(&other)));
    unreachable(&distrustful).await;
    assert_eq!(gateway.registrations().len(), 1);
    distrustful.leave().await;
    trusted.leave().await;
}

#[tokio::test]
async fn tokens_and_metadata_go_with_every_call_over_tls() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let authority = Authority::new("private");
    let config = authority.server("localhost", None);
    let proxy = TlsProxy::before(recorder.address, config).await;
    let options = Options::new(proxy.localhost())
        .tls(trusting(&authority))
        .bearer_token("secret")
        .metadata("X-Team", "blue")
        .heartbeat_interval(Duration::from_millis(20));
    let registration = start(options);
    registered(&registration).await;
    let beats = gateway.wait_until(|now| {
        let beats = now.rpc_counts.of(tower_gwag_gateway::Rpc::Heartbeat);
        beats.answered > 1
    });
    within("beats", beats).await;
    registration.leave().await;
    for method in ["Register", "Heartbeat", "Deregister"] {
        let calls = recorder.calls(method);
        assert!(!calls.is_empty(), "{method}");
        for call in calls {
            assert_eq!(call.headers["authorization"], "Bearer secret", "{method}");
            assert_eq!(call.headers["x-team"], "blue", "{method}");
        }
    }
}

/// For tokens that expire.
#[tokio::test]
async fn a_provider_is_asked_before_every_call() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let options = Options::new(recorder.address).metadata_provider(move || {
        let token = format!("Bearer {}", asked.fetch_add(1, Ordering::SeqCst));
        let token = token.parse().expect("a header");
        [(http::header::AUTHORIZATION, token)].into_iter().collect()
    });
    let registration = start(options);
    registered(&registration).await;
    registration.leave().await;
    let methods = ["ListServices", "ListPeers", "Register", "Deregister"];
    let calls: Vec<_> = methods
        .iter()
        .flat_map(|method| recorder.calls(method))
        .map(|call| call.headers["authorization"].clone())
        .collect();
    let tokens: std::collections::HashSet<_> = calls.iter().collect();
    assert!(calls.len() >= 4, "{calls:?}");
    assert_eq!(tokens.len(), calls.len(), "{calls:?}");
}

fn file(name: &str, contents: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, contents).expect("written");
    path
}

/// Replaced in one step, as those who renew certificates do.
fn renew(path: &Path, contents: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, contents).expect("written");
    std::fs::rename(next, path).expect("renamed");
}

/// The files of a client whose certificates and token are renewed while it is registered.
struct Renewable {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    token: PathBuf,
}

// === impl Renewable ===

impl Renewable {
    fn new(prefix: &str, authority: &Authority, client: &str) -> Self {
        let (certificate, key) = authority.identity_pem(client);
        let file = |suffix: &str, contents: &str| file(&format!("{prefix}{suffix}"), contents);
        Self {
            ca: file("-ca.pem", &authority.pem()),
            certificate: file(".pem", &certificate),
            key: file(".key", &key),
            token: file("-token", "one"),
        }
    }

    fn options(&self, proxy: &TlsProxy) -> Options {
        let tls = Tls::new()
            .ca_file(&self.ca)
            .identity_files(&self.certificate, &self.key);
        Options::new(proxy.localhost())
            .tls(tls)
            .bearer_token_file(&self.token)
    }
}

/// Waits for so many more heartbeats.
async fn beats(recorder: &Recorder, more: usize) {
    let before = recorder.calls("Heartbeat").len();
    eventually("beats", || {
        recorder.calls("Heartbeat").len() >= before + more
    })
    .await;
}

/// What an operator reads says what is wrong with the certificates, and what to do.
#[tokio::test]
async fn each_fault_of_a_certificate_has_its_remedy() {
    let gateway = gateway().await;
    let (mine, other) = (Authority::new("mine"), Authority::new("other"));
    let address = gateway.address();
    let expired = mine.expired_pem("late");
    let nobody = Tls::new().ca_pem(mine.pem());
    let late = nobody.clone().identity_pem(expired.0, expired.1);
    let stranger = other.identity_pem("stranger");
    let stranger = nobody.clone().identity_pem(stranger.0, stranger.1);
    for (server, tls, parts) in [
        (
            other.server("localhost", None),
            &nobody,
            ["UnknownIssuer", "Tls::ca_file"],
        ),
        (
            mine.server_until("localhost", None, 2020),
            &nobody,
            ["expired", "renew"],
        ),
        (
            mine.server("elsewhere", None),
            &nobody,
            ["name", "Tls::server_name"],
        ),
        (
            mine.server("localhost", Some(&mine)),
            &nobody,
            ["CertificateRequired", "Tls::identity_files"],
        ),
        (
            mine.server("localhost", Some(&mine)),
            &stranger,
            ["UnknownCA", "Tls::identity_files"],
        ),
    ] {
        let proxy = TlsProxy::before(address, server).await;
        let registration = start(Options::new(proxy.localhost()).tls(tls.clone()));
        let status = registration.status();
        // A text that only becomes more exact wakes nobody: what the first attempt saw may be the end alone.
        eventually("the remedy", || {
            let now = status.borrow();
            let text = now.to_string();
            now.state() == State::Unreachable && parts.iter().all(|part| text.contains(part))
        })
        .await;
        registration.leave_now().await;
    }
    // Known before anything is sent.
    let error = Options::new("gateway:1")
        .service(greeter_service())
        .tls(late)
        .check();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("expired on 2020-12-31"), "{error}");
    assert_eq!(gateway.registrations().len(), 0);
}

#[test]
fn files_that_cannot_be_used_are_reported_at_once_by_the_variable() {
    let authority = Authority::new("mine");
    let (certificate, key_text) = authority.identity_pem("pets");
    let (_, other_key) = authority.identity_pem("other");
    let (expired, expired_key) = authority.expired_pem("late");
    let good = file("good.pem", &certificate).display().to_string();
    let good_key = file("good.key", &key_text).display().to_string();
    let other_key = file("other.key", &other_key).display().to_string();
    let expired = file("expired.pem", &expired).display().to_string();
    file("expired.key", &expired_key);
    let garbled = key_text.replace("MI", "!!");
    let garbled = file("garbled.key", &garbled).display().to_string();
    let none = file("none.pem", "no PEM\n").display().to_string();
    let cut = file("cut.pem", &certificate[..certificate.len() / 2])
        .display()
        .to_string();
    let read = |variables: &[(&str, &str)]| {
        let owned = variables.iter().map(|(name, value)| (*name, *value));
        tower_gwag::Options::from_environment(&owned.collect())
    };
    for (ca, certificate, key, parts) in [
        (
            "/no/ca",
            "/no/cert",
            "/no/key",
            &["/no/ca", "/no/cert", "/no/key", "No such file"][..],
        ),
        (
            &*none,
            &*good_key,
            &*good,
            &["no certificate", "no private key"],
        ),
        (
            &*cut,
            &*good,
            &*garbled,
            &["cut.pem", "garbled.key", "no private key"],
        ),
        (
            &*expired,
            &*expired,
            &*good_key,
            &["CA file", "expired on 2020-12-31", "client certificate"],
        ),
    ] {
        let error = read(&[
            ("GWAG_TLS_CA_FILE", ca),
            ("GWAG_TLS_CERT_FILE", certificate),
            ("GWAG_TLS_KEY_FILE", key),
            ("GWAG_TLS_SERVER_NAME", "no name"),
        ]);
        let error = error.expect_err("faults").to_string();
        for part in parts
            .iter()
            .chain(&["GWAG_TLS_CA_FILE", "GWAG_TLS_SERVER_NAME"])
        {
            assert!(error.contains(part), "{part} is not in {error}");
        }
        let secret = key_text.lines().nth(1).expect("a key");
        assert!(!error.contains(secret), "{error}");
    }
    let lonely = read(&[("GWAG_TLS_KEY_FILE", &good_key)])
        .expect_err("alone")
        .to_string();
    assert!(lonely.contains("GWAG_TLS_CERT_FILE"), "{lonely}");
    // A pair that is none is found by the check, which puts them together.
    let tls = Tls::new().identity_files(&good, &other_key);
    let options = Options::new("gateway:1").service(greeter_service());
    let error = options.tls(tls).check().expect_err("no pair").to_string();
    assert!(error.contains("the key does not belong"), "{error}");
}

/// No heartbeat fails, nothing is registered again, and the next connection has the new ones.
#[tokio::test]
async fn certificates_and_tokens_are_renewed_without_an_interruption() {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let proxy = TlsProxy::before(recorder.address, first.server("localhost", Some(&first))).await;
    let files = Renewable::new("renewed", &first, "pets");
    let options = files
        .options(&proxy)
        .heartbeat_interval(Duration::from_millis(30));
    let registration = start(options);
    registered(&registration).await;
    beats(&recorder, 2).await;
    // Both CAs are trusted for a while; the pair is in the middle of its renewal.
    renew(&files.ca, &(first.pem() + &second.pem()));
    let (certificate, key) = second.identity_pem("pets");
    renew(&files.certificate, &certificate);
    proxy.cut();
    beats(&recorder, 2).await;
    renew(&files.key, &key);
    renew(&files.token, "two");
    proxy.change(second.server("localhost", Some(&second)));
    proxy.cut();
    beats(&recorder, 2).await;
    let shown = proxy.clients();
    assert_eq!(shown.len(), 3, "connections");
    assert!(shown[0] == shown[1] && shown[1] != shown[2], "{shown:?}");
    let last = recorder.calls("Heartbeat").pop().expect("beats");
    assert_eq!(last.headers["authorization"], "Bearer two");
    assert_eq!(recorder.calls("Register").len(), 1, "registered once");
    assert!(registration.leave().await.is_clean());
}

/// A whole life behind mutual TLS after each fault that an operator meets: registered, called without a failed
/// call while certificates and token are renewed, and left. The gateway is the real one that `GWAG_GATEWAY`
/// names, behind a proxy that ends TLS, or an embedded one.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_behind_tls_after_each_fault() {
    let real = std::env::var("GWAG_GATEWAY").ok();
    let embedded = match &real {
        Some(target) => {
            println!("against {target}");
            None
        }
        None => {
            println!("against an embedded gateway; GWAG_GATEWAY is not set");
            Some(gateway().await)
        }
    };
    let target = real.unwrap_or_else(|| embedded.as_ref().expect("embedded").target());
    let recorder = Recorder::before_target(&target).await;
    let mut control = crate::control::client(&target).await;
    let instance = format!("tls-{}", std::process::id());
    let mut entries = async || {
        let request = crate::control::proto::ListRegistrationsRequest {};
        let listed = control.list_registrations(request).await.expect("listed");
        let all = listed.into_inner().registrations.into_iter();
        let is_hold = |name: &String| name.starts_with(crate::support::HOLD_NAMESPACE);
        all.filter(|it| it.instance_id == instance && !it.namespaces.iter().any(is_hold))
            .count()
    };
    let (mine, other) = (Authority::new("mine"), Authority::new("other"));
    let us = |by: &Authority| {
        let (certificate, key) = by.identity_pem("greeter");
        Tls::new().ca_pem(mine.pem()).identity_pem(certificate, key)
    };
    let name = "localhost";
    for (fault, server, tls, part) in [
        (
            "wrong CA",
            other.server(name, Some(&mine)),
            us(&mine),
            "UnknownIssuer",
        ),
        (
            "expired",
            mine.server_until(name, Some(&mine), 2020),
            us(&mine),
            "expired",
        ),
        (
            "wrong name",
            mine.server("elsewhere", Some(&mine)),
            us(&mine),
            "Tls::server_name",
        ),
        (
            "no client certificate",
            mine.server(name, Some(&mine)),
            Tls::new().ca_pem(mine.pem()),
            "CertificateRequired",
        ),
        (
            "a stranger's certificate",
            mine.server(name, Some(&mine)),
            us(&other),
            "UnknownCA",
        ),
    ] {
        let proxy = TlsProxy::before(recorder.address, server).await;
        let options = Options::new(proxy.localhost()).tls(tls);
        let registration = start(options.instance_id(&instance));
        let status = registration.status();
        // A text that only becomes more exact wakes nobody: what the first attempt saw may be the end alone.
        eventually(fault, || {
            let now = status.borrow();
            now.state() == State::Unreachable && now.to_string().contains(part)
        })
        .await;
        let shown = registration.status().borrow().to_string();
        println!("RESULT fault={fault:?} said={shown:?}");
        registration.leave_now().await;
        assert_eq!(recorder.calls("Register").len(), 0, "{fault}");
        assert_eq!(entries().await, 0, "{fault}");
    }

    let proxy = TlsProxy::before(recorder.address, mine.server(name, Some(&mine))).await;
    let files = Renewable::new("life", &mine, "greeter");
    let options = files
        .options(&proxy)
        .instance_id(&instance)
        .service(greeter_service())
        .heartbeat_interval(Duration::from_millis(50));
    let (options, events) = Events::of(options);
    let server = tonic_greeter(options).await;
    registered(&server.registration).await;
    // Routed after up to a minute, where the gateway is busy.
    let mut client = greeter_client(&target).await;
    let routed = async {
        while client.hello(hello("Ada")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let routed = tokio::time::timeout(Duration::from_secs(90), routed);
    routed.await.expect("routed");
    let over = tokio_util::sync::CancellationToken::new();
    let calls = tokio::spawn({
        let over = over.clone();
        async move {
            let (mut good, mut bad) = (0, 0);
            while !over.is_cancelled() {
                match client.hello(hello("Ada")).await {
                    Ok(_) => good += 1,
                    Err(_) => bad += 1,
                }
            }
            (good, bad)
        }
    });
    beats(&recorder, 3).await;
    renew(&files.ca, &(mine.pem() + &other.pem()));
    let (certificate, key) = other.identity_pem("greeter");
    renew(&files.certificate, &certificate);
    renew(&files.key, &key);
    renew(&files.token, "two");
    proxy.change(other.server(name, Some(&other)));
    proxy.cut();
    beats(&recorder, 3).await;
    assert_eq!(entries().await, 1);
    over.cancel();
    let (good, bad) = calls.await.expect("no panic");
    let report = server.stop().await;
    assert!(report.is_clean(), "{report}");
    let last = recorder.calls("Heartbeat").pop().expect("beats");
    assert_eq!(last.headers["authorization"], "Bearer two");
    let registers = recorder.registers().len();
    println!(
        "RESULT life connections={} registers={registers} beats={} calls={good} failed={bad} states={:?}",
        proxy.clients().len(),
        recorder.calls("Heartbeat").len(),
        events.states(),
    );
    assert_eq!((registers, bad), (1, 0), "renewed without an interruption");
    assert!(good > 0);
    let shown = proxy.clients();
    assert!(shown.len() >= 2 && shown.first() != shown.last());
    assert_eq!(entries().await, 0);
}

/// With everything that is logged, by everybody, at TRACE.
#[tokio::test]
async fn no_secret_is_in_the_log_of_a_whole_life() {
    let (log, _guard) = Log::of("trace");
    let gateway = gateway().await;
    let authority = Authority::new("private");
    let config = authority.server("localhost", Some(&authority));
    let proxy = TlsProxy::before(gateway.address(), config).await;
    let (certificate, key) = authority.identity_pem("pets");
    let inner: String = key.lines().filter(|line| !line.contains('-')).collect();
    let token = file("secret-token", "t0ken-of-a-file");
    let tls = Tls::new()
        .ca_pem(authority.pem())
        .identity_pem(certificate, &key);
    let options = Options::new(proxy.localhost())
        .tls(tls.clone())
        .bearer_token_file(&token)
        .metadata("x-team", "s3cret-metadata")
        .metadata_provider(|| {
            let value = "s3cret-provided".parse().expect("a header");
            [(http::HeaderName::from_static("x-key"), value)]
                .into_iter()
                .collect()
        })
        .heartbeat_interval(Duration::from_millis(20));
    let shown = format!("{options:?}{tls:?}");
    let registration = start(options);
    registered(&registration).await;
    proxy.cut();
    let reconnected = || proxy.names().len() > 1;
    eventually("a new connection", reconnected).await;
    std::fs::write(&token, "two words").expect("written");
    registration.leave().await;
    let plain = Options::new(gateway.target()).bearer_token("t0ken-of-a-value");
    let registration = start(plain);
    registered(&registration).await;
    registration.leave().await;
    let text = log.text() + &shown;
    assert!(text.contains("TRACE"), "everything is logged");
    for secret in ["t0ken", "two words", "s3cret", &inner[..40]] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// Secrets are in no log and no debug output.
#[test]
fn debug_output_has_no_token() {
    let options = Options::new("g:1")
        .bearer_token("secret")
        .metadata("k", "secret");
    assert!(!format!("{options:?}").contains("secret"));
}
