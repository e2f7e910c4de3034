//! The types around a server: the wrapped service, and the wrapped listener and its connections.
//!
//! You rarely need to name them. Start with [`GwagRegistrationLayer`]; to keep a listener in a
//! struct, use [`GwagListener`] (axum) or [`Incoming`] (tonic).

mod body;
mod layer;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod listener;
mod service;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod severable;
mod shutdown;

pub use body::InFlightBody;
pub use layer::GwagRegistrationLayer;
#[cfg(all(feature = "axum", feature = "tonic"))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "axum", feature = "tonic"))))]
pub use listener::axum::IncomingListener;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use listener::axum::{GwagListener, IntoListener, Listening};
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub use listener::incoming::{Incoming, IntoIncoming};
pub use service::{GwagRegistrationFuture, GwagRegistrationService};
#[cfg(any(feature = "axum", feature = "tonic"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "axum", feature = "tonic"))))]
pub use severable::Severable;
pub use shutdown::stop_signal;
