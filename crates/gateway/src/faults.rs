//! Faults on request: refusals and delays per call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::{Code, Status};

use super::rpc::Rpc;

/// Refusals and delays of the next calls.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<HashMap<Rpc, Fault>>);

#[derive(Debug, Default)]
struct Fault {
    refusals: usize,
    code: Option<Code>,
    message: String,
    delay: Duration,
}

impl Faults {
    fn faults(&self) -> MutexGuard<'_, HashMap<Rpc, Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refuse_next(&self, rpc: Rpc, calls: usize, code: Code, message: String) {
        let mut faults = self.faults();
        let fault = faults.entry(rpc).or_default();
        fault.refusals = calls;
        fault.code = Some(code);
        fault.message = message;
    }

    pub(super) fn delay(&self, rpc: Rpc, delay: Duration) {
        self.faults().entry(rpc).or_default().delay = delay;
    }

    /// The delay before this call is handled.
    pub(super) fn delay_of(&self, rpc: Rpc) -> Duration {
        self.faults()
            .get(&rpc)
            .map(|fault| fault.delay)
            .unwrap_or_default()
    }

    /// The refusal of this call, if any; asking consumes it.
    pub(super) fn take_refusal(&self, rpc: Rpc) -> Option<Status> {
        let mut faults = self.faults();
        let fault = faults.get_mut(&rpc)?;
        let code = fault.code?;
        fault.refusals = fault.refusals.checked_sub(1)?;
        Some(Status::new(code, fault.message.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_used_up() {
        let faults = Faults::default();
        assert!(faults.take_refusal(Rpc::Register).is_none());
        faults.refuse_next(Rpc::Register, 2, Code::Unavailable, "down".to_owned());
        assert!(faults.take_refusal(Rpc::Heartbeat).is_none());
        for _ in 0..2 {
            let status = faults.take_refusal(Rpc::Register).unwrap();
            assert_eq!(
                (status.code(), status.message()),
                (Code::Unavailable, "down")
            );
        }
        assert!(faults.take_refusal(Rpc::Register).is_none());
    }
}
