//! Every kind of server and listener, wired as users wire it.

#[path = "../support/control.rs"]
mod control;
#[path = "../support/mod.rs"]
mod support;

mod axum_server;
mod compile;
mod environment;
mod examples;
mod half_wired;
mod health;
mod interop;
mod life;
mod listeners;
mod metrics;
mod mixed;
mod one_port;
mod recipes;
mod tls;
mod tonic_server;
