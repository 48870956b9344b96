//! Retries as a share of calls, so that an ailing service is not finished off by repetitions.

use parking_lot::Mutex;
use tokio::time::Instant;

/// Retries that a quiet service has.
const RESERVE: f64 = 20.0;

/// Most retries that a busy one can save up.
const SAVED_MAX: f64 = 1_000.0;

/// How fast the reserve comes back, in retries per second.
const TRICKLE: f64 = 2.0;

/// The account of one service.
pub(super) struct RetryBudget(Mutex<Account>);

struct Account {
    retries: f64,
    at: Instant,
}

// === impl RetryBudget ===

impl RetryBudget {
    /// Pays in for a call.
    pub(super) fn deposit(&self, percent: u8) {
        self.0.lock().deposit(percent);
    }

    /// Takes one retry out. False when there is none.
    pub(super) fn withdraw(&self) -> bool {
        self.0.lock().withdraw(Instant::now())
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(Account::new(Instant::now())))
    }
}

// === impl Account ===

impl Account {
    fn new(now: Instant) -> Self {
        Self {
            retries: RESERVE,
            at: now,
        }
    }

    fn deposit(&mut self, percent: u8) {
        self.retries = (self.retries + f64::from(percent) / 100.0).min(SAVED_MAX);
    }

    fn withdraw(&mut self, now: Instant) -> bool {
        let trickled = now.duration_since(self.at).as_secs_f64() * TRICKLE;
        self.at = now;
        if self.retries < RESERVE {
            self.retries = (self.retries + trickled).min(RESERVE);
        }
        if self.retries < 1.0 {
            return false;
        }
        self.retries -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spend(account: &mut Account, now: Instant) -> usize {
        std::iter::from_fn(|| account.withdraw(now).then_some(()))
            .take(10_000)
            .count()
    }

    #[test]
    fn retries_are_a_share_of_calls_and_a_reserve_comes_back() {
        let start = Instant::now();
        let mut account = Account::new(start);
        assert_eq!(spend(&mut account, start), 20);
        for _ in 0..100 {
            account.deposit(20);
        }
        // Hundredths do not add up exactly.
        let share = spend(&mut account, start);
        assert!((19..=20).contains(&share), "{share}");
        let later = start + Duration::from_secs(3_600);
        assert_eq!(spend(&mut account, later), 20);
        for _ in 0..100_000 {
            account.deposit(100);
        }
        assert_eq!(spend(&mut account, later), 1_000);
    }
}
