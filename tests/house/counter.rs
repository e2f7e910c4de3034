//! Every interleaving of the in-flight counter and its waiters, under loom: no wake-up is lost,
//! and the count never goes below zero.

mod sync {
    pub(crate) use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../../src/drain/gauge.rs"]
mod gauge;

use gauge::Gauge;
use loom::sync::Arc;

/// Up to three preemptions, which loom's authors found to show nearly all faults; all of them
/// would take half a minute.
fn model(run: impl Fn() + Sync + Send + 'static) {
    model_with(3, run);
}

fn model_with(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
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

/// Of three threads the third preemption multiplies the time by ten, and each fault of a waiter shows
/// with one: between its look at the count and its wait.
#[test]
fn every_waiter_is_woken() {
    model_with(2, || {
        let gauge = Arc::new(Gauge::new());
        gauge.enter();
        let waiter = {
            let gauge = Arc::clone(&gauge);
            loom::thread::spawn(move || {
                loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
            })
        };
        let leaver = {
            let gauge = Arc::clone(&gauge);
            loom::thread::spawn(move || gauge.leave())
        };
        loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
        waiter.join().unwrap();
        leaver.join().unwrap();
        assert_eq!((gauge.count(), gauge.arrived()), (0, 1));
    });
}

#[test]
fn whose_arrival_is_taken_back_is_waited_for() {
    model(|| {
        let gauge = Arc::new(Gauge::new());
        gauge.enter();
        gauge.enter();
        let part = {
            let gauge = Arc::clone(&gauge);
            loom::thread::spawn(move || {
                gauge.take_back();
                gauge.leave();
            })
        };
        gauge.leave();
        loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
        assert_eq!((gauge.count(), gauge.arrived()), (0, 1));
        part.join().unwrap();
    });
}

#[test]
fn whoever_is_taken_over_is_counted_once() {
    model(|| {
        let gauge = Arc::new(Gauge::new());
        let other = Arc::new(Gauge::new());
        gauge.enter();
        let mover = {
            let (gauge, other) = (Arc::clone(&gauge), Arc::clone(&other));
            loom::thread::spawn(move || {
                other.take_over();
                gauge.leave();
            })
        };
        loom::future::block_on(std::future::poll_fn(|cx| gauge.poll_idle(cx)));
        assert_eq!((other.count(), other.arrived()), (1, 0));
        mover.join().unwrap();
    });
}
