//! The embedded gateway on real sockets: both ingresses, and the hooks.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used)]

mod backend;
mod caller;
mod hooks;
mod ingress;
