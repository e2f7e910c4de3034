//! The repository itself: generated code, crates, and what the layer costs.

#[path = "../support/mod.rs"]
mod support;

mod allocations;
mod codegen;
mod counter;
mod examples;
mod kubernetes;
mod layout;
mod manual;
mod messages;
mod registers;
mod rooms;
mod texts;
mod two_clusters;

use std::path::Path;

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
