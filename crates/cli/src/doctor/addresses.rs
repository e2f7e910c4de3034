//! Dials the addresses of replicas and detects the protocol spoken there. Calls no handler.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::run::host_port;

const DIAL: Duration = Duration::from_secs(3);
/// The timeout for the first bytes of an answer.
const ANSWER: Duration = Duration::from_secs(1);
/// The most dials at once.
const MOST_DIALS: usize = 32;

/// The start of an HTTP/2 connection, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// The result of dialling an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// HTTP/2 without TLS.
    Http2,
    /// HTTP/1 only.
    Http1,
    Tls,
    /// It accepts, but sends nothing that identifies a protocol.
    Silent,
    /// Nothing answers, and why.
    Nobody(String),
    /// Not an address with a host and a port.
    Unclear,
}

pub(crate) async fn speak(addresses: BTreeSet<String>) -> BTreeMap<String, Spoken> {
    let mut places: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for address in addresses {
        match host_port(&address) {
            Some(place) => places.entry(place).or_default().push(address),
            None => {
                found.insert(address, Spoken::Unclear);
            }
        }
    }
    let mut places = places.into_iter();
    let mut dials = JoinSet::new();
    loop {
        while dials.len() < MOST_DIALS
            && let Some(((host, port), names)) = places.next()
        {
            dials.spawn(async move { (names, ask(&host, port).await) });
        }
        let Some(done) = dials.join_next().await else {
            break;
        };
        if let Ok((names, spoken)) = done {
            found.extend(names.into_iter().map(|it| (it, spoken.clone())));
        }
    }
    found
}

async fn ask(host: &str, port: u16) -> Spoken {
    let mut stream = match timeout(DIAL, TcpStream::connect((host, port))).await {
        Err(_) => return Spoken::Nobody(format!("no answer within {} s", DIAL.as_secs())),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            return Spoken::Nobody("connection refused".to_owned());
        }
        Ok(Err(error)) => return Spoken::Nobody(error.to_string()),
        Ok(Ok(stream)) => stream,
    };
    // The kernel may give a free port to the very connection that dials it.
    if stream.local_addr().ok() == stream.peer_addr().ok() {
        return Spoken::Nobody("connection refused".to_owned());
    }
    if stream.write_all(PREFACE).await.is_err() {
        return Spoken::Silent;
    }
    let mut head = [0; 9];
    let mut read = 0;
    while read < head.len() {
        match timeout(ANSWER, stream.read(&mut head[read..])).await {
            Ok(Ok(0) | Err(_)) | Err(_) => break,
            Ok(Ok(more)) => read += more,
        }
    }
    match &head[..read] {
        [0x15, 0x03, ..] | [0x16, 0x03, ..] => Spoken::Tls,
        [b'H', b'T', b'T', b'P', ..] => Spoken::Http1,
        [_, _, _, 0x04, ..] => Spoken::Http2,
        _ => Spoken::Silent,
    }
}
