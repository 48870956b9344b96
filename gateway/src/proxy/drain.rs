//! How many requests are under way, and when there are none left. Pingora's listener service returns at once on shutdown, with
//! requests still running; waiting for them is ours.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time};

/// Counts requests under way. Cheap to clone; counting is one atomic operation.
#[derive(Clone, Debug, Default)]
pub struct Exchanges(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    idle: Notify,
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub struct Exchange(Exchanges);

// === impl Exchanges ===

impl Exchanges {
    /// Counts one more.
    pub fn enter(&self) -> Exchange {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Exchange(self.clone())
    }

    /// Requests under way now.
    pub fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until none is under way, `limit` at most. Answers how many are left.
    pub async fn finished(&self, limit: Duration) -> usize {
        let idle = async {
            loop {
                // Registered before the look, so that an end in between is not missed.
                let next_end = self.0.idle.notified();
                tokio::pin!(next_end);
                next_end.as_mut().enable();
                if self.count() == 0 {
                    return;
                }
                next_end.await;
            }
        };
        // Running out of time is told by the count.
        let _ = time::timeout(limit, idle).await;
        self.count()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let shared = &self.0.0;
        if shared.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.idle.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_drain_ends_with_the_last_request_or_says_how_many_are_left() {
        let exchanges = Exchanges::default();
        let (first, second) = (exchanges.enter(), exchanges.enter());
        drop(first);
        assert_eq!(exchanges.finished(Duration::from_millis(5)).await, 1);
        let (left, ()) = tokio::join!(exchanges.finished(Duration::from_secs(60)), async {
            drop(second)
        });
        assert_eq!(left, 0);
    }
}
