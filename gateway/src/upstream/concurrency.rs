//! How many requests are with a service at once, where that has a limit.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// Requests that are with one service. Outlives changes of its policy.
#[derive(Debug, Default)]
pub struct Concurrency(AtomicU32);

/// A place among them, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Concurrency>);

// === impl Concurrency ===

impl Concurrency {
    /// Places taken.
    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes a place; none when `most` are taken. Nobody waits for one: a queue would only move the overload into the gateway's
    /// memory, and the client knows better whether waiting is worth it.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < most).then_some(taken + 1)
            })
            .is_ok()
            .then(|| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_and_the_place_of_whoever_left_is_free() {
        let concurrency = Arc::new(Concurrency::default());
        let first = concurrency.enter(2);
        let second = concurrency.enter(2);
        assert!(first.is_some() && second.is_some());
        assert!(concurrency.enter(2).is_none());
        let third = concurrency.enter(3);
        assert!(third.is_some());
        drop((first, second));
        assert!(concurrency.enter(2).is_some());
        assert!(concurrency.enter(1).is_none(), "the third is still there");
    }
}
