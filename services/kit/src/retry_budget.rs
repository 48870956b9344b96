//! Retries as a share of requests, so that a failing service is not finished off by its clients' patience.
//!
//! A token bucket in the manner of Finagle's and linkerd's retry budgets: each request pays in a fraction, each retry takes a
//! whole token, and a trickle over time lets a quiet service retry as well.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Instant,
};

/// How generous a budget is, in retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// What it starts with, and the most to which time alone refills it.
    pub reserve: u32,
    /// What time alone brings, per second.
    pub trickle: u32,
    /// Most that a busy service may save up.
    pub saved_max: u32,
}

/// The retry budget of one service. Outlives changes of its policy. Never blocks.
#[derive(Debug)]
pub struct RetryBudget {
    allowance: Allowance,
    parts: AtomicI64,
    started: Instant,
    /// Trickled tokens already paid in.
    trickled: AtomicU64,
}

/// Parts of a token, so that one percent is a whole number.
const PARTS: i64 = 100;

// === impl RetryBudget ===

impl RetryBudget {
    /// A budget with its reserve.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            parts: AtomicI64::new(parts(allowance.reserve)),
            started: Instant::now(),
            trickled: AtomicU64::new(0),
        }
    }

    /// Pays in for one request: `percent` of a retry.
    pub fn deposit(&self, percent: u8) {
        let most = parts(self.allowance.saved_max);
        if percent > 0 && self.parts.load(Ordering::Relaxed) < most {
            self.parts.fetch_add(percent.into(), Ordering::Relaxed);
        }
    }

    /// Takes one retry out. False when the budget is spent.
    pub fn withdraw(&self) -> bool {
        self.trickle();
        let taken = self
            .parts
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                (left >= PARTS).then_some(left - PARTS)
            });
        taken.is_ok()
    }

    fn trickle(&self) {
        let seconds = self.started.elapsed().as_secs();
        let due = seconds.saturating_mul(self.allowance.trickle.into());
        let paid = self.trickled.fetch_max(due, Ordering::Relaxed);
        let fresh = u32::try_from(due.saturating_sub(paid)).unwrap_or(u32::MAX);
        let fresh = parts(fresh.min(self.allowance.reserve));
        let reserve = parts(self.allowance.reserve);
        if fresh > 0 && self.parts.load(Ordering::Relaxed) < reserve {
            self.parts.fetch_add(fresh, Ordering::Relaxed);
        }
    }
}

fn parts(tokens: u32) -> i64 {
    i64::from(tokens) * PARTS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        reserve: 100,
        trickle: 10,
        saved_max: 2_000,
    };

    fn drain(budget: &RetryBudget) -> usize {
        std::iter::from_fn(|| budget.withdraw().then_some(()))
            .take(100_000)
            .count()
    }

    #[test]
    fn retries_stay_within_their_share_of_requests() {
        let budget = RetryBudget::new(ALLOWANCE);
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
        let budget = RetryBudget::new(ALLOWANCE);
        for _ in 0..100_000 {
            budget.deposit(100);
        }
        assert!(drain(&budget) <= 2_040);
    }
}
