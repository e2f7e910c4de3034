//! The control plane of a gateway: its [messages](proto) and a [typed client](Client), for tools.
//!
//! A server needs none of this: [`GwagRegistrationLayer`](crate::GwagRegistrationLayer) makes the
//! calls.

pub(crate) mod address;
pub(crate) mod blocking;
mod client;
mod connection;
mod control_plane;
mod credentials;
mod escape;
mod exchange;
pub(crate) mod hold_binding;
mod list_reader;
mod lists;
mod nodes;
mod peer_protocol;
mod probe;
mod refusal;
mod resolver;
mod shared_looks;
mod target;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod token;
mod watched_io;

pub use client::Client;
pub(crate) use connection::Gateway;
pub(crate) use control_plane::ControlPlane;
pub(crate) use credentials::Credentials;
pub use escape::escaped;
pub use lists::live_nodes;
pub use probe::RouteProbe;
pub(crate) use refusal::CallError;
pub(crate) use resolver::resolve;
pub(crate) use shared_looks::SlotList;
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
