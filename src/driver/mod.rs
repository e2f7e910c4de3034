//! The life of a registration, and the task that does its I/O: it makes the calls that the lease
//! decides on, and feeds the results back.

pub(crate) mod advertised_address;
mod calls;
mod clean_ups;
mod doubts;
mod first_gateway;
mod last_resort;
mod leave_record;
mod life;
mod supervisor;
mod takeover;
mod task;

pub(crate) use life::{Handle, LeaveRequest, Life};
