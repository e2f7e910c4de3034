//! Between a service and its gateway everything goes wrong: it says so, comes back by itself, and
//! leaves one entry behind.

#[path = "../../examples/support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod cut_off;
mod impostors;
mod namespaces;
mod proxied;

use std::net::SocketAddr;

use support::greeter_service;
use tower_gwag::{Hold, Options};

/// One lease, so that each call is one.
fn lone_options(gateway: SocketAddr) -> Options {
    let options = Options::new(gateway).seed(7).hold(Hold::Off);
    options.service(greeter_service())
}
