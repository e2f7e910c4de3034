//! The gateway's rules as pure functions, used by the client before it dials and by the embedded
//! gateway when it answers. No I/O, no async.

pub(crate) mod address;
#[cfg(feature = "embedded-gateway")]
mod comments;
#[cfg(feature = "embedded-gateway")]
pub(crate) mod hash;
pub(crate) mod imports;
#[cfg(feature = "embedded-gateway")]
mod lex;
pub(crate) mod name;
#[cfg(feature = "embedded-gateway")]
pub(crate) mod openapi;
#[cfg(feature = "embedded-gateway")]
pub(crate) mod proto;
#[cfg(feature = "embedded-gateway")]
pub(crate) mod render;
#[cfg(feature = "embedded-gateway")]
mod source_info;
pub(crate) mod title;
pub(crate) mod version;
#[cfg(feature = "embedded-gateway")]
pub(crate) mod yaml;
