//! Connections to gRPC services: addresses, dialling, and the statuses of broken exchanges.

mod backoff;
pub(super) mod connections;
pub(super) mod target;

use tonic::{Code, Status};

pub(super) use self::backoff::random_u64;

/// The largest message that a gateway accepts, in bytes.
pub(super) const MAX_MESSAGE: usize = 4 << 20;

/// The user agent of a real gateway towards services.
pub(super) const AGENT: &str = "grpc-go/1.80.0";

/// Why there is no connection, worded as Go does.
pub(super) fn dial_fault(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// The control plane's refusal of a message above [`MAX_MESSAGE`].
pub(super) fn too_large() -> Status {
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({MAX_MESSAGE} bytes)"
    ))
}

/// The status that the caller gets when the exchange with a service breaks.
pub(super) fn status_of(error: hyper::Error) -> Status {
    let text = error.to_string();
    let reset = reset_of(&error);
    // Maps the HTTP/2 reset codes; anything else is a lost connection.
    let status = Status::from_error(Box::new(error));
    match status.code() {
        Code::Unknown => Status::unavailable(format!("error reading from server: {text}")),
        code => {
            let text = format!("stream terminated by RST_STREAM with error code: {reset}");
            Status::new(code, text)
        }
    }
}

/// The name of the reset code in an error, which HTTP/2 libraries describe in words.
fn reset_of(error: &hyper::Error) -> &'static str {
    const CODES: [(&str, &str); 8] = [
        ("stream no longer needed", "CANCEL"),
        ("refused stream", "REFUSED_STREAM"),
        ("unspecific protocol error", "PROTOCOL_ERROR"),
        ("unexpected internal error", "INTERNAL_ERROR"),
        ("flow-control protocol violated", "FLOW_CONTROL_ERROR"),
        ("excessive load", "ENHANCE_YOUR_CALM"),
        ("security properties", "INADEQUATE_SECURITY"),
        ("half-closed", "STREAM_CLOSED"),
    ];
    let mut texts = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(it) = cause {
        texts.push(it.to_string());
        cause = it.source();
    }
    let found = CODES
        .iter()
        .find(|(words, _)| texts.iter().any(|it| it.contains(words)));
    found.map_or("NO_ERROR", |(_, code)| code)
}
