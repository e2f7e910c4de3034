//! Guesses a peer's protocol from its first bytes: the likeliest mistakes are a wrong port, and TLS
//! on one side only.

use std::sync::{Mutex, PoisonError};

use super::escape::escaped;
use super::target::Target;

/// Enough bytes to tell the protocols apart, and to quote a text.
pub(super) const ENOUGH: usize = 24;
/// The default port of a gateway's control plane.
const USUAL_PORT: u16 = 50_090;

/// The first bytes received over a connection.
#[derive(Debug, Default)]
pub(super) struct FirstBytes(Mutex<Vec<u8>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// The peer sent nothing.
    Nothing,
    Http1,
    Http2,
    Tls,
    Other(String),
}

// === impl FirstBytes ===

impl FirstBytes {
    pub(super) fn hear(&self, bytes: &[u8]) {
        // Bytes are only appended, so they are valid after a panic.
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = ENOUGH.saturating_sub(first.len()).min(bytes.len());
        first.extend_from_slice(&bytes[..more]);
    }

    pub(super) fn spoken(&self) -> Spoken {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &**first {
            [] => Spoken::Nothing,
            [b'H', b'T', b'T', b'P', b'/', ..] => Spoken::Http1,
            // TLS records of any version, such as alerts and handshakes.
            [20..=23, 3, ..] => Spoken::Tls,
            // A short frame of HTTP/2, usually SETTINGS, or its beginning.
            [0, 0, _, 0..=9, ..] | [0] | [0, 0] | [0, 0, _] => Spoken::Http2,
            other => Spoken::Other(escaped(String::from_utf8_lossy(other).trim())),
        }
    }
}

// === impl Spoken ===

impl Spoken {
    /// The mistake in the address, if the protocol reveals it: whoever answers there is no control
    /// plane, and carries nothing out.
    pub(super) fn mistake(&self, target: &Target) -> Option<String> {
        if target.is_https() {
            let how = match self {
                Self::Http1 => "HTTP/1 without TLS",
                Self::Http2 | Self::Other(_) => "plaintext",
                Self::Tls | Self::Nothing => return None,
            };
            return Some(format!(
                "{target} answers in {how}, but was called with TLS: write `http://{}`, without \
                 `Options::tls`, or check the port",
                target.authority()
            ));
        }
        match self {
            Self::Http1 => Some(no_grpc(target, "it answers in HTTP/1")),
            Self::Other(text) => Some(no_grpc(target, &format!("it sends `{text}`"))),
            Self::Tls => Some(format!(
                "{target} speaks TLS, but was called in plaintext: write `https://{}`{}",
                target.authority(),
                needed_for_tls()
            )),
            Self::Http2 | Self::Nothing => None,
        }
    }

    /// What is known of a peer that ended a connection before it had answered anything. A gateway
    /// may do so for a moment, so it is not called another server.
    pub(super) fn closes(&self, target: &Target) -> Option<String> {
        let how = match self {
            Self::Nothing => "it closes connections without an answer",
            Self::Tls if target.is_https() => {
                "it speaks TLS, but closes connections without an answer"
            }
            _ => return None,
        };
        Some(format!(
            "{target} does not answer like a gwag control plane ({how}): {}{}",
            remedy(target),
            self.other_scheme(target)
        ))
    }

    /// What is known of a peer that accepts connections and says nothing.
    pub(super) fn is_silent(&self, target: &Target) -> Option<String> {
        match self {
            Self::Nothing => Some(format!(
                "{target} accepts connections, but sends nothing: check that the gateway is not \
                 overloaded; if it is not a gateway, {}{}",
                remedy(target),
                self.other_scheme(target)
            )),
            _ => self.mistake(target),
        }
    }

    /// What to write if the peer has TLS and we have not, or the other way round.
    fn other_scheme(&self, target: &Target) -> String {
        let authority = target.authority();
        match (self, target.is_https()) {
            (Self::Nothing, true) => {
                format!("; if it does not use TLS, write `http://{authority}`")
            }
            (Self::Nothing, false) => {
                let feature = needed_for_tls();
                format!("; if it requires TLS, write `https://{authority}`{feature}")
            }
            _ => String::new(),
        }
    }
}

fn needed_for_tls() -> &'static str {
    match cfg!(feature = "tls") {
        true => "",
        false => " and enable the feature `tls-ring` or `tls-aws-lc` of tower-gwag",
    }
}

/// Another server answers there, which does not speak gRPC.
pub(super) fn no_grpc(target: &Target, why: &str) -> String {
    no_control_plane(target, &format!("it does not speak gRPC ({why})"))
}

/// Another server answers there, or a proxy that has no route to the gateway.
pub(super) fn no_control_plane(target: &Target, why: &str) -> String {
    let remedy = remedy(target);
    format!("something answers at {target}, but it is not a gwag control plane: {why}; {remedy}")
}

fn remedy(target: &Target) -> &'static str {
    match target.host_port() {
        (_, USUAL_PORT) => "check the host, and any proxy before the gateway",
        _ => {
            "give the address of the gateway's `--control-plane`, usually port 50090, not that of \
             its HTTP port"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_recognised_by_their_first_bytes() {
        for (pieces, spoken) in [
            (&[][..], Spoken::Nothing),
            (&[&b"HT"[..], b"TP/1.1 400 Bad Request"], Spoken::Http1),
            (&[b"\x15\x03\x03\x00\x02\x02\x0a"], Spoken::Tls),
            (&[b"\x00\x00\x06\x04\x00\x00\x00\x00\x00"], Spoken::Http2),
            (
                &[b"INFO {\"a\":1}\x1b"],
                Spoken::Other("INFO {\"a\":1}\\u{1b}".into()),
            ),
        ] {
            let first = FirstBytes::default();
            pieces.iter().for_each(|piece| first.hear(piece));
            assert_eq!(first.spoken(), spoken);
        }
    }
}
