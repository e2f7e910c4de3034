//! Wakers of waiting requests, all woken at once: without a lock, and without an allocation unless
//! more requests wait at the same time than ever before.

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::task::Waker;

use atomic_waker::AtomicWaker;

/// Each chunk has twice as many words as the one before: room for 67 million.
const CHUNKS: usize = 20;
/// Places in a word.
const WORD: usize = 64;

/// Places for wakers.
#[derive(Debug, Default)]
pub(super) struct Wakers {
    chunks: [OnceLock<Box<[Word]>>; CHUNKS],
    /// A word that recently had room.
    roomy: AtomicUsize,
}

/// A claimed place; must be given back with [`Wakers::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(NonZeroU32);

#[derive(Debug)]
struct Word {
    taken: AtomicU64,
    wakers: [AtomicWaker; WORD],
}

// === impl Wakers ===

impl Wakers {
    /// `None` once all places are taken.
    pub(super) fn claim(&self) -> Option<Place> {
        let roomy = self.roomy.load(Ordering::Relaxed);
        let claimed = self.claim_in(roomy).or_else(|| {
            let words = (1 << CHUNKS) - 1;
            (0..words).find_map(|word| self.claim_in(word))
        });
        // `wake_all` either sees the chunk, or has set its flag before this.
        fence(Ordering::SeqCst);
        claimed
    }

    fn claim_in(&self, number: usize) -> Option<Place> {
        let (chunk, place) = chunk_of(number);
        let make = || (0..1 << chunk).map(|_| Word::new()).collect();
        let word = &self.chunks.get(chunk)?.get_or_init(make)[place];
        let bit = word.claim()?;
        if self.roomy.load(Ordering::Relaxed) != number {
            self.roomy.store(number, Ordering::Relaxed);
        }
        // Numbered from 1, so that `Option<Place>` needs no extra space.
        let number = u32::try_from(number * WORD + bit + 1).ok()?;
        NonZeroU32::new(number).map(Place)
    }

    /// Stores the waker for `wake_all`.
    pub(super) fn register(&self, place: Place, waker: &Waker) {
        if let Some((word, bit)) = self.word(place) {
            word.wakers[bit].register(waker);
        }
    }

    pub(super) fn release(&self, place: Place) {
        if let Some((word, bit)) = self.word(place) {
            // A waker left behind would keep its task alive.
            drop(word.wakers[bit].take());
            // Release: the next owner finds the place empty.
            word.taken.fetch_and(!(1 << bit), Ordering::Release);
            self.roomy.store(place.split().0, Ordering::Relaxed);
        }
    }

    fn word(&self, place: Place) -> Option<(&Word, usize)> {
        let (number, bit) = place.split();
        let (chunk, place) = chunk_of(number);
        let words = self.chunks.get(chunk)?.get()?;
        words.get(place).map(|word| (word, bit))
    }

    /// Wakes everybody who registered before, or who reads the flag that was set before this call
    /// after registering.
    pub(super) fn wake_all(&self) {
        fence(Ordering::SeqCst);
        let words = self.chunks.iter().filter_map(OnceLock::get).flatten();
        for waker in words.flat_map(|word| &word.wakers) {
            waker.wake();
        }
    }
}

// === impl Place ===

impl Place {
    /// The index of the word, and the bit in it.
    fn split(self) -> (usize, usize) {
        let number = self.0.get() as usize - 1;
        (number / WORD, number % WORD)
    }
}

/// The first chunk has the word 0, the next ones 1 and 2, 3 to 6, and so on.
fn chunk_of(number: usize) -> (usize, usize) {
    let chunk = (number + 1).ilog2() as usize;
    (chunk, number + 1 - (1 << chunk))
}

// === impl Word ===

impl Word {
    fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            wakers: std::array::from_fn(|_| AtomicWaker::new()),
        }
    }

    fn claim(&self) -> Option<usize> {
        let mut taken = self.taken.load(Ordering::Relaxed);
        while taken != u64::MAX {
            let bit = taken.trailing_ones() as usize;
            // Acquire: sees what the previous owner left.
            taken = self.taken.fetch_or(1 << bit, Ordering::Acquire);
            if taken & 1 << bit == 0 {
                return Some(bit);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn everybody_has_a_place_and_is_woken() {
        let wakers = Wakers::default();
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let flag = Arc::new(Flag::default());
                let place = wakers.claim().expect("a place");
                wakers.register(place, &Arc::clone(&flag).into());
                (place, flag)
            })
            .collect();
        let places: HashSet<_> = waiting.iter().map(|(place, _)| place.0).collect();
        assert_eq!(places.len(), waiting.len());
        for (place, _) in &waiting[..500] {
            wakers.release(*place);
        }
        wakers.wake_all();
        for (number, (_, flag)) in waiting.iter().enumerate() {
            assert_eq!(flag.0.load(Ordering::SeqCst), number >= 500, "{number}");
            // A place that was given back keeps no task alive.
            assert_eq!(Arc::strong_count(flag), 1, "{number}");
        }
        // What was given back is used again.
        let again = wakers.claim().expect("a place");
        assert!(places.contains(&again.0));
    }

    #[test]
    fn whoever_claims_while_all_are_woken_sees_why() {
        for _ in 0..300 {
            let wakers = Wakers::default();
            let over = AtomicBool::new(false);
            let flags: Vec<_> = (0..3).map(|_| Arc::new(Flag::default())).collect();
            std::thread::scope(|scope| {
                for flag in &flags {
                    let (wakers, over) = (&wakers, &over);
                    scope.spawn(move || {
                        let place = wakers.claim().expect("a place");
                        wakers.register(place, &Arc::clone(flag).into());
                        if over.load(Ordering::Acquire) {
                            flag.0.store(true, Ordering::SeqCst);
                        }
                    });
                }
                over.store(true, Ordering::Release);
                wakers.wake_all();
            });
            assert!(flags.iter().all(|flag| flag.0.load(Ordering::SeqCst)));
        }
    }
}
