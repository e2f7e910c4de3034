//! Reads a gateway's HTTP port: bounded, without redirects.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exit_codes::{Fault, USAGE};
use crate::output::plain;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const LONGEST: usize = 32 * 1024 * 1024;

/// The base URL of a gateway's HTTP port.
#[derive(Clone, Debug)]
pub(crate) struct Base(Uri);

impl Base {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |why: &str| {
            let message = format!("the URL `{}` {why}", plain(text));
            let help = "write the base of the gateway's HTTP port, such as http://gateway:8080";
            Fault::new(USAGE, message).help(help)
        };
        let full = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = full.parse().map_err(|_| fault("does not parse"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(fault(
                    "wants TLS, which this command does not speak to HTTP ports",
                ));
            }
            _ => return Err(fault("is not an http URL")),
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(fault("has no host"));
        }
        Ok(Self(uri))
    }

    pub(crate) fn host_port(&self) -> (String, u16) {
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        (host.to_owned(), self.0.port_u16().unwrap_or(80))
    }

    /// The answer to GET, or why there is none.
    pub(crate) async fn get(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let prefix = self.0.path().trim_end_matches('/');
        let shown = format!("{}{path}", self.0.to_string().trim_end_matches('/'));
        match timeout(TIMEOUT, self.exchange(&format!("{prefix}{path}"))).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(format!("{shown}: {error}")),
            Err(_) => Err(format!("{shown}: no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    async fn exchange(
        &self,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let (host, port) = self.host_port();
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let authority = self.0.authority().map_or("", |it| it.as_str());
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::ACCEPT, "*/*")
            .body(Empty::<Bytes>::new())?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST)
                .collect()
                .await?;
            Ok((status, body.to_bytes()))
        };
        tokio::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = connection => {
                ended?;
                exchange.await
            }
        }
    }
}
