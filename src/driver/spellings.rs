//! In which spelling an address is advertised: gateways keep connections, and the back-off after
//! failed ones, by the string (contract, Address strings).

use std::time::Duration;

use tokio::time::Instant;

use crate::control::address::SPELLINGS;

/// After so long a gateway has given up what it knew of a spelling.
const FRESH_AFTER: Duration = Duration::from_secs(180);

/// The spellings of one address, and when each was used last.
#[derive(Clone, Debug)]
pub(crate) struct Spellings {
    /// `None`: never.
    used: Vec<Option<Instant>>,
    /// The life of the registration that is the newest, and its spelling.
    current: Option<(u32, usize)>,
    /// Where a process begins, so that it and its former life differ.
    first: usize,
}

// === impl Spellings ===

impl Spellings {
    /// A gRPC target is only for services that are all gRPC.
    pub(crate) fn new(seed: u64, is_all_proto: bool) -> Self {
        let all = if is_all_proto {
            2 * SPELLINGS
        } else {
            SPELLINGS
        };
        Self {
            used: vec![None; all],
            current: None,
            first: usize::try_from(seed % SPELLINGS as u64).unwrap_or(0),
        }
    }

    /// The spelling of a life; a new life has the one that was longest unused.
    pub(crate) fn of_life(&mut self, life: u32) -> usize {
        let now = Instant::now();
        match self.current {
            Some((newest, spelling)) if newest == life => return spelling,
            Some((_, spelling)) => self.used[spelling] = Some(now),
            None => {}
        }
        // The plain ones first, beginning with the first.
        let plain = (0..SPELLINGS).map(|it| (self.first + it) % SPELLINGS);
        let order = plain.chain(SPELLINGS..self.used.len());
        let current = self.current.map(|(_, spelling)| spelling);
        let free = order.filter(|it| Some(*it) != current);
        // invariant: there are several. The earliest of equals is the first.
        let spelling = free.min_by_key(|it| self.used[*it]).unwrap_or_default();
        if self.used[spelling].is_some_and(|at| now.duration_since(at) < FRESH_AFTER) {
            tracing::debug!(
                target: "tower_gwag",
                "all spellings of the address were used within {FRESH_AFTER:?}: the oldest is used \
                 again, and the gateway may still be in back-off for it"
            );
        }
        self.current = Some((life, spelling));
        spelling
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_life_has_the_spelling_that_was_longest_unused() {
        let mut spellings = Spellings::new(7, false);
        let mut lives = Vec::new();
        for life in 0..20 {
            let spelling = spellings.of_life(life);
            assert_eq!(spellings.of_life(life), spelling, "hold and service");
            lives.push(spelling);
            advance(Duration::from_secs(10)).await;
        }
        assert_eq!(lives[..6], [1, 2, 3, 4, 5, 0]);
        for window in lives.windows(6) {
            let mut window = window.to_vec();
            window.sort_unstable();
            assert_eq!(window, [0, 1, 2, 3, 4, 5], "{lives:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn grpc_targets_come_when_every_plain_spelling_was_used() {
        let mut spellings = Spellings::new(0, true);
        let lives: Vec<usize> = (0..13).map(|life| spellings.of_life(life)).collect();
        assert_eq!(lives, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0]);
    }
}
