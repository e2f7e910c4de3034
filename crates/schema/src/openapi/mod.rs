//! OpenAPI documents: parsed, checked and repaired for gateways.

#[cfg(feature = "preflight")]
pub(crate) mod check;
#[cfg(feature = "preflight")]
mod document;
#[cfg(feature = "preflight")]
pub(crate) mod keywords;
#[cfg(feature = "preflight")]
pub(crate) mod locate;
#[cfg(feature = "preflight")]
pub(crate) mod references;
#[cfg(feature = "preflight")]
pub(crate) mod repair;
pub(crate) mod title;
#[cfg(feature = "preflight")]
pub(crate) mod validate;
#[cfg(feature = "preflight")]
pub(crate) mod yaml;

#[cfg(feature = "preflight")]
pub use document::*;
