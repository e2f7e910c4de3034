//! The gateway's rules as pure functions, used by the client before it dials and by the embedded
//! gateway when it answers. No I/O, no async.

pub(crate) mod address;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
mod comments;
#[cfg(feature = "preflight")]
pub(crate) mod descriptor_set;
pub(crate) mod finding;
pub(crate) mod findings;
#[cfg(feature = "preflight")]
pub(crate) mod hash;
pub(crate) mod imports;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
mod lex;
pub(crate) mod name;
#[cfg(feature = "preflight")]
pub(crate) mod openapi;
#[cfg(feature = "preflight")]
pub(crate) mod openapi_check;
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
pub(crate) mod proto;
#[cfg(feature = "preflight")]
pub(crate) mod proto_check;
#[cfg(feature = "preflight")]
mod proto_fault;
#[cfg(feature = "preflight")]
mod proto_semantics;
#[cfg(feature = "preflight")]
pub(crate) mod render;
#[cfg(feature = "preflight")]
mod render_types;
#[cfg(feature = "preflight")]
pub(crate) mod repair;
pub(crate) mod rule;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
pub(crate) mod schema_hash;
pub(crate) mod size;
#[cfg(feature = "preflight")]
mod source_info;
pub(crate) mod split;
pub(crate) mod spot;
pub(crate) mod title;
pub(crate) mod version;
#[cfg(feature = "preflight")]
pub(crate) mod yaml;
