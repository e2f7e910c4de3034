//! TLS towards the gateway: trusted CAs, client identity, and the renewal of both without a
//! restart.

mod validity;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tracing::warn;

use super::blocking::on_thread;
use super::token::read_bounded;
use validity::Validity;

/// How long a connection waits for all files together.
const PATIENCE: Duration = Duration::from_secs(2);
/// A larger file does not hold certificates.
const LARGEST: u64 = 4 * 1024 * 1024;

/// TLS towards the gateway: trusted CAs, client identity, and the expected server name.
///
/// Without a CA, the system's CAs are trusted. Files are read again for each connection, so renewed
/// certificates need no restart; while they cannot be used, as in the middle of a renewal, the last
/// usable ones stay in use, and a warning is logged. Existing connections stay up.
///
/// The crypto provider is the one that the program has installed as rustls' default; otherwise that
/// of the feature `tls-ring` or `tls-aws-lc`, which then becomes the default.
///
/// `Debug` shows paths and names, but no key.
///
/// # Examples
///
/// ```
/// use tower_gwag::{Options, Tls};
///
/// let tls = Tls::new()
///     .ca_file("/etc/gwag/ca.pem")
///     .identity_files("/etc/gwag/tls.crt", "/etc/gwag/tls.key")
///     .server_name("gateway.internal");
/// let options = Options::new("gateway:50090").tls(tls);
/// ```
///
/// With the texts instead of files:
///
/// ```
/// use tower_gwag::Tls;
///
/// # let (ca, certificate, key) = ("", "", "");
/// let tls = Tls::new()
///     .ca_pem(ca)
///     .system_roots() // trust the system's CAs, too
///     .identity_pem(certificate, key);
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    ready: Option<ClientTlsConfig>,
    system_roots: bool,
    authorities: Vec<Pem>,
    identity: Option<(Pem, Pem)>,
    server_name: Option<String>,
}

/// The source of a PEM text.
#[derive(Clone)]
enum Pem {
    File(PathBuf),
    Text(Arc<[u8]>),
}

/// The part of the TLS settings that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Authority,
    Certificate,
    Key,
    Name,
    Whole,
}

/// What is wrong with a part; never contains its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) part: Part,
    pub(crate) message: String,
}

/// The current bytes of all parts.
#[derive(Clone, PartialEq, Eq)]
struct Loaded {
    authorities: Vec<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Makes a new endpoint when the files have changed.
pub(crate) struct Renewal {
    tls: Tls,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    made: Option<(Loaded, Endpoint)>,
    /// The fault that was already logged.
    fault: Option<String>,
}

// === impl Tls ===

impl Tls {
    /// Trusts the system's CAs, without a client identity.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in a PEM file instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// Like [`ca_file`](Self::ca_file), but takes the PEM text.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Pem::Text(pem.as_ref().into()));
        self
    }

    /// Trusts the system's CAs in addition to the given ones.
    #[must_use]
    pub fn system_roots(mut self) -> Self {
        self.system_roots = true;
        self
    }

