//! HTTP towards services, like the gateway's own client: it follows redirects, and requests and
//! decodes gzip.

use std::error::Error as _;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, REFERER, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::freeze::{Gate, Gated};
use crate::proxy::connections::Tasks;

/// The largest answer, in bytes, packed or not. A real gateway has no limit.
const MAX_ANSWER: usize = 64 << 20;

/// The timeout of a service. A real gateway waits forever.
const LONGEST: Duration = Duration::from_secs(600);

/// The most requests that redirects make of one.
const MAX_REQUESTS: usize = 10;

/// Calls services over HTTP, with reused connections.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder(Client<Dialer, Full<Bytes>>);

/// A request to a service.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The answer of a service.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) status: u16,
    /// With the service's reason phrase, `404 Not Found`.
    pub(super) status_line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Forwarder {
    pub(crate) fn new(tasks: Tasks, gate: Gate) -> Self {
        Self(Client::builder(tasks).build(Dialer(gate)))
    }

    /// Sends a request and follows redirects; an error has the gateway's text.
    pub(super) async fn fetch(&self, asked: Asked) -> Result<Fetched, String> {
        match tokio::time::timeout(LONGEST, self.follow(asked)).await {
            Ok(fetched) => fetched,
            Err(_) => Err("context deadline exceeded".to_owned()),
        }
    }

    async fn follow(&self, mut asked: Asked) -> Result<Fetched, String> {
        let mut requests = 0;
        loop {
            let (fetched, location) = self.once(&asked).await?;
            let Some(location) = location else {
                return Ok(fetched);
            };
            requests += 1;
            match fetched.status {
                // http-oas-redirect-302-post, http-oas-redirect-307-post
                301..=303 => {
                    if asked.method != Method::HEAD {
                        asked.method = Method::GET;
                    }
                    asked.body = Bytes::new();
                    asked.headers.remove(CONTENT_TYPE);
                }
                307 | 308 => {}
                _ => return Ok(fetched),
            }
            if requests == MAX_REQUESTS {
                return Err(failed(
                    &asked.method,
                    &location,
                    "stopped after 10 redirects",
                ));
            }
            let next = resolve(&asked.url, &location);
            if authority(&next) != authority(&asked.url) {
                asked.headers.remove(AUTHORIZATION);
            }
            if let Ok(value) = HeaderValue::from_str(&asked.url) {
                asked.headers.insert(REFERER, value);
            }
            asked.url = next;
        }
    }

    /// One exchange; returns the target of a redirect, if it is one.
    async fn once(&self, asked: &Asked) -> Result<(Fetched, Option<String>), String> {
        let failed = |why: &str| failed(&asked.method, &asked.url, why);
        let uri: Uri = asked
            .url
            .parse()
            .map_err(|error: http::uri::InvalidUri| failed(&error.to_string()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(failed("the embedded gateway has no TLS")),
            other => {
                let scheme = other.unwrap_or_default();
                return Err(failed(&format!("unsupported protocol scheme {scheme:?}")));
            }
        }
        let target = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::new(Full::new(asked.body.clone()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = asked.headers.clone();
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("Go-http-client/1.1"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = self
            .0
            .request(request)
            .await
            .map_err(|error| failed(&reason(&error, &target)))?;
        let reason = match answer.extensions().get::<hyper::ext::ReasonPhrase>() {
            Some(own) => super::json::lossy(own.as_bytes()),
            None => answer
                .status()
                .canonical_reason()
                .unwrap_or_default()
                .to_owned(),
        };
        let status = answer.status().as_u16();
        let location = answer
            .headers()
            .get(LOCATION)
            .map(|it| super::json::lossy(it.as_bytes()));
        let is_packed = answer
            .headers()
            .get(CONTENT_ENCODING)
            .is_some_and(|it| it == "gzip");
        let headers = answer.headers().clone();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let mut body = body.map_err(|error| error.to_string())?.to_bytes();
        if is_packed {
            body = unpacked(&body)?;
        }
        let status_line = format!("{status} {reason}");
        Ok((
            Fetched {
                status,
                status_line,
                headers,
                body,
            },
            location.filter(|it| !it.is_empty()),
        ))
    }
}

fn unpacked(body: &[u8]) -> Result<Bytes, String> {
    let mut out = Vec::new();
    let limit = MAX_ANSWER as u64 + 1;
    let read = flate2::read::MultiGzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut out);
    match read {
        Ok(length) if length <= MAX_ANSWER => Ok(out.into()),
        Ok(_) => Err(format!("the answer is longer than {MAX_ANSWER} bytes")),
        Err(error) => Err(format!("gzip: {error}")),
    }
}

fn failed(method: &Method, url: &str, why: &str) -> String {
    let mut name = method.as_str().to_ascii_lowercase();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!("{name} {url:?}: {why}")
}

/// Why an exchange failed, worded as the gateway's client does.
fn reason(error: &hyper_util::client::legacy::Error, target: &str) -> String {
    let mut source = error.source();
    while let Some(it) = source {
        if let Some(io) = it.downcast_ref::<io::Error>() {
            if !error.is_connect() {
                return "EOF".to_owned();
            }
            return format!("dial tcp {target}: {}", crate::proxy::dial_fault(io));
        }
        source = it.source();
    }
    if error.is_connect() {
        format!("dial tcp {target}: {error}")
    } else {
        "EOF".to_owned()
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The target of a `Location`, relative to a URL.
fn resolve(base: &str, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = base.split_once("://").unwrap_or(("http", base));
    if let Some(other) = location.strip_prefix("//") {
        return format!("{scheme}://{other}");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split('?').next().unwrap_or_default();
    let joined = match location {
        it if it.starts_with('/') => it.to_owned(),
        it if it.starts_with('?') => format!("{path}{it}"),
        it => {
            let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
            format!("{directory}/{it}")
        }
    };
    let (path, query) = match joined.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (joined.as_str(), None),
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{authority}{}{query}", super::paths::clean(path))
}

/// Connects to services through the gate.
#[derive(Clone, Debug)]
pub(crate) struct Dialer(Gate);

impl Service<Uri> for Dialer {
    type Response = TokioIo<Gated<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let gate = self.0.clone();
        Box::pin(async move { dial(&gate, &uri).await.map(TokioIo::new) })
    }
}

/// A connection to the host of a URI.
pub(super) async fn dial(gate: &Gate, uri: &Uri) -> io::Result<Gated<TcpStream>> {
    gate.open().await;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    // A port may have leading zeros: Go's resolver accepts them.
    let port = uri
        .port()
        .and_then(|port| port.as_str().parse::<u16>().ok())
        .unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let _ = stream.set_nodelay(true);
    Ok(Gated::new(stream, gate.clone()))
}

impl Connection for Gated<TcpStream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_resolved() {
        let base = "http://h:1/a/b?q=1";
        for (location, url) in [
            ("/x", "http://h:1/x"),
            ("x", "http://h:1/a/x"),
            ("../x?y=2", "http://h:1/x?y=2"),
            ("?z", "http://h:1/a/b?z"),
            ("//o/x", "http://o/x"),
            ("ftp://x/y", "ftp://x/y"),
        ] {
            assert_eq!(resolve(base, location), url);
        }
    }
}
