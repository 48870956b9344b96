//! Delays between attempts, so that many clients of one failed server do not return in the same instant.

use std::time::Duration;

use rand::RngExt as _;

/// Exponential delays with jitter. Each delay is 50 to 100 % of a bound that doubles from `min` up to `max`.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    bound: Duration,
}

impl Backoff {
    /// Starts at `min`; a `max` below `min` counts as `min`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max: max.max(min),
            bound: min,
        }
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.max);
        // Not "full jitter" from zero: a delay near nothing would let a tight loop through.
        bound.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// To be called after a success: the next delay starts at `min` again.
    pub fn reset(&mut self) {
        self.bound = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_jitter_until_the_maximum_and_start_again_after_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for bound_ms in [100, 200, 350, 350] {
            let delay = backoff.next_delay();
            assert!(delay >= Duration::from_millis(bound_ms / 2), "{delay:?}");
            assert!(delay <= Duration::from_millis(bound_ms), "{delay:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }

    #[test]
    fn a_maximum_below_the_minimum_counts_as_the_minimum() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(1));
        backoff.next_delay();
        assert!(backoff.next_delay() >= Duration::from_secs(1));
        assert!(backoff.next_delay() <= Duration::from_secs(2));
    }
}
