//! Access to a gateway.

use std::future::Future;
use std::path::Path;

use tower_gwag::control::Client;
use tower_gwag::{GatewayAddress, Options, Tls};

use crate::cli::Access;
use crate::exit_codes::{FILE, Fault, GATEWAY};
use crate::output::plain;
use crate::sources::{bytes_of, text_of};

/// Runs a future that uses the network; commands without one start no runtime.
pub(crate) fn on_a_runtime<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Fault::new(GATEWAY, format!("no runtime: {error}")))?;
    let done = runtime.block_on(work);
    // A name look-up may hang.
    runtime.shutdown_background();
    Ok(done)
}

/// A client of a gateway's control plane.
pub(crate) fn client(gateway: &str, access: &Access) -> Result<Client, Fault> {
    let options = options(gateway, access)?;
    let clients = options
        .control_clients()
        .map_err(|error| Fault::of_gateway(&error))?;
    clients
        .into_iter()
        .next()
        .ok_or_else(|| Fault::new(GATEWAY, "no gateway is given"))
}

/// Options with the gateway's address, TLS and token.
pub(crate) fn options(
    gateway: impl Into<GatewayAddress>,
    access: &Access,
) -> Result<Options, Fault> {
    let mut options = Options::new(gateway);
    if let Some(file) = &access.token_file {
        let token = text_of(file)?;
        if token.trim().is_empty() {
            let shown = plain(&file.display().to_string());
            return Err(
                Fault::new(FILE, format!("the token file `{shown}` is empty"))
                    .help("write the token into it, or leave --token-file and GWAG_TOKEN_FILE out"),
            );
        }
        options = options.bearer_token_file(file);
    } else if let Some(token) = std::env::var("GWAG_TOKEN").ok().filter(|it| !it.is_empty()) {
        options = options.bearer_token(token);
    }
    match tls(access)? {
        Some(config) => Ok(options.tls(config)),
        None => Ok(options),
    }
}

fn tls(access: &Access) -> Result<Option<Tls>, Fault> {
    let mut tls = None;
    if let Some(file) = &access.tls_ca {
        pem(file, "CERTIFICATE")?;
        tls = Some(Tls::new().ca_file(file));
    }
    if let (Some(cert), Some(key)) = (&access.tls_cert, &access.tls_key) {
        pem(cert, "CERTIFICATE")?;
        pem(key, "PRIVATE KEY")?;
        tls = Some(tls.unwrap_or_default().identity_files(cert, key));
    }
    if let Some(name) = &access.tls_server_name {
        tls = Some(tls.unwrap_or_default().server_name(name));
    }
    Ok(tls)
}

/// Checks the file now; each connection reads it anew.
fn pem(file: &Path, what: &str) -> Result<(), Fault> {
    let bytes = bytes_of(file)?;
    let has = String::from_utf8_lossy(&bytes).contains(what);
    match has {
        true => Ok(()),
        false => {
            let shown = plain(&file.display().to_string());
            let message = format!("`{shown}` has no PEM block with {what}");
            Err(Fault::new(FILE, message).help("give a file that begins with -----BEGIN …-----"))
        }
    }
}
