//! The gateway's rules as pure functions, used by the client before it dials and by the embedded
//! gateway when it answers. No I/O, no async.

pub(crate) mod address;
pub(crate) mod imports;
pub(crate) mod name;
pub(crate) mod title;
pub(crate) mod version;
