//! The control plane of a gateway: its [messages](proto) and a [typed client](Client), for tools.
//!
//! A server needs none of this: [`GwagRegistrationLayer`](crate::GwagRegistrationLayer) makes the
//! calls.

pub(crate) mod address;
pub(crate) mod blocking;
mod calls;
mod client;
mod connection;
mod credentials;
mod entries;
mod exchange;
pub(crate) mod ghosts;
pub(crate) mod hold;
mod lists;
mod looks;
mod nodes;
mod probe;
mod refusal;
mod resolver;
mod shown;
mod spoken;
mod target;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod token;
mod watched_io;

pub(crate) use calls::ControlPlane;
pub use client::Client;
pub(crate) use connection::Gateway;
pub(crate) use credentials::Credentials;
pub(crate) use looks::SlotList;
pub use probe::RouteProbe;
pub(crate) use refusal::CallError;
pub(crate) use resolver::resolve;
pub use shown::shown;
pub(crate) use target::{Lookup, Target};

/// The control plane's messages, client and server, made from `proto/control_plane.proto`.
#[allow(
    clippy::all,
    clippy::pedantic,
    dead_code,
    missing_docs,
    rustdoc::all,
    unreachable_pub,
    unused_qualifications
)]
pub mod proto {
    #[cfg(not(feature = "codegen"))]
    include!("generated.rs");
    #[cfg(feature = "codegen")]
    include!(concat!(env!("OUT_DIR"), "/gateway.controlplane.v1.rs"));
}
