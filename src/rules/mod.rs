//! The gateway's rules as pure functions, used by the client before it dials and by the embedded
//! gateway when it answers. No I/O, no async.

pub(crate) mod address;
#[cfg(feature = "preflight")]
mod comments;
#[cfg(feature = "preflight")]
pub(crate) mod hash;
pub(crate) mod imports;
#[cfg(feature = "preflight")]
mod lex;
pub(crate) mod name;
#[cfg(feature = "preflight")]
#[cfg_attr(not(feature = "embedded-gateway"), allow(dead_code))]
pub(crate) mod openapi;
#[cfg(feature = "preflight")]
#[cfg_attr(not(feature = "embedded-gateway"), allow(dead_code))]
pub(crate) mod proto;
#[cfg(feature = "preflight")]
#[cfg_attr(not(feature = "embedded-gateway"), allow(dead_code))]
pub(crate) mod render;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
pub(crate) mod schema_hash;
#[cfg(feature = "preflight")]
mod source_info;
pub(crate) mod title;
pub(crate) mod version;
#[cfg(feature = "preflight")]
#[cfg_attr(not(feature = "embedded-gateway"), allow(dead_code))]
pub(crate) mod yaml;
