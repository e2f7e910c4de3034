//! The life of a registration, and the one task that does the I/O: it makes the calls that the lease
//! decides, and tells it what became of them.

pub(crate) mod address;
mod calls;
mod clean_ups;
mod last_resort;
mod leaving;
mod life;
mod preferred;
mod supervisor;
mod takeover;
mod task;

pub(crate) use life::{Handle, LeaveRequest, Life};
