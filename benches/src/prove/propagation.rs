//! How long it takes from the catalog's answer to a write until the first request that was routed by it.
//!
//! Answers of the gateway carry the revision that routed them, so every change is measured by the load itself: the time ends when the
//! first answer with that revision or a newer one has arrived, the request itself and the wait for a client to send one included.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Revisions on their way.
#[derive(Debug, Default)]
pub(super) struct Propagation {
    /// The newest revision seen in an answer. Written under the lock; read without it to pass over most answers.
    newest: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the writes were answered whose revisions no request has seen.
    waiting: BTreeMap<u64, Instant>,
    times: Vec<Duration>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Percentiles {
    pub(super) count: usize,
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) p99: Duration,
    pub(super) longest: Duration,
}

// === impl Propagation ===

impl Propagation {
    /// The catalog has answered a write.
    pub(super) fn accepted(&self, revision: u64) {
        let mut state = self.state();
        if revision <= self.newest.load(Ordering::Acquire) {
            // A request was quicker than the answer.
            state.times.push(Duration::ZERO);
        } else {
            state.waiting.insert(revision, Instant::now());
        }
    }

    /// A request was routed by this revision.
    pub(super) fn seen(&self, revision: u64) {
        if revision <= self.newest.load(Ordering::Acquire) {
            return;
        }
        let now = Instant::now();
        let mut state = self.state();
        self.newest.fetch_max(revision, Ordering::AcqRel);
        let later = state.waiting.split_off(&(revision + 1));
        let reached = std::mem::replace(&mut state.waiting, later);
        let times = reached.into_values().map(|accepted| now - accepted);
        state.times.extend(times);
    }

    /// None when nothing was measured.
    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let mut times = self.state().times.clone();
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let longest = *times.last()?;
        Some(Percentiles {
            count: times.len(),
            p50: at(50),
            p90: at(90),
            p99: at(99),
            longest,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_revision_is_reached_with_the_first_answer_that_is_not_older() {
        let propagation = Propagation::default();
        assert_eq!(propagation.percentiles(), None);
        for revision in [5, 6, 8] {
            propagation.accepted(revision);
        }
        tokio::time::advance(Duration::from_millis(3)).await;
        propagation.seen(7);
        propagation.seen(4);
        propagation.accepted(7);
        let measured = propagation.percentiles().unwrap();
        assert_eq!(measured.count, 3);
        assert_eq!(
            (measured.p50, measured.longest),
            (Duration::from_millis(3), Duration::from_millis(3))
        );
        propagation.seen(8);
        assert_eq!(propagation.percentiles().unwrap().count, 4);
    }
}
