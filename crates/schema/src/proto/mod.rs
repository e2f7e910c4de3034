//! Proto sources: compiled, judged, printed and split for gateways.

#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
pub(crate) mod comments;
#[cfg(feature = "preflight")]
mod compile;
#[cfg(feature = "preflight")]
pub(crate) mod descriptor_set;
#[cfg(feature = "preflight")]
pub(crate) mod fault;
pub(crate) mod imports;
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
pub(crate) mod lex;
#[cfg(feature = "preflight")]
mod link;
#[cfg(feature = "preflight")]
pub(crate) mod locate;
#[cfg(feature = "preflight")]
pub(crate) mod preprocess;
#[cfg(feature = "preflight")]
mod print;
#[cfg(feature = "preflight")]
pub(crate) mod semantics;
#[cfg(feature = "preflight")]
pub(crate) mod source_info;
pub(crate) mod split;

#[cfg(feature = "preflight")]
pub use compile::*;
#[cfg(feature = "preflight")]
pub use preprocess::name_of;
