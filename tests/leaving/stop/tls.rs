//! A server with TLS of its own, above the wrapped listener: nobody sees there what a connection is
//! busy with.

#[path = "../../support/tls_proxy.rs"]
mod tls_proxy;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tls_proxy::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::transport::{ClientTlsConfig, Endpoint, Server as Tonic, ServerTlsConfig};
use tower_gwag::Options;

use super::{Parts, Server, Serving};
use crate::support::greeter::greeter_client::GreeterClient;
use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::TestGreeter;
use crate::support::{hello, within};

const NAME: &str = "localhost";

/// A greeter without the layer.
async fn server(authority: &Authority, options: Options) -> Server {
    let identity = authority.identity(NAME);
    let serve = move |parts: Parts| -> Serving {
        Box::pin(async move {
            let incoming = parts.layer.registration().incoming(parts.listener);
            Tonic::builder()
                .tls_config(ServerTlsConfig::new().identity(identity))
                .expect("a configuration")
                .add_service(GreeterServer::new(TestGreeter::default()))
                .serve_with_incoming_shutdown(incoming.expect("wrapped"), parts.shutdown)
                .await
                .expect("served");
        })
    };
    Server::start(options, serve).await
}

#[tokio::test]
async fn a_call_is_answered() {
    let authority = Authority::new("ours");
    let server = server(&authority, Options::disabled()).await;
    let tls = ClientTlsConfig::new()
        .ca_certificate(authority.certificate())
        .domain_name(NAME);
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address));
    let endpoint = endpoint.expect("an address").tls_config(tls).expect("TLS");
    let channel = within("a connection", endpoint.connect()).await;
    let mut client = GreeterClient::new(channel.expect("connected"));
    let mut quick = client.clone();
    let call = tokio::spawn(async move {
        let mut request = hello("Ada");
        request.delay_ms = 3_500;
        client.hello(request).await
    });
    // It came after the long one.
    let answer = within("an answer", quick.hello(hello("Ada"))).await;
    answer.expect("answered");
    let report = server.stop().await;
    let answer = within("an answer", call).await.expect("no panic");
    assert!(answer.is_ok(), "{answer:?}: {report}");
    assert_eq!(report.severed(), 0, "{report}");
}

#[tokio::test]
async fn a_connection_without_a_byte_ends_a_second_after_the_stop() {
    let authority = Authority::new("ours");
    let server = server(&authority, Options::disabled()).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connected");
    let begun = Instant::now();
    let report = server.stop().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}: {report}");
    assert_eq!(report.severed(), 0, "{report}");
    // Closed, or reset.
    let end = within("the end", silent.read(&mut [0])).await;
    assert!(!matches!(end, Ok(1..)), "{end:?}");
}

/// What came cannot be read, so that it may be a request.
#[tokio::test]
async fn a_connection_that_is_encrypted_is_busy_until_the_drain_timeout() {
    let authority = Authority::new("ours");
    let limit = Duration::from_secs(3);
    let server = server(&authority, Options::disabled().drain_timeout(limit)).await;
    let mut roots = RootCertStore::empty();
    let authority = authority.certificate();
    let authority = CertificateDer::from_pem_slice(authority.as_ref()).expect("a certificate");
    roots.add(authority).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = config;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address).await.expect("connected");
    let name = ServerName::try_from(NAME).expect("a name");
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut stream = within("TLS", connected).await.expect("connected");
    stream.write_all(b"PRI * HT").await.expect("sent");
    stream.flush().await.expect("sent");
    let begun = Instant::now();
    let report = server.stop().await;
    let took = begun.elapsed();
    assert!(took >= limit, "{took:?}: {report}");
    assert!(took < limit + Duration::from_secs(2), "{took:?}: {report}");
    assert_eq!(report.severed(), 1, "{report}");
}
