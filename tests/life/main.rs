//! A registration from its first call to its last: registered, kept, moved, held, read back.

#[path = "../support/control.rs"]
mod control;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls_proxy.rs"]
mod tls_proxy;

mod control_client;
mod disabled;
mod exclusive;
mod failover;
mod graphql;
mod hold;
mod hold_life;
mod in_doubt;
mod log;
mod nodes;
mod parity;
mod routed;
mod slots;
mod upkeep;
mod words;
