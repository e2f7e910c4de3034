//! Whoever is at the gateway's address, and however many are with it: nobody is harmed, and nobody
//! is called more than is of use.

mod answers;
mod frames;
mod herd;
mod hostile;
mod leaving;
mod peer;
mod resolver;
mod restless;
#[path = "../support/mod.rs"]
mod support;
