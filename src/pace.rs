//! When to do the next thing: heartbeats, retries, jitter. Seedable and free of I/O.

use std::time::Duration;

/// The longest interval between heartbeats, whatever the TTL: a clustered gateway forgets a replica
/// after 30 s without one (contract § 3).
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);
/// Between two attempts to reach a gateway that does not accept connections.
const POLL: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(500)];
/// The wait before the step that follows a not-ok answer or a lost connection.
const SOON: [Duration; 2] = [Duration::ZERO, Duration::from_millis(100)];
/// The spread of a re-registration for each replica that the gateway listed: all of them register
/// with a restarted gateway at once. Up to the maximum, at which of 50 replicas rarely more than a
/// fifth fall into one tenth of a second.
const SPREAD: Duration = Duration::from_millis(100);
const LONGEST_SPREAD: Duration = Duration::from_secs(2);
/// The same while the number of replicas is unknown.
const UNKNOWN_SPREAD: Duration = Duration::from_millis(500);
const BACKOFF_START: Duration = Duration::from_millis(250);
const BACKOFF_CAP: Duration = Duration::from_secs(5);
/// The wait after the first answer that may be a proxy's in the middle of a rollout.
const MOMENT: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
const REFUSAL_START: Duration = Duration::from_secs(30);
/// The longest wait before the first retry: a whole fleet is refused at the same moment.
const FIRST_REFUSAL: Duration = Duration::from_secs(45);
const REFUSAL_CAP: Duration = Duration::from_secs(300);

/// Durations with jitter from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// The configured heartbeat interval.
    interval: Option<Duration>,
    /// The number of replicas that the gateway listed when it was last asked, if it was.
    herd: Option<u32>,
    state: u64,
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(interval: Option<Duration>, seed: u64) -> Self {
        Self {
            interval,
            herd: None,
            state: seed,
        }
    }

    /// To the next heartbeat: min(granted TTL / 3, 10 s) ± 10 %, never more than half the granted
    /// TTL.
    pub(crate) fn beat(&mut self, granted: Duration) -> Duration {
        let usual = (granted / 3).min(LONGEST_INTERVAL);
        let interval = self.interval.unwrap_or(usual).min(LONGEST_INTERVAL);
        self.about(interval).min(granted / 2)
    }

    /// To the next attempt to reach a gateway that cannot be reached.
    pub(crate) fn poll(&mut self) -> Duration {
        self.between(POLL)
    }

    /// To the next step that needs no back-off.
    pub(crate) fn soon(&mut self) -> Duration {
        self.between(SOON)
    }

    pub(crate) fn set_herd(&mut self, replicas: u32) {
        self.herd = Some(replicas);
    }

    /// To the re-registration after a not-ok answer: the more replicas, the wider the spread.
    pub(crate) fn again(&mut self) -> Duration {
        let of_herd = |herd| SPREAD.saturating_mul(herd).min(LONGEST_SPREAD);
        let most = self.herd.map_or(UNKNOWN_SPREAD, of_herd);
        self.between([SOON[0], most.max(SOON[1])])
    }

    /// After `failures` failed calls in a row: exponential, full jitter, at most 5 s.
    pub(crate) fn backoff(&mut self, failures: u32) -> Duration {
        let most = doubled(BACKOFF_START, failures, BACKOFF_CAP);
        // At least half the smallest step, so that nothing spins.
        self.between([BACKOFF_START / 2, most.max(BACKOFF_START)])
    }

    /// After the content was refused `refusals` times in a row: from 30 s, full jitter, at most 5
    /// min.
    pub(crate) fn refusal(&mut self, refusals: u32) -> Duration {
        let most = doubled(REFUSAL_START, refusals, REFUSAL_CAP);
        self.between([REFUSAL_START, most.max(FIRST_REFUSAL)])
    }

    /// After the first answer that may be a proxy's.
    pub(crate) fn moment(&mut self) -> Duration {
        self.between(MOMENT)
    }

    /// `usual` ± 10 %, so that many replicas do not act at the same moment.
    pub(crate) fn about(&mut self, usual: Duration) -> Duration {
        usual.mul_f64(0.9 + 0.2 * self.unit())
    }

    fn between(&mut self, [least, most]: [Duration; 2]) -> Duration {
        least + (most - least).mul_f64(self.unit())
    }

    /// Uniform in [0, 1): splitmix64, which works well with any seed.
    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // An f64 holds 53 bits.
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn doubled(start: Duration, times: u32, cap: Duration) -> Duration {
    start.saturating_mul(1 << times.min(16)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_duration_stays_in_its_bounds(seed: u64, ttl in 1_u64..100_000, n: u32) {
            let mut pace = Pace::new(None, seed);
            let ttl = Duration::from_secs(ttl);
            let beat = pace.beat(ttl);
            let middle = (ttl / 3).min(LONGEST_INTERVAL);
            prop_assert!(beat >= middle.mul_f64(0.899) && beat <= middle.mul_f64(1.101));
            prop_assert!(beat <= ttl / 2);
            prop_assert!((POLL[0]..=POLL[1]).contains(&pace.poll()));
            prop_assert!(pace.soon() <= SOON[1]);
            prop_assert!(pace.again() <= UNKNOWN_SPREAD);
            pace.set_herd(1);
            prop_assert!(pace.again() <= SOON[1]);
            pace.set_herd(n);
            prop_assert!(pace.again() <= LONGEST_SPREAD);
            let backoff = pace.backoff(n);
            prop_assert!(backoff >= BACKOFF_START / 2 && backoff <= BACKOFF_CAP);
            let refusal = pace.refusal(n);
            prop_assert!(refusal >= REFUSAL_START && refusal <= REFUSAL_CAP);
            prop_assert!(pace.moment() <= Duration::from_secs(3));
            prop_assert!(pace.refusal(0) <= FIRST_REFUSAL);
        }

        #[test]
        fn a_wanted_interval_is_kept_within_half_the_granted_ttl(seed: u64, millis in 1_u64..60_000) {
            let wanted = Duration::from_millis(millis);
            let beat = Pace::new(Some(wanted), seed).beat(Duration::from_secs(30));
            prop_assert!(beat <= Duration::from_secs(15));
            prop_assert!(beat <= wanted.mul_f64(1.101));
        }
    }

    /// Replicas refused at the same moment do not retry at the same moment.
    #[test]
    fn a_first_refusal_is_retried_at_many_moments() {
        let retries = (0..100).map(|seed| Pace::new(None, seed).refusal(0).as_millis() / 100);
        let moments: std::collections::HashSet<_> = retries.collect();
        assert!(moments.len() > 50, "{}", moments.len());
    }

    #[test]
    fn twenty_replicas_have_the_widest_spread() {
        let longest = (0..1_000).map(|seed| {
            let mut pace = Pace::new(None, seed);
            pace.set_herd(20);
            pace.again()
        });
        assert!(longest.max().unwrap() > LONGEST_SPREAD.mul_f64(0.95));
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let run = |seed| {
            let mut pace = Pace::new(None, seed);
            (0..9).map(|n| pace.backoff(n)).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
