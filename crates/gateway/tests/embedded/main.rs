//! The embedded gateway on real sockets: both ingresses, and the hooks.

mod backend;
mod caller;

mod cluster;
mod data_plane;
mod hooks;
mod ingress;
