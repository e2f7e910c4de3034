//! Between a service and its gateway everything goes wrong, whoever is at its address: the service says
//! so, comes back by itself, and leaves one entry behind; nobody is harmed, and nobody is called more
//! than is of use.

#[path = "../../examples/support/fault_proxy.rs"]
mod fault_proxy;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod crowd;
mod cut_off;
mod frames;
mod herd;
mod hostile;
mod impostors;
mod leaving;
mod namespaces;
mod peer;
mod proxied;
mod resolver;
mod restless;

use std::net::SocketAddr;

use support::greeter_service;
use tower_gwag::{Hold, Options};

/// One lease, so that each call is one.
fn lone_options(gateway: SocketAddr) -> Options {
    let options = Options::new(gateway).seed(7).hold(Hold::Off);
    options.service(greeter_service())
}
