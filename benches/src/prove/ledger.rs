//! What happened, counted, and what must not happen, written down.

use std::{
    fmt::Display,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

/// Failures that are kept with their text; the first one ends the run, others may be on their way.
const FAILURES_KEPT_MAX: usize = 20;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Http1Requests,
    Http1Connections,
    Http2Requests,
    Http2Connections,
    Refused,
    Posts,
    Tunnels,
    Messages,
    Streams,
    Events,
    Changes,
    Replaced,
    Upgrades,
}

/// Counters and failures of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    counts: [AtomicU64; Count::ALL.len()],
    failures: Mutex<Vec<String>>,
    has_failed: watch::Sender<bool>,
}

// === impl Count ===

impl Count {
    pub(super) const ALL: [(Self, &'static str); 13] = [
        (Self::Http1Requests, "HTTP/1.1 requests answered"),
        (Self::Http1Connections, "HTTP/1.1 connections"),
        (Self::Http2Requests, "HTTP/2 requests answered"),
        (Self::Http2Connections, "HTTP/2 connections"),
        (
            Self::Refused,
            "HTTP/2 requests that a GOAWAY excluded, asked on the next connection",
        ),
        (Self::Posts, "of both, POSTs with content"),
        (
            Self::Tunnels,
            "WebSocket tunnels, each closed by its client",
        ),
        (Self::Messages, "WebSocket messages there and back"),
        (Self::Streams, "SSE streams read to their end"),
        (Self::Events, "SSE events"),
        (Self::Changes, "random changes of the catalog"),
        (Self::Replaced, "instances replaced"),
        (Self::Upgrades, "upgrades of the gateway"),
    ];
}

// === impl Ledger ===

impl Default for Ledger {
    fn default() -> Self {
        Self {
            counts: Default::default(),
            failures: Mutex::default(),
            has_failed: watch::Sender::new(false),
        }
    }
}

impl Ledger {
    pub(super) fn count(&self, what: Count) {
        self.count_many(what, 1);
    }

    pub(super) fn count_many(&self, what: Count, more: u64) {
        self.counts[what as usize].fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// Writes down what must not happen.
    pub(super) fn fail(&self, who: &str, what: impl Display) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_KEPT_MAX {
            failures.push(format!("{who}: {what}"));
        }
        drop(failures);
        self.has_failed.send_replace(true);
    }

    pub(super) fn has_failures(&self) -> bool {
        *self.has_failed.borrow()
    }

    /// Waits for the first failure.
    pub(super) async fn failed(&self) {
        // The sender is in self, so it is not gone.
        let _ = self.has_failed.subscribe().wait_for(|failed| *failed).await;
    }

    pub(super) fn failures(&self) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_the_report_at_its_own_place() {
        for (place, (what, _)) in Count::ALL.into_iter().enumerate() {
            assert_eq!(what as usize, place);
        }
    }
}
