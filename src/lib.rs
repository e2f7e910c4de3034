//! Register tonic and axum servers with a gwag gateway.

// In the library only: tests and examples may.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod control;
#[cfg(feature = "embedded-gateway")]
pub mod embedded;
mod error;
mod options;
mod registration;
mod rules;
mod server;
mod service;

pub use error::{Error, ErrorKind};
pub use options::{GatewayAddress, Options};
pub use registration::{
    Event, LeaveOutcome, LeaveReason, LeaveReport, Registration, State, Status,
};
pub use server::{
    GwagRegistrationFuture, GwagRegistrationLayer, GwagRegistrationService, InFlightBody,
    stop_signal,
};
#[cfg(feature = "tonic")]
pub use server::{Incoming, IntoIncoming};
#[cfg(feature = "axum")]
pub use server::{IntoListener, Listening};
pub use service::{OpenApiDocument, ProtoFiles, Service, Version, VersionText};
