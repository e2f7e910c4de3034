//! Every interleaving of the in-flight counter and its waiter, under loom: no wake-up is lost,
//! and the count never goes below zero.

mod sync {
    use std::task::Waker;

    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

    impl AtomicWaker {
        pub(crate) fn new() -> Self {
            Self(loom::future::AtomicWaker::new())
        }

        pub(crate) fn register(&self, waker: &Waker) {
            self.0.register_by_ref(waker);
        }

        pub(crate) fn wake(&self) {
            self.0.wake();
        }
    }
}

#[path = "../src/registration/gauge.rs"]
mod gauge;

use gauge::Gauge;
use loom::sync::Arc;

/// Up to three preemptions, which loom's authors found to show nearly all faults; all of them
/// would take half a minute.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

#[test]
fn the_waiter_is_woken_by_whoever_leaves_last() {
    model(|| {
        let gauge = Arc::new(Gauge::new());
        gauge.enter();
        gauge.enter();
        let leavers: Vec<_> = (0..2)
            .map(|_| {
                let gauge = Arc::clone(&gauge);
                loom::thread::spawn(move || gauge.leave())
            })
            .collect();
        // A lost wake-up is a deadlock, which loom reports.
        loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
        assert_eq!(gauge.count(), 0);
        for leaver in leavers {
            leaver.join().unwrap();
        }
    });
}

#[test]
fn the_count_stays_between_zero_and_those_who_entered() {
    model(|| {
        let gauge = Arc::new(Gauge::new());
        gauge.enter();
        let other = {
            let gauge = Arc::clone(&gauge);
            loom::thread::spawn(move || {
                gauge.enter();
                gauge.leave();
            })
        };
        let seen = gauge.count();
        assert!((1..=2).contains(&seen), "{seen}");
        gauge.leave();
        assert!(gauge.count() <= 1, "below zero wraps around");
        loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
        other.join().unwrap();
        assert_eq!(gauge.count(), 0);
    });
}
