//! What a gwag gateway accepts: describes services and their schemas, and checks them without a
//! network.
//!
//! Servers use this crate through `tower-gwag`, build scripts through `tower-gwag-build`. Tools that
//! only check schemas use it directly: [`Service`] describes what to register, [`check`] returns
//! [`Findings`].
//!
//! # Features
//!
//! `preflight` (on by default) compiles proto sources, reads OpenAPI documents and hashes schemas as
//! gateways do. `utoipa` and `include_dir` let these crates' types be passed in.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Only in the library: tests may use these.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[cfg(feature = "preflight")]
pub mod calls;
#[cfg(feature = "preflight")]
mod checks;
#[cfg(feature = "preflight")]
pub mod diff;
#[doc(hidden)]
pub mod finding;
#[doc(hidden)]
pub mod gateway;
#[cfg(feature = "preflight")]
pub mod graphql;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
#[doc(hidden)]
pub mod hash;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod json;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod location;
#[doc(hidden)]
pub mod name;
#[doc(hidden)]
pub mod openapi;
#[doc(hidden)]
pub mod proto;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod quote;
#[cfg(all(test, feature = "preflight"))]
mod recorded;
#[doc(hidden)]
pub mod redact;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod renderable;
#[cfg(feature = "preflight")]
mod repair;
#[doc = include_str!("finding/rules.md")]
pub mod rules {}
#[doc(hidden)]
pub mod service;
#[cfg(feature = "preflight")]
#[doc(hidden)]
pub mod sorted;
#[doc(hidden)]
pub mod version;

pub use finding::{CheckError, Finding, Findings, Rule, Severity, UnknownRule};
pub use gateway::GatewayRelease;
pub use hash::SchemaHash;
#[cfg(feature = "preflight")]
pub use service::graphql_schema;
pub use service::{
    Binding, IntoOpenApiDocument, OpenApiDocument, ProtoFiles, Service, VersionText, check,
    check_for,
};
pub use version::{InvalidVersion, Version};
