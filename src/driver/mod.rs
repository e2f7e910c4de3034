//! The life of a registration, and the task that does its I/O: it makes the calls that the lease
//! decides on, and feeds the results back.

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
