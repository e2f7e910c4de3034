//! A private CA, and a proxy that ends TLS in front of a plaintext gateway.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part, as a module of its own"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity};

/// A certificate authority of this test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// What a client trusts.
    pub fn certificate(&self) -> Certificate {
        Certificate::from_pem(self.0.pem())
    }

    /// The CA's certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of a client in PEM.
    pub fn identity_pem(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue(name);
        (certificate.pem(), key.serialize_pem())
    }

    /// The same, valid until the end of 2020.
    pub fn expired_pem(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue_until(name, 2020);
        (certificate.pem(), key.serialize_pem())
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        self.issue_until(name, 4000)
    }

    /// For several names if there are spaces between them.
    fn issue_until(&self, name: &str, year: i32) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<String> = name.split(' ').map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        (certificate, key)
    }

    /// What a client shows of itself.
    pub fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = self.issue(name);
        Identity::from_pem(certificate.pem(), key.serialize_pem())
    }

    /// A server called `name`; with `clients`, only for those that it vouches for.
    pub fn server(&self, name: &str, clients: Option<&Self>) -> Arc<ServerConfig> {
        self.server_until(name, clients, 4000)
    }

    /// The same, with a certificate that is valid until the end of `year`.
    pub fn server_until(&self, name: &str, clients: Option<&Self>, year: i32) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue_until(name, year);
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.0.der().clone()).expect("a root");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(chain, key.into());
        let mut config = config.expect("a server configuration");
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

/// Ends TLS and forwards to a plaintext server.
pub struct TlsProxy {
    pub address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    names: Arc<Mutex<Vec<Option<String>>>>,
    clients: Arc<Mutex<Vec<Vec<u8>>>>,
    cut: Arc<Mutex<CancellationToken>>,
    task: JoinHandle<()>,
}

impl TlsProxy {
    pub async fn before(target: SocketAddr, config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let config = Arc::new(Mutex::new(config));
        let names = Arc::new(Mutex::new(Vec::new()));
        let clients = Arc::new(Mutex::new(Vec::new()));
        let cut = Arc::new(Mutex::new(CancellationToken::new()));
        let (latest, asked_for) = (Arc::clone(&config), Arc::clone(&names));
        let (shown, cutter) = (Arc::clone(&clients), Arc::clone(&cut));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("accepted");
                let acceptor = TlsAcceptor::from(Arc::clone(&latest.lock().expect("no panic")));
                let (asked_for, shown) = (Arc::clone(&asked_for), Arc::clone(&shown));
                let cut = cutter.lock().expect("no panic").clone();
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    // A client that does not trust us hangs up.
                    let mut near = acceptor.accept(stream).await?;
                    let name = near.get_ref().1.server_name().map(str::to_owned);
                    asked_for.lock().expect("no panic").push(name);
                    let chain = near.get_ref().1.peer_certificates();
                    let client = chain.and_then(|chain| chain.first());
                    let client = client.map_or_else(Vec::new, |der| der.to_vec());
                    shown.lock().expect("no panic").push(client);
                    let mut far = TcpStream::connect(target).await?;
                    copy_bidirectional(&mut near, &mut far).await
                }));
            }
        });
        Self {
            address,
            config,
            names,
            clients,
            cut,
            task,
        }
    }

    /// Shows other certificates from the next connection on.
    pub fn change(&self, config: Arc<ServerConfig>) {
        *self.config.lock().expect("no panic") = config;
    }

    /// Ends every connection; new ones are taken.
    pub fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().expect("no panic")).cancel();
    }

    /// The client certificate of each connection that came up; empty where there was none.
    pub fn clients(&self) -> Vec<Vec<u8>> {
        self.clients.lock().expect("no panic").clone()
    }

    /// `localhost:port`: a name, as a certificate has it.
    pub fn localhost(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The server names (SNI) of the connections that came up.
    pub fn names(&self) -> Vec<Option<String>> {
        self.names.lock().expect("no panic").clone()
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
