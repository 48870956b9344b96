//! The store as the catalog uses it: every operation timed, and its state shown in metrics and readiness.

use std::{sync::Arc, time::Instant};

use catalog_api::Revision;
use database::{CatalogStore, Changes, Command, Committed, StoreError, WriteError};
use service_kit::readiness::Condition;
use tokio::sync::watch;

use crate::metrics::CatalogMetrics;

/// A store under observation.
pub(crate) struct ObservedStore {
    inner: Arc<dyn CatalogStore>,
    metrics: Arc<CatalogMetrics>,
    /// A detail: without its store a catalog still serves what it knows.
    condition: Condition,
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
        }
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
            None => {
                self.metrics.store_up.set(1);
                self.condition.pass();
            }
            // Busy is load, not a fault.
            Some(StoreError::Busy) => {}
            Some(error) => {
                self.metrics.store_up.set(0);
                self.condition.fail(error.to_string());
            }
        }
    }
}
