//! Register tonic and axum servers with a gwag gateway.

mod control;
#[cfg(feature = "embedded-gateway")]
pub mod embedded;
mod error;
mod rules;

pub use error::{Error, ErrorKind};
pub use rules::version::Version;