    /// Sets the client identity (mutual TLS): PEM files with the certificate chain and its key.
    #[must_use]
    pub fn identity_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.identity = Some((Pem::File(certificate.into()), Pem::File(key.into())));
        self
    }

    /// Like [`identity_files`](Self::identity_files), but takes the PEM texts.
    #[must_use]
    pub fn identity_pem(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let (certificate, key) = (certificate.as_ref().into(), key.as_ref().into());
        self.identity = Some((Pem::Text(certificate), Pem::Text(key)));
        self
    }

    /// The name that the gateway's certificate must have, also sent as SNI. Default: the host of
    /// its address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Whether files are involved, so that the content may change.
    pub(crate) fn is_of_files(&self) -> bool {
        let identity = self.identity.iter().flat_map(|(one, other)| [one, other]);
        let mut all = self.authorities.iter().chain(identity);
        all.any(|pem| matches!(pem, Pem::File(_)))
    }

    /// Everything that is wrong with the current content.
    pub(crate) fn check(&self) -> Vec<Fault> {
        self.load().err().unwrap_or_default()
    }

    /// Applies the settings to an endpoint.
    pub(crate) fn applied(&self, endpoint: Endpoint) -> Result<Endpoint, Vec<Fault>> {
        self.with(endpoint, &self.load()?)
    }

    fn with(&self, endpoint: Endpoint, loaded: &Loaded) -> Result<Endpoint, Vec<Fault>> {
        let whole = |message: String| {
            vec![Fault {
                part: Part::Whole,
                message,
            }]
        };
        ensure_provider().map_err(|why| whole(why.to_owned()))?;
        let mut config = self.ready.clone().unwrap_or_default();
        let authorities = loaded.authorities.iter().map(Certificate::from_pem);
        config = config.ca_certificates(authorities);
        if self.system_roots || self.ready.is_none() && self.authorities.is_empty() {
            config = config.with_native_roots();
        }
        if let Some((certificate, key)) = &loaded.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        endpoint.tls_config(config).map_err(|error| {
            let cause = super::connection::root_of(&error).to_string();
            let what = match cause.contains("KeyMismatch") {
                true => "the key does not belong to the client certificate: give a pair",
                false => "check the CA, the client certificate with its key, and the server name",
            };
            whole(format!("{what} ({cause})"))
        })
    }

    fn load(&self) -> Result<Loaded, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut keep = |part: Part, result: Result<Vec<u8>, String>| {
            result.unwrap_or_else(|message| {
                faults.push(Fault { part, message });
                Vec::new()
            })
        };
        let authorities = self.authorities.iter();
        let authorities = authorities
            .map(|pem| keep(Part::Authority, pem.certificates("CA")))
            .collect();
        let identity = self.identity.as_ref().map(|(certificate, key)| {
            (
                keep(
                    Part::Certificate,
                    certificate.certificates("client certificate"),
                ),
                keep(Part::Key, key.key()),
            )
        });
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            let message = format!(
                "the server name `{}` is neither a host name nor an IP address",
                super::escaped(name)
            );
            let part = Part::Name;
            faults.push(Fault { part, message });
        }
        match faults.is_empty() {
            true => Ok(Loaded {
                authorities,
                identity,
            }),
            false => Err(faults),
        }
    }
}

impl From<ClientTlsConfig> for Tls {
    fn from(ready: ClientTlsConfig) -> Self {
        Self {
            ready: Some(ready),
            ..Self::default()
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities)
            .field("identity", &self.identity)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

// === impl Pem ===

impl Pem {
    fn named(&self, what: &str) -> String {
        match self {
            Self::File(path) => format!("the {what} file `{}`", path.display()),
            Self::Text(_) => format!("the {what}"),
        }
    }

    fn read(&self, what: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.to_vec()),
            Self::File(path) => read_bounded(path, LARGEST).map_err(|error| {
                format!(
                    "{} cannot be read ({error}): check its path and permissions",
                    self.named(what)
                )
            }),
        }
    }

    /// At least one of them is currently valid.
    fn certificates(&self, what: &str) -> Result<Vec<u8>, String> {
        let pem = self.read(what)?;
        let named = self.named(what);
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let all = all.map_err(|_| format!("{named} is not PEM: replace it"))?;
        let Some(first) = all.first() else {
            return Err(format!(
                "{named} has no certificate (`-----BEGIN CERTIFICATE-----`)"
            ));
        };
        if all.iter().any(|der| Validity::of(der).is_none()) {
            return Err(format!(
                "{named} has a certificate that cannot be read: replace it"
            ));
        }
        // Old certificates among several CAs may have expired; of a chain, the first is our own.
        let judged: &[CertificateDer<'_>] = match what {
            "CA" => &all,
            _ => std::slice::from_ref(first),
        };
        let faults: Vec<String> = judged
            .iter()
            .filter_map(|der| Validity::of(der)?.fault())
            .collect();
        match faults.first() {
            Some(why) if faults.len() == judged.len() => Err(format!("{named} {why}")),
            _ => Ok(pem),
        }
    }

    fn key(&self) -> Result<Vec<u8>, String> {
        let what = "private key";
        let pem = self.read(what)?;
        match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(_) => Ok(pem),
            // The reader's error could quote what it has read.
            Err(_) => Err(format!(
                "{} has no private key that can be read: it must be PKCS #8, PKCS #1 or SEC 1 in PEM, \
                 without a passphrase",
                self.named(what)
            )),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Text(_) => f.write_str("PEM"),
        }
    }
}

// === impl Renewal ===

impl Renewal {
    /// Starts with the content that the files had when the options were checked.
    pub(crate) fn new(tls: Tls) -> Self {
        Self {
            tls,
            last: Mutex::default(),
        }
    }

