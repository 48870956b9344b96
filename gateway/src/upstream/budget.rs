//! Retries as a share of requests, so that a failing service is not finished off by its clients' patience.
//!
//! A token bucket in the manner of Finagle's and linkerd's retry budgets: each request pays in a fraction, each retry takes a
//! whole token, and a trickle over time lets a quiet service retry as well.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Instant,
};

/// Tokens a new service starts with, and the least a bucket may refill to from the trickle alone.
const RESERVE_TOKENS: i64 = 100;
/// Most tokens a busy service may save up.
const TOKENS_MAX: i64 = 2_000;
/// Tokens that time alone brings, per second.
const TRICKLE_PER_SECOND: u64 = 10;
/// Parts of a token, so that one percent is a whole number.
const PARTS: i64 = 100;

/// The retry budget of one service. Outlives changes of its policy.
#[derive(Debug)]
pub struct RetryBudget {
    parts: AtomicI64,
    started: Instant,
    /// Trickled tokens already paid in.
    trickled: AtomicU64,
}

// === impl RetryBudget ===

impl RetryBudget {
    /// Pays in for one request.
    pub fn deposit(&self, percent: u8) {
        if percent > 0 && self.parts.load(Ordering::Relaxed) < TOKENS_MAX * PARTS {
            self.parts.fetch_add(percent.into(), Ordering::Relaxed);
        }
    }

    /// Takes one retry out. False when the budget is spent.
    pub fn withdraw(&self) -> bool {
        self.trickle();
        let taken = self
            .parts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |parts| {
                (parts >= PARTS).then_some(parts - PARTS)
            });
        taken.is_ok()
    }

    fn trickle(&self) {
        let due = self
            .started
            .elapsed()
            .as_secs()
            .saturating_mul(TRICKLE_PER_SECOND);
        let paid = self.trickled.fetch_max(due, Ordering::Relaxed);
        let fresh = i64::try_from(due.saturating_sub(paid))
            .unwrap_or(0)
            .min(RESERVE_TOKENS)
            * PARTS;
        if fresh > 0 && self.parts.load(Ordering::Relaxed) < RESERVE_TOKENS * PARTS {
            self.parts.fetch_add(fresh, Ordering::Relaxed);
        }
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            parts: AtomicI64::new(RESERVE_TOKENS * PARTS),
            started: Instant::now(),
            trickled: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(budget: &RetryBudget) -> usize {
        std::iter::from_fn(|| budget.withdraw().then_some(()))
            .take(100_000)
            .count()
    }

    #[test]
    fn retries_stay_within_their_share_of_requests() {
        let budget = RetryBudget::default();
        assert!(drain(&budget) >= 100);
        for _ in 0..1_000 {
            budget.deposit(20);
        }
        let retries = drain(&budget);
        // The trickle may add a second's worth while the test runs.
        assert!((200..=240).contains(&retries), "{retries}");
        for _ in 0..1_000 {
            budget.deposit(0);
        }
        assert!(drain(&budget) <= 40);
    }

    #[test]
    fn savings_are_bounded() {
        let budget = RetryBudget::default();
        for _ in 0..100_000 {
            budget.deposit(100);
        }
        assert!(drain(&budget) <= 2_040);
    }
}
