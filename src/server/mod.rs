//! Where a registration plugs into a server: the layer, the listeners, the shutdown.

mod body;
mod cut;
mod layer;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod listener;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod opening;
mod service;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod severable;
mod shutdown;

pub use body::InFlightBody;
pub use layer::GwagRegistrationLayer;
#[cfg(all(feature = "axum", feature = "tonic"))]
pub use listener::axum::IncomingListener;
#[cfg(feature = "axum")]
pub use listener::axum::{IntoListener, Listening};
#[cfg(feature = "tonic")]
pub use listener::incoming::{Incoming, IntoIncoming};
pub use service::{GwagRegistrationFuture, GwagRegistrationService};
#[cfg(any(feature = "axum", feature = "tonic"))]
pub use severable::Severable;
pub use shutdown::stop_signal;
