//! OpenAPI documents: parsed and validated as gateways do.

#[cfg(feature = "preflight")]
mod document;
#[cfg(feature = "preflight")]
pub(crate) mod keywords;
#[cfg(feature = "preflight")]
pub(crate) mod locate;
pub(crate) mod title;
#[cfg(feature = "preflight")]
pub(crate) mod validate;
#[cfg(feature = "preflight")]
pub(crate) mod yaml;

#[cfg(feature = "preflight")]
pub use document::*;
