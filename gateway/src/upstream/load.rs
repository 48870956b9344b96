//! Requests of one service that are with one address now, and those that ended while it drains.
//!
//! It belongs to the address, not to the endpoint: when the health check asks another question there is another endpoint, but the
//! requests are with the same process as before.
//!
//! Counted by two counters, because what is under way is then never seen lower than it is: whoever reads what has left first and what
//! has entered afterwards can only count too much. Sequentially consistent, so that of a request that enters and of
//! whoever marks the address as leaving and then counts, at least one sees the other.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use tokio::sync::Notify;

/// The requests of one service at one address.
#[derive(Debug, Default)]
pub struct Load {
    entered: AtomicU64,
    left: AtomicU64,
    /// Nothing new is wanted here.
    leaving: AtomicBool,
    /// How many had left when that began.
    left_before: AtomicU64,
    /// Rings when a count changes that somebody waits for.
    bell: Arc<Notify>,
}

/// What is with an address that drains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draining {
    /// Requests that are with it.
    pub in_flight: u64,
    /// Requests that have ended since it drains.
    pub finished: u64,
}

// === impl Load ===

impl Load {
    /// Nobody there. While it is leaving, every change rings.
    pub fn new(bell: Arc<Notify>) -> Self {
        Self {
            bell,
            ..Self::default()
        }
    }

    pub(crate) fn enter(&self) {
        self.entered.fetch_add(1, SeqCst);
    }

    /// Enters, unless nothing new is wanted here. Asked after it was counted: either this sees that, or whoever counts sees the request.
    pub(super) fn try_enter(&self) -> bool {
        self.enter();
        let enters = !self.is_leaving();
        if !enters {
            self.entered.fetch_sub(1, SeqCst);
            self.bell.notify_one();
        }
        enters
    }

    pub(super) fn leave(&self) {
        self.left.fetch_add(1, SeqCst);
        if self.leaving.load(SeqCst) {
            self.bell.notify_one();
        }
    }

    /// Requests that are with it now.
    pub fn in_flight(&self) -> u64 {
        let left = self.left.load(SeqCst);
        self.entered.load(SeqCst) - left
    }

    /// Whether nothing new is wanted here.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(SeqCst)
    }

    /// Takes in whether something new is wanted here. One writer.
    pub(super) fn set_leaving(&self, leaving: bool) {
        if leaving && !self.is_leaving() {
            self.left_before.store(self.left.load(SeqCst), SeqCst);
        }
        self.leaving.store(leaving, SeqCst);
    }

    /// What there is to say while it drains. Where somebody else at this address goes on getting requests, none are counted as finished.
    pub fn draining(&self) -> Draining {
        let left = self.left.load(SeqCst);
        let finished = match self.is_leaving() {
            true => left - self.left_before.load(SeqCst),
            false => 0,
        };
        Draining {
            in_flight: self.entered.load(SeqCst) - left,
            finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_ended_is_counted_from_the_beginning_of_the_drain() {
        let bell = Arc::new(Notify::new());
        let load = Load::new(Arc::clone(&bell));
        for _ in 0..5 {
            load.enter();
        }
        load.leave();
        assert_eq!(bell.notified().now_or_never(), None);
        load.set_leaving(true);
        load.leave();
        // Said again, as every snapshot does.
        load.set_leaving(true);
        load.leave();
        let (in_flight, finished) = (2, 2);
        assert_eq!(
            load.draining(),
            Draining {
                in_flight,
                finished
            }
        );
        assert_eq!(bell.notified().now_or_never(), Some(()));
        assert!(!load.try_enter());
        assert_eq!(load.in_flight(), 2);
        load.set_leaving(false);
        assert!(load.try_enter());
        load.leave();
        load.leave();
        load.set_leaving(true);
        load.leave();
        let (in_flight, finished) = (0, 1);
        assert_eq!(
            load.draining(),
            Draining {
                in_flight,
                finished
            }
        );
    }
}
