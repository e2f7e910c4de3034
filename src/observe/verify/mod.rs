//! Registered does not mean routed: reads back what the gateway lists and routes, and reaches a
//! verdict.

mod explain;
mod gather;
mod read_back;
mod schema_page;
mod served;
mod verdict;

pub(crate) use explain::Conflict;
pub(crate) use gather::difference;
pub(crate) use read_back::{ReadBack, Seen};
pub use served::ServedSchema;
pub(crate) use verdict::{Expected, Remedy};
