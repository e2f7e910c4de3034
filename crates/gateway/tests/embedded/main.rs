//! The embedded gateway on real sockets: both ingresses, and the hooks.

mod backend;
mod browser;
mod caller;

mod cluster;
mod data_plane;
#[path = "../../../../tests/support/golden.rs"]
mod golden;
mod hooks;
mod ingress;
mod messages;
