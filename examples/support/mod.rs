//! What the examples share: a gateway to register with, ways to call through it, and to watch.
//!
//! They print the same behind any gateway, but for ports, ids and times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use serde_json::value::RawValue;
use tower_gwag::control::Client as ControlPlane;
use tower_gwag::{LeaveReport, Registration, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a clustered gateway may take until it routes.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gateway: the one that the environment names, or one in this process, which lives as long as a clone
/// of this.
#[derive(Clone)]
pub(crate) struct Gateway {
    /// `host:port` of its control plane, where gRPC calls go, too.
    pub(crate) control_plane: String,
    /// Base URL of its HTTP side; empty if it is not known.
    pub(crate) http: String,
    _embedded: Option<EmbeddedGateway>,
}

impl Gateway {
    pub(crate) async fn find() -> Result<Self, BoxError> {
        let gateway = if let Ok(control_plane) = std::env::var("GWAG_GATEWAY") {
            let http = std::env::var("GWAG_GATEWAY_HTTP").unwrap_or_default();
            Self {
                control_plane,
                http: http.trim_end_matches('/').to_owned(),
                _embedded: None,
            }
        } else {
            // As `gwag up` starts one.
            let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
            let embedded = builder.start().await?;
            eprintln!(
                "this gateway is embedded; set GWAG_GATEWAY and GWAG_GATEWAY_HTTP to use another"
            );
            Self {
                control_plane: embedded.target(),
                http: embedded.http_url(),
                _embedded: Some(embedded),
            }
        };
        let page = match gateway.http.as_str() {
            "" => "set GWAG_GATEWAY_HTTP to call it by HTTP and GraphQL".to_owned(),
            http => format!("services at {http}"),
        };
        println!("gateway    {}, {page}", gateway.control_plane);
        Ok(gateway)
    }

    /// Calls a path of the HTTP ingress; `None` if there is none, as on a standalone gateway, which answers
    /// every path with GraphQL.
    #[allow(dead_code, reason = "not every example calls by HTTP")]
    pub(crate) async fn ingress(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Option<String>, BoxError> {
        let answer = send(method, &format!("{}/api/ingress{path}", self.http), body).await?;
        let is_graphql = answer.contains("Must provide an operation.");
        Ok((!is_graphql).then_some(answer))
    }

    /// The hashes by which it lists services, once it lists all of these namespaces.
    #[allow(dead_code, reason = "not every example asks for it")]
    pub(crate) async fn hashes(
        &self,
        namespaces: &[&str],
    ) -> Result<BTreeMap<String, String>, BoxError> {
        let client = ControlPlane::new(self.control_plane.as_str())?;
        until_answered(|| async {
            let services = client.services().await?.services.into_iter();
            let found: BTreeMap<_, _> = services.map(|it| (it.namespace, it.hash_hex)).collect();
            match namespaces.iter().find(|it| !found.contains_key(**it)) {
                None => Ok(found),
                Some(missing) => Err(format!("{missing} is not listed").into()),
            }
        })
        .await
    }
}

/// The `data` of the answer to a GraphQL query, where each namespace is a field.
#[allow(dead_code, reason = "not every example calls by GraphQL")]
pub(crate) async fn graphql(gateway: &str, query: &str) -> Result<String, BoxError> {
    let query = json!({ "query": query }).to_string();
    let answer = send("POST", &format!("{gateway}/api/graphql"), &query).await?;
    let answer: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&answer)?;
    match (answer.get("errors"), answer.get("data")) {
        (None, Some(data)) => Ok(data.get().to_owned()),
        (errors, _) => Err(format!("{errors:?}").into()),
    }
}

/// Any HTTP client.
pub(crate) async fn send(method: &str, url: &str, body: &str) -> Result<String, BoxError> {
    let request = hyper::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).trim_end().to_owned();
    match status.is_success() {
        true => Ok(body),
        false => Err(format!("{status}: {body}").into()),
    }
}

/// Prints the changes of the registration's status until it has left, except those of its start:
/// [`until_routed`] shows how that ends, and how many states one sees on the way is chance.
pub(crate) fn print_status(
    registration: &Registration,
    since: Instant,
) -> tokio::task::JoinHandle<()> {
    let mut status = registration.status();
    let mut is_starting = true;
    tokio::spawn(async move {
        loop {
            let now = status.borrow_and_update().clone();
            is_starting &=
                now.is_registered() || matches!(now.state(), State::Idle | State::Registering);
            if !is_starting {
                println!("status     {now} (after {:.0?})", since.elapsed());
            }
            if now.state() == State::Left || status.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Waits until a call has proved the route.
pub(crate) async fn until_routed(
    registration: &Registration,
    since: Instant,
) -> Result<(), BoxError> {
    let mut status = registration.status();
    let routed = status.wait_for(|now| now.state() == State::Routed);
    let routed = tokio::time::timeout(PATIENCE, routed).await??.clone();
    println!("status     {routed} (after {:.0?})", since.elapsed());
    Ok(())
}

/// Prints how the registration ended, for people and for scripts.
pub(crate) fn print_report(report: &LeaveReport, served_well: bool) {
    println!("\n{report}");
    println!(
        "RESULT left ms={} exit={}",
        report.total().as_millis(),
        i32::from(!served_well)
    );
}

/// Tries `call` until it succeeds: a clustered gateway routes a moment after it registered.
pub(crate) async fn until_answered<T, F: Future<Output = Result<T, BoxError>>>(
    mut call: impl FnMut() -> F,
) -> Result<T, BoxError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
