//! Back-off between attempts to connect, as in grpc-go.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const FACTOR: f64 = 1.6;
const LONGEST: Duration = Duration::from_secs(120);
const JITTER: f64 = 0.2;

/// The waits between attempts: 1 s, growing by 1.6 up to 120 s, each ± 20 %.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let exponent = i32::try_from(self.failures).unwrap_or(i32::MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = (FIRST.as_secs_f64() * FACTOR.powi(exponent)).min(LONGEST.as_secs_f64());
        let jitter = 1.0 + JITTER * (2.0 * random_unit() - 1.0);
        Duration::from_secs_f64(wait * jitter)
    }
}

/// A number between 0 and 1, from the standard library's only source of randomness.
fn random_unit() -> f64 {
    let bits = random_u64() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

/// 64 random bits: each `RandomState` has new keys.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<f64> = (0..15).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((0.8..=1.2).contains(&waits[0]), "{waits:?}");
        assert!((1.28..=1.92).contains(&waits[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 144.0), "{waits:?}");
        assert!(waits[14] >= 96.0, "{waits:?}");
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(1200));
    }
}
