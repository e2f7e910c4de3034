//! What is said of a peer that is no control plane: the same from the first attempt on, whatever
//! sort of peer it is, and without a claim that a gateway has refused anything.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tower_gwag::{LeaveReport, Tls};

use super::*;

/// What is said of a server that does not speak gRPC, in part.
const NO_GRPC: &str = "it is not a gwag control plane: it does not speak gRPC";
const NOT_LIKE_ONE: &str = "does not answer like a gwag control plane";
const PORT: &str = "`--control-plane`, usually port 50090, not that of its HTTP port";

/// Answers each connection with these bytes, at once or once it has heard something.
async fn raw(bytes: &'static [u8], speaks_first: bool, closes: bool) -> SocketAddr {
    let (listener, address) = bind("127.0.0.1:0").await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Whoever hangs up meanwhile is done.
                if !speaks_first {
                    let _ = stream.read(&mut [0; 1024]).await;
                }
                let _ = stream.write_all(bytes).await;
                if closes {
                    return;
                }
                while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

/// A web server that answers every request so.
async fn page(status: u16, content_type: &'static str, is_http_1: bool) -> SocketAddr {
    let (listener, address) = bind("127.0.0.1:0").await;
    let answer = move || async move {
        let page = http::Response::builder().status(status);
        let page = page.header("content-type", content_type);
        let page = page.header("location", "https://login.example/");
        page.body(axum::body::Body::from("<html>")).expect("a page")
    };
    let app = Router::new().fallback(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(app.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let server = if is_http_1 {
                    server.http1_only()
                } else {
                    server
                };
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Every status of a registration until so many attempts have failed, and its report.
async fn said(options: Options, failures: u64) -> (Vec<Status>, LeaveReport) {
    let registration = start(options);
    let mut status = registration.status();
    let mut seen: Vec<Status> = Vec::new();
    let watched = async {
        loop {
            let now = status.borrow_and_update().clone();
            let is_news = seen.last().is_none_or(|last| {
                (last.state(), last.to_string()) != (now.state(), now.to_string())
            });
            if is_news {
                seen.push(now.clone());
            }
            let has_failed = now.state() != State::Registering;
            if has_failed && now.failures() >= failures {
                return;
            }
            // A new text of the same kind is no change of the status.
            let soon = tokio::time::sleep(Duration::from_millis(5));
            tokio::select! {
                _ = status.changed() => {}
                () = soon => {}
            }
        }
    };
    within("failures", watched).await;
    let report = within("the report", registration.leave()).await;
    (seen, report)
}

/// Those after a failed attempt; on a busy machine the first one may be awaited before.
fn failed(seen: &[Status]) -> Vec<&Status> {
    let has_failed = |it: &&Status| it.reason().is_some() && it.state() != State::Registering;
    seen.iter().filter(has_failed).collect()
}

/// Says `parts` from the first failure on, and nothing else; `is_certain`: that nothing is left.
async fn says(name: String, options: Options, failures: u64, parts: [&str; 2], is_certain: bool) {
    let (seen, report) = said(options, failures).await;
    let failed = failed(&seen);
    assert_eq!(failed.len(), 1, "{name}: {seen:#?}");
    assert_eq!(failed[0].state(), State::Unreachable, "{name}: {seen:#?}");
    let kind = failed[0].reason_kind();
    assert_eq!(kind, Some(ErrorKind::Unavailable), "{name}: {seen:#?}");
    let text = failed[0].to_string();
    for part in parts {
        assert!(text.contains(part), "{name}: {text}");
    }
    assert!(text.ends_with("; retrying"), "{name}: {text}");
    if is_certain {
        assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered, "{name}");
        let why = failed[0].reason().expect("a reason").to_string();
        let told = report.to_string();
        let told = told.split_once("\nnot registered because ");
        assert_eq!(told.map(|(_, why)| why), Some(why.as_str()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_thing_is_said_of_every_sort_of_wrong_peer() {
    let mut all = JoinSet::new();
    for status in [
        "200 OK",
        "301 Moved Permanently",
        "400 Bad Request",
        "404 Not Found",
        "501 Not Implemented",
    ] {
        for closes in [false, true] {
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let address = raw(text.leak().as_bytes(), false, closes).await;
            let parts = [NO_GRPC, "(it answers in HTTP/1)"];
            all.spawn(says(status.into(), Options::new(address), 3, parts, true));
        }
    }
    // The second attempt of a call that a proxy may have answered comes within 3 s, the next late.
    for status in [
        200, 204, 301, 308, 400, 404, 405, 415, 421, 426, 464, 501, 505,
    ] {
        let address = page(status, "text/html", false).await;
        let text: &'static str = format!("(HTTP status {status} text/html)").leak();
        all.spawn(says(
            text.into(),
            Options::new(address),
            2,
            [NO_GRPC, text],
            true,
        ));
    }
    for (name, greeting) in [
        ("SSH-2.0", &b"SSH-2.0-OpenSSH_9.6\r\n"[..]),
        ("220 mail", b"220 mail ESMTP\r\n"),
        ("8.0.36", b"\x4a\0\0\0\x0a8.0.36\0"),
        ("INFO", b"INFO {\"server_id\":\"N\"}\r\n"),
    ] {
        for closes in [false, true] {
            let address = raw(greeting, true, closes).await;
            let options = Options::new(address);
            all.spawn(says(name.into(), options, 3, [NO_GRPC, name], true));
        }
    }
    let address = raw(b"-ERR unknown command\r\n", false, true).await;
    all.spawn(says(
        "redis".into(),
        Options::new(address),
        3,
        [NO_GRPC, "-ERR"],
        true,
    ));
    let server = tonic_greeter(Options::disabled()).await;
    let parts = ["not a gwag control plane: it is another gRPC server", PORT];
    all.spawn(says(
        "gRPC".into(),
        Options::new(server.address),
        2,
        parts,
        true,
    ));

    // TLS on one side only.
    let authority = Authority::new("private");
    let http_1 = page(200, "text/html", true).await;
    let proxy = TlsProxy::before(http_1, authority.server("localhost", None)).await;
    let parts = ["speaks TLS, but was called in plaintext", "write `https://"];
    let options = Options::new(proxy.localhost());
    all.spawn(says("TLS there".into(), options, 3, parts, true));
    for (greeting, speaks_first) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], false),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", true),
        (b"SSH-2.0-OpenSSH_9.6\r\n", true),
    ] {
        let address = raw(greeting, speaks_first, false).await;
        let options = Options::new(format!("https://{address}"));
        let parts = ["was called with TLS", "write `http://"];
        all.spawn(says("TLS here".into(), options, 3, parts, true));
    }
    // Certain of nothing: a gateway that dies may look like this.
    let trusting = Options::new(format!("https://{}", proxy.localhost()));
    let trusting = trusting.tls(Tls::new().ca_pem(authority.pem()));
    let parts = [
        NOT_LIKE_ONE,
        "it speaks TLS, but closes connections without an answer",
    ];
    all.spawn(says("HTTPS".into(), trusting, 3, parts, false));
    for (name, address) in [
        ("closes at once", raw(b"", true, true).await),
        ("closes after the preface", raw(b"", false, true).await),
        ("hyper, HTTP/1", page(200, "text/html", true).await),
    ] {
        let parts = [
            "(it closes connections without an answer)",
            "write `https://",
        ];
        all.spawn(says(name.into(), Options::new(address), 3, parts, false));
    }
    while let Some(said) = all.join_next().await {
        said.expect("as expected");
    }
}

/// The ports of a gateway that a newcomer may confuse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_port_of_a_real_gateway_is_named_as_such() {
    let Ok(http) = std::env::var("GWAG_GATEWAY_HTTP") else {
        println!("skipped: GWAG_GATEWAY_HTTP is not set to the HTTP port of a real gateway");
        return;
    };
    let address = http.trim_start_matches("http://");
    let parts = ["(it answers in HTTP/1)", PORT];
    says(http.clone(), Options::new(address), 6, parts, true).await;
    let options = Options::new(address.replace("http", "https"));
    says(http.clone(), options, 6, parts, true).await;
}

/// A proxy's login page: whatever it wants, no gateway has refused the service.
#[tokio::test]
async fn a_page_that_wants_credentials_is_no_refusal_of_a_gateway() {
    for status in [401, 403] {
        let address = page(status, "text/html", false).await;
        let (seen, report) = said(Options::new(address), 2).await;
        let failed = failed(&seen);
        assert_eq!(failed.len(), 1, "{seen:#?}");
        assert_eq!(failed[0].state(), State::Unreachable);
        assert_eq!(failed[0].reason_kind(), Some(ErrorKind::Unauthorized));
        assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
        let words = [
            (&*address.to_string(), "GATEWAY"),
            (&*status.to_string(), "STATUS"),
        ];
        reads("login page", &failed[0].to_string(), &words);
    }
}

/// A Register may take 15 s, but nobody wants to wait for a word that long.
#[tokio::test]
async fn a_peer_that_accepts_and_says_nothing_is_described_while_it_is_waited_for() {
    let address = raw(b"", true, false).await;
    let registration = start(Options::new(address));
    let mut status = registration.status();
    let told = within("a word", status.wait_for(|it| it.reason().is_some())).await;
    let told = told.expect("alive").clone();
    assert_eq!(told.state(), State::Registering, "{told}");
    assert_eq!(told.reason_kind(), Some(ErrorKind::TimedOut));
    reads(
        "silent",
        &told.to_string(),
        &[(&address.to_string(), "GATEWAY")],
    );

    // A gateway that is only slow is not suspected.
    let gateway = gateway().await;
    let first = tonic_greeter(crate::support::lone_options(&gateway)).await;
    registered(&first.registration).await;
    gateway.freeze();
    let registration = start(Options::new(gateway.target()));
    let mut status = registration.status();
    let told = within("a word", status.wait_for(|it| it.reason().is_some())).await;
    let told = told.expect("alive").to_string();
    reads("awaited", &told, &[(&gateway.target(), "GATEWAY")]);
    gateway.thaw();
    registered(&registration).await;
    first.stop().await;
}
