//! The store as the catalog uses it: every operation timed, and its state shown in metrics and readiness.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use catalog_api::Revision;
use database::{Availability, CatalogStore, Changes, Command, Committed, StoreError, WriteError};
use service_kit::readiness::Condition;
use tokio::sync::watch;

use crate::metrics::CatalogMetrics;

/// A store under observation.
pub(crate) struct ObservedStore {
    inner: Arc<dyn CatalogStore>,
    metrics: Arc<CatalogMetrics>,
    /// A detail: without its store a catalog still serves what it knows.
    condition: Condition,
    /// It could not be asked, the last time it was or the last time it looked itself.
    away: AtomicBool,
}

// === impl ObservedStore ===

impl ObservedStore {
    pub(crate) fn new(
        inner: Arc<dyn CatalogStore>,
        metrics: Arc<CatalogMetrics>,
        condition: Condition,
    ) -> Self {
        Self {
            inner,
            metrics,
            condition,
            away: AtomicBool::new(false),
        }
    }

    pub(crate) fn availability(&self) -> watch::Receiver<Availability> {
        self.inner.availability()
    }

    /// What the store found out by itself. That it can be asked does not mean that it works: a full disk shows when it is written to.
    pub(crate) fn learned(&self, availability: &Availability) {
        match availability {
            Availability::Available => {
                if self.away.load(Ordering::Relaxed) {
                    self.works();
                }
            }
            Availability::Unavailable(_) => self.is_away(),
        }
    }

    /// It was asked, and answered.
    pub(crate) fn works(&self) {
        self.away.store(false, Ordering::Relaxed);
        self.metrics.store_up.set(1);
        self.condition.pass();
    }

    fn is_away(&self) {
        self.away.store(true, Ordering::Relaxed);
        self.metrics.store_up.set(0);
        // The reason is in the log: it is the network's or the server's word, and this is open to everyone.
        self.condition
            .fail("the store cannot be asked; what is shown is stale since then");
    }

    pub(crate) fn head(&self) -> watch::Receiver<Revision> {
        self.inner.head()
    }

    pub(crate) async fn snapshot(&self) -> Result<catalog_api::Snapshot, StoreError> {
        let started = Instant::now();
        let answer = self.inner.snapshot().await;
        self.observe("snapshot", started, answer.as_ref().err());
        answer
    }

    pub(crate) async fn changes_since(
        &self,
        after: Revision,
        limit: usize,
    ) -> Result<Changes, StoreError> {
        let started = Instant::now();
        let answer = self.inner.changes_since(after, limit).await;
        self.observe("changes_since", started, answer.as_ref().err());
        answer
    }

    pub(crate) async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        let started = Instant::now();
        let answer = self.inner.write(command).await;
        let failure = match &answer {
            Err(WriteError::Store(error)) => Some(error),
            // A refusal is an answer: the store works.
            Ok(_) | Err(WriteError::Refused(_)) => None,
        };
        self.observe("write", started, failure);
        answer
    }

    fn observe(&self, operation: &str, started: Instant, failure: Option<&StoreError>) {
        self.metrics
            .store_operation_seconds
            .with_label_values(&[operation])
            .observe(started.elapsed().as_secs_f64());
        match failure {
            None => self.works(),
            // Busy is load, not a fault.
            Some(StoreError::Busy) => {}
            Some(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)) => self.is_away(),
            Some(error) => {
                self.metrics.store_up.set(0);
                self.condition.fail(error.to_string());
            }
        }
    }
}
