//! The binary `tower-gwag`, as people and scripts call it.
//!
//! Set `GWAG_GATEWAY` and `GWAG_GATEWAY_HTTP` to run what is marked so against a real clustered gateway,
//! with `--test-threads=1`.

mod bad_input;
mod dev;
mod doctor;
mod examples;
#[path = "../../../../tests/support/golden.rs"]
mod golden;
mod messages;
mod operators;
mod program;
mod run;
mod schemas;
mod support;
#[path = "../../../../tests/support/tls_proxy.rs"]
mod tls_proxy;
