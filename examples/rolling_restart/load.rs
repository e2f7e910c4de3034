//! Callers without pause, and what became of their calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

use crate::BoxError;
use crate::greeter::greeter_client::GreeterClient;
use crate::greeter::{GreetingsRequest, HelloRequest};
use crate::scenario::Kind;

/// Messages of one streaming call.
const MESSAGES: i32 = 5;

/// How to make one call.
#[derive(Clone)]
pub(crate) enum Caller {
    Unary(GreeterClient<Channel>, i32),
    Stream(GreeterClient<Channel>, i32),
    Http(Box<Client<HttpConnector, Empty<Bytes>>>, hyper::Uri),
    /// The query.
    GraphQl(Box<Client<HttpConnector, Full<Bytes>>>, hyper::Uri, Bytes),
}

/// Calls that run until told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    callers: JoinSet<Calls>,
}

/// What became of the calls, each with its beginning and length.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) good: Vec<(Instant, Duration)>,
    pub(crate) lost: usize,
    pub(crate) first_loss: Option<String>,
}

// === impl Caller ===

impl Caller {
    pub(crate) fn new(
        kind: Kind,
        control_plane: &str,
        http: &str,
        namespace: &str,
        delay: Duration,
    ) -> Result<Self, BoxError> {
        let ms = i32::try_from(delay.as_millis())?;
        let greeter = || -> Result<_, BoxError> {
            let channel = Endpoint::from_shared(format!("http://{control_plane}"))?;
            Ok(GreeterClient::new(channel.connect_lazy()))
        };
        Ok(match kind {
            Kind::Unary => Self::Unary(greeter()?, ms),
            Kind::Stream => Self::Stream(greeter()?, ms / MESSAGES),
            Kind::Http => {
                let client = Client::builder(TokioExecutor::new()).build_http();
                let url = format!("{http}/api/ingress/{namespace}/{ms}");
                Self::Http(Box::new(client), url.parse()?)
            }
        })
    }

    /// For gateways that have no other way in: standalone ones.
    pub(crate) fn graphql(
        kind: Kind,
        http: &str,
        namespace: &str,
        delay: Duration,
    ) -> Result<Self, BoxError> {
        let ms = delay.as_millis();
        let call = match kind {
            Kind::Unary => format!(r#"hello(name: \"{ms}\") {{ greeting }}"#),
            Kind::Http => format!("wait(ms: {ms}) {{ ok }}"),
            Kind::Stream => return Err("streams are subscriptions, which are not called".into()),
        };
        let query = format!(r#"{{"query":"{{ {namespace} {{ {call} }} }}"}}"#);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let url = format!("{http}/api/graphql").parse()?;
        Ok(Self::GraphQl(Box::new(client), url, query.into()))
    }

    pub(crate) async fn call(&mut self) -> Result<(), BoxError> {
        match self {
            Self::Unary(client, delay_ms) => {
                let request = HelloRequest {
                    name: String::new(),
                    delay_ms: *delay_ms,
                };
                client.hello(request).await?;
            }
            Self::Stream(client, interval_ms) => {
                let request = GreetingsRequest {
                    name: String::new(),
                    count: MESSAGES,
                    interval_ms: *interval_ms,
                };
                let mut replies = client.greetings(request).await?.into_inner();
                let mut got = 0;
                while let Some(reply) = replies.next().await {
                    reply?;
                    got += 1;
                }
                if got != MESSAGES {
                    return Err(format!("{got} of {MESSAGES} messages").into());
                }
            }
            Self::Http(client, url) => {
                let response = client.get(url.clone()).await?;
                let status = response.status();
                response.into_body().collect().await?;
                if !status.is_success() {
                    return Err(format!("status {status}").into());
                }
            }
            Self::GraphQl(client, url, query) => {
                let request = hyper::Request::post(url.clone())
                    .header("content-type", "application/json")
                    .body(Full::new(query.clone()))?;
                let response = client.request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                let body = String::from_utf8_lossy(&body);
                if !status.is_success() || body.contains("errors") || body.contains("null") {
                    return Err(format!("status {status}: {body}").into());
                }
            }
        }
        Ok(())
    }
}

// === impl Load ===

impl Load {
    pub(crate) fn start(caller: &Caller, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut set = JoinSet::new();
        for _ in 0..callers {
            let mut caller = caller.clone();
            let stop = Arc::clone(&stop);
            set.spawn(async move {
                let mut calls = Calls::default();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    match caller.call().await {
                        Ok(()) => calls.good.push((start, start.elapsed())),
                        Err(error) => {
                            calls.lost += 1;
                            calls.first_loss.get_or_insert_with(|| error.to_string());
                            // A dead replica fails fast: that must not drown the good calls.
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                    }
                }
                calls
            });
        }
        Self { stop, callers: set }
    }

    pub(crate) async fn finish(mut self) -> Calls {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Calls::default();
        while let Some(calls) = self.callers.join_next().await {
            let calls = calls.unwrap_or_default();
            all.good.extend(calls.good);
            all.lost += calls.lost;
            all.first_loss = all.first_loss.or(calls.first_loss);
        }
        all
    }
}

// === impl Calls ===

impl Calls {
    pub(crate) fn total(&self) -> usize {
        self.good.len() + self.lost
    }

    /// The 99th percentile of the calls that began before, or from, `moment`.
    pub(crate) fn p99(&self, moment: Instant, before: bool) -> Duration {
        let mut lengths: Vec<Duration> = self
            .good
            .iter()
            .filter(|(start, _)| (*start < moment) == before)
            .map(|(_, length)| *length)
            .collect();
        lengths.sort_unstable();
        let at = lengths.len() * 99 / 100;
        lengths.get(at).copied().unwrap_or_default()
    }
}
