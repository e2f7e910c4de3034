//! How a server leaves: what it waits for, what it cuts, what it reports.

#[path = "../support/mod.rs"]
mod support;

mod drain;
mod dropped;
mod leave;
mod leave_amid;
mod signals;
mod stop;
