//! The control plane of a gateway: its [messages](proto) and a [typed client](Client), for tools.
//!
//! A server needs none of this: [`GwagRegistrationLayer`](crate::GwagRegistrationLayer) makes the
//! calls.

pub(crate) mod address;
mod client;
mod connection;
mod credentials;
mod entries;
mod exchange;
pub(crate) mod ghosts;
mod looks;
mod nodes;
mod refusal;
mod resolver;
mod route_probe;
mod rpc;
mod shared;
mod shown;
mod spoken;
mod target;
pub(crate) mod token;
mod watched_io;

pub(crate) use client::{CallError, ControlPlane, Liveness};
pub(crate) use connection::Gateway;
pub(crate) use credentials::Credentials;
pub(crate) use looks::SlotList;
pub(crate) use refusal::is_transient;
pub(crate) use resolver::resolve;
pub use route_probe::RouteProbe;
pub use rpc::Client;
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
