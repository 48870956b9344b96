//! The history of one process.

use std::sync::Arc;

use async_trait::async_trait;
use catalog_api::ServiceId;

use super::{
    Batch, CallHistory, CallRecord, Exists, LogFilter, Statistics, log::Log, statistics::Sums,
};
use crate::redis::SharedError;

/// Log and statistics in memory. Every operation is short and never waits for anything but another one.
pub struct MemoryHistory {
    log: Log,
    sums: Sums,
}

// === impl MemoryHistory ===

impl MemoryHistory {
    /// Without calls.
    pub fn new() -> Self {
        Self {
            log: Log::new(),
            sums: Sums::new(),
        }
    }

    /// Takes one call down.
    pub fn add(&self, record: Arc<CallRecord>, exists: Exists<'_>) {
        self.sums.add(&record, exists);
        self.log.push(record);
    }

    /// [`CallHistory::newest`], which cannot fail here.
    pub fn newest_now(&self, filter: &LogFilter) -> Vec<Arc<CallRecord>> {
        self.log.newest(filter)
    }

    /// [`CallHistory::statistics`], which cannot fail here.
    pub fn statistics_now(&self, services: &[ServiceId]) -> Statistics {
        self.sums.report(services)
    }
}

impl Default for MemoryHistory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl CallHistory for MemoryHistory {
    async fn record(&self, batch: &Batch, exists: Exists<'_>) -> Result<(), SharedError> {
        for call in &batch.calls {
            self.add(Arc::clone(call), exists);
        }
        Ok(())
    }

    async fn newest(&self, filter: &LogFilter) -> Result<Vec<Arc<CallRecord>>, SharedError> {
        Ok(self.newest_now(filter))
    }

    async fn statistics(&self, services: &[ServiceId]) -> Result<Statistics, SharedError> {
        Ok(self.statistics_now(services))
    }
}
