//! Schemas through the layer: checked, registered, listed and called.

#[path = "../support/control.rs"]
mod control;
#[path = "../../crates/gateway/tests/conformance/shown.rs"]
mod shown;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tree.rs"]
mod tree;

mod bad_input;
mod descriptors;
mod proto_trees;
mod real_world;
mod repair;
mod rules;
mod split;
