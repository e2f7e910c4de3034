//! Connections to gRPC services: addresses, dialling, and what a broken exchange means.

mod backoff;
pub(super) mod target;
pub(super) mod upstream;

use tonic::{Code, Status};

pub(super) use self::backoff::random_u64;

/// The largest message that a gateway takes, in bytes.
pub(super) const MAX_MESSAGE: usize = 4 << 20;

/// How a real gateway calls itself towards services.
pub(super) const AGENT: &str = "grpc-go/1.80.0";

/// Why there is no connection, in the words of the gateway's language.
pub(super) fn dial_fault(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// The refusal of a message above [`MAX_MESSAGE`] by the control plane.
pub(super) fn too_large() -> Status {
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({MAX_MESSAGE} bytes)"
    ))
}

/// What the caller gets when the exchange with a service breaks.
pub(super) fn status_of(error: hyper::Error) -> Status {
    let text = error.to_string();
    // Knows the HTTP/2 reset codes; what is none of them is a lost connection.
    let status = Status::from_error(Box::new(error));
    match status.code() {
        Code::Unknown => Status::unavailable(format!("error reading from server: {text}")),
        code => Status::new(code, format!("stream terminated by RST_STREAM: {text}")),
    }
}
