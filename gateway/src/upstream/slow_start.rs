//! A share that grows: an endpoint that has just entered the rotation has cold caches and pools, and the requests of its full weight
//! would meet them all at once.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Share of its weight with which an endpoint begins. Less, and a rarely used one would not warm up at all.
const SHARE_MIN: f64 = 0.1;

/// When an endpoint entered the rotation.
#[derive(Debug)]
pub(super) struct Entry {
    born: Instant,
    /// Milliseconds after `born`.
    entered: AtomicU64,
}

/// The slow start of a pool at one moment, for one pick.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowStart {
    pub(super) length: Duration,
    pub(super) now: Instant,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            born: now,
            entered: AtomicU64::new(0),
        }
    }

    pub(super) fn set(&self, now: Instant) {
        let millis = now.saturating_duration_since(self.born).as_millis();
        self.entered.store(millis as u64, Ordering::Relaxed);
    }

    /// Share of its weight, growing in a straight line to 1.
    pub(super) fn share(&self, slow_start: SlowStart) -> f64 {
        let entered = self.born + Duration::from_millis(self.entered.load(Ordering::Relaxed));
        let elapsed = slow_start.now.saturating_duration_since(entered);
        (elapsed.as_secs_f64() / slow_start.length.as_secs_f64()).clamp(SHARE_MIN, 1.0)
    }

    /// Whether a candidate takes the request or leaves it to the next one. Chance instead of smaller weights, because weights are
    /// part of what is computed once per pool, and this changes all the time.
    pub(super) fn takes(&self, slow_start: SlowStart) -> bool {
        let share = self.share(slow_start);
        share >= 1.0 || rand::random::<f64>() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_from_a_tenth_to_the_whole_and_begins_anew_with_each_entry() {
        let born = Instant::now();
        let second = Duration::from_secs(1);
        let entry = Entry::new(born);
        let share = |after: u32| {
            entry.share(SlowStart {
                length: 10 * second,
                now: born + after * second,
            })
        };
        entry.set(born + 5 * second);
        // Before its entry, too: clocks of two cores may be read in another order.
        for (after, expected) in [(4, 0.1), (5, 0.1), (10, 0.5), (15, 1.0), (99, 1.0)] {
            assert!((share(after) - expected).abs() < 1e-9, "{after}");
        }
        entry.set(born + 99 * second);
        assert!((share(99) - 0.1).abs() < 1e-9);
    }
}