    /// The endpoint with the files' current content, or with the previous content if that cannot be
    /// used.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at most one read of the files is lost.
    pub(super) async fn renewed(&self, endpoint: &Endpoint) -> Endpoint {
        let mut last = self.last.lock().await;
        let (tls, base) = (self.tls.clone(), endpoint.clone());
        let made = last.made.clone();
        // The system's certificates are many, and files may be on a network.
        let read = on_thread("tower-gwag-tls", move || -> Result<_, Vec<Fault>> {
            let loaded = tls.load()?;
            match made {
                Some((same, endpoint)) if same == loaded => Ok((loaded, endpoint)),
                _ => Ok((loaded.clone(), tls.with(base, &loaded)?)),
            }
        });
        let why = match timeout(PATIENCE, read).await {
            Ok(Some(Ok(made))) => {
                let endpoint = made.1.clone();
                *last = Last {
                    made: Some(made),
                    fault: None,
                };
                return endpoint;
            }
            Ok(Some(Err(faults))) => in_a_line(&faults),
            Ok(None) | Err(_) => "reading the files took too long".to_owned(),
        };
        if last.fault.as_ref() != Some(&why) {
            warn!(
                target: "tower_gwag",
                "TLS to the gateway continues with the certificates that were read last: {why}"
            );
            last.fault = Some(why);
        }
        let made = last.made.as_ref();
        made.map_or_else(|| endpoint.clone(), |(_, endpoint)| endpoint.clone())
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tls.fmt(f)
    }
}

/// All faults in one text.
pub(crate) fn in_a_line(faults: &[Fault]) -> String {
    let messages: Vec<&str> = faults.iter().map(|fault| &*fault.message).collect();
    messages.join("; ")
}

/// Installs the feature's provider as the process default, if there is none: rustls does so only if
/// exactly one is compiled in, and panics otherwise.
fn ensure_provider() -> Result<(), &'static str> {
    if CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    #[cfg(feature = "tls-aws-lc")]
    let provider = Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc")))]
    let provider = Some(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    let provider: Option<CryptoProvider> = None;
    match provider {
        Some(provider) => {
            // Another thread was faster.
            let _ = provider.install_default();
            Ok(())
        }
        None => Err(
            "there is no crypto provider: enable the feature `tls-ring` or `tls-aws-lc` of \
             tower-gwag, or install rustls' default provider first",
        ),
    }
}

/// The remedy for a connection that ended with this error; `None` if it is not about certificates.
pub(super) fn remedy(why: &str) -> Option<&'static str> {
    let ours = "give a client certificate that the gateway trusts (`Tls::identity_files`, \
                GWAG_TLS_CERT_FILE and GWAG_TLS_KEY_FILE)";
    [
        (
            "UnknownIssuer",
            "its certificate was issued by an authority that this process does not trust: add the \
             authority with `Tls::ca_file` or GWAG_TLS_CA_FILE",
        ),
        (
            "certificate expired",
            "its certificate has expired: renew it, or correct this host's clock",
        ),
        (
            "peer certificate: Expired",
            "its certificate has expired: renew it, or correct this host's clock",
        ),
        (
            "certificate not valid yet",
            "its certificate is not valid yet: correct the clocks",
        ),
        (
            "NotValidYet",
            "its certificate is not valid yet: correct the clocks",
        ),
        (
            "not valid for name",
            "its certificate is for another name: set that name with `Tls::server_name` or \
             GWAG_TLS_SERVER_NAME, or issue a certificate for this one",
        ),
        (
            "NotValidForName",
            "its certificate is for another name: set that name with `Tls::server_name` or \
             GWAG_TLS_SERVER_NAME, or issue a certificate for this one",
        ),
        (
            "CaUsedAsEndEntity",
            "it presents the certificate of an authority as its own: issue a server certificate",
        ),
        (
            "invalid peer certificate",
            "its certificate cannot be used: issue another one",
        ),
        ("alert: CertificateRequired", ours),
        (
            "alert: CertificateExpired",
            "the client certificate has expired: renew it",
        ),
        ("alert: BadCertificate", ours),
        ("alert: CertificateUnknown", ours),
        ("alert: UnknownCA", ours),
        ("alert: DecryptError", ours),
        ("alert: AccessDenied", ours),
        (
            "alert: HandshakeFailure",
            "it requires other TLS parameters, or a client certificate (`Tls::identity_files`)",
        ),
        (
            "alert: ProtocolVersion",
            "it speaks neither TLS 1.2 nor 1.3",
        ),
        (
            "alert: UnrecognisedName",
            "it does not know the name: set another one with `Tls::server_name`",
        ),
        (
            "no native certs found",
            "this host has no CA certificates: install them, or set `Tls::ca_file`",
        ),
        (
            "HTTP/2 was not negotiated",
            "it does not speak HTTP/2 over TLS: is it the control plane?",
        ),
    ]
    .into_iter()
    .find(|(part, _)| why.contains(part))
    .map(|(_, remedy)| remedy)
}
