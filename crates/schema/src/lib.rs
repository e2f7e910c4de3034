//! What a gwag gateway accepts and how it judges it: services, their schemas, and what is wrong
//! with them, without a network.
//!
//! Servers use this crate through `tower-gwag`, build scripts through `tower-gwag-build`. Tools that
//! only check schemas use it alone: [`Service`] describes what is registered, [`check`] returns
//! [`Findings`].
//!
//! # Features
//!
//! `preflight` (on by default) compiles proto sources, reads OpenAPI documents and hashes schemas as
//! gateways do. `utoipa` and `include_dir` accept these crates' types.

// In the library only: tests may.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
mod comments;
#[cfg(feature = "preflight")]
mod descriptor_set;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod difference;
mod error;
#[doc(hidden)]
pub mod finding;
mod findings;
#[cfg(feature = "preflight")]
pub mod graphql;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod hash;
mod imports;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
mod lex;
#[doc(hidden)]
pub mod name;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod openapi;
#[cfg(feature = "preflight")]
mod openapi_check;
#[cfg(feature = "preflight")]
mod openapi_names;
#[cfg(feature = "preflight")]
mod openapi_references;
#[cfg(feature = "preflight")]
mod openapi_shape;
#[cfg(feature = "preflight")]
mod openapi_spots;
#[cfg(feature = "preflight")]
mod print;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod proto;
#[cfg(feature = "preflight")]
mod proto_check;
#[cfg(feature = "preflight")]
mod proto_fault;
#[cfg(feature = "preflight")]
mod proto_semantics;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod render;
#[cfg(feature = "preflight")]
mod render_types;
#[cfg(feature = "preflight")]
mod repair;
mod rule;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
mod schema_hash;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod size;
#[cfg(feature = "preflight")]
mod source_info;
mod split;
#[doc(hidden)]
pub mod spot;
mod title;
#[doc(hidden)]
pub mod version;
#[cfg(feature = "preflight")]
mod yaml;

pub use error::CheckError;
pub use finding::{Finding, Severity};
pub use findings::Findings;
pub use rule::{Rule, UnknownRule};
pub use schema_hash::SchemaHash;
pub use service::{Binding, OpenApiDocument, ProtoFiles, Service, VersionText, check};
pub use version::Version;
