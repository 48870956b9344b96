//! What became of calls: a log of the newest ones, and statistics over all of them.
//!
//! Both are written in memory when a call ends. With Redis the calls also go through a bounded buffer (`recorder`) into the history that
//! all catalogs share, and that is what is shown; while Redis is away, what this process knows is. Neither is ever waited for.

mod endpoint;
mod recorder;
mod report;

use std::sync::Arc;

use catalog_api::{ServiceId, ServiceRef};
use database::history::{CallHistory, MemoryHistory};
use serde::Serialize;

pub(crate) use self::{
    endpoint::endpoint,
    recorder::{Buffer, Recorder},
    report::StatisticsReport,
};
use crate::{follower::chain, snapshot::Snapshot};
pub(crate) use database::history::{CacheUse, CallRecord, Ended, LogFilter, StatusFilter};

/// Log and statistics.
pub(crate) struct History {
    own: MemoryHistory,
    shared: Option<Shared>,
}

/// The history of all catalogs.
pub(crate) struct Shared {
    pub(crate) history: Arc<dyn CallHistory>,
    /// On the way there.
    pub(crate) buffer: Arc<Buffer>,
}

/// Whose calls an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Those of all catalogs that share a Redis.
    Shared,
    /// Those that went through this process since it began.
    Process,
}

// === impl History ===

impl History {
    pub(crate) fn new(shared: Option<Shared>) -> Self {
        Self {
            own: MemoryHistory::new(),
            shared,
        }
    }

    /// Takes a call down.
    pub(crate) fn record(&self, record: CallRecord, snapshot: &Snapshot) {
        let record = Arc::new(record);
        if let Some(shared) = &self.shared {
            shared.buffer.push(Arc::clone(&record));
        }
        self.own.add(record, &|id| exists(snapshot, id));
    }

    /// The calls that a filter lets through, newest first.
    pub(crate) async fn newest(&self, filter: &LogFilter) -> (Scope, Vec<Arc<CallRecord>>) {
        if let Some(shared) = &self.shared {
            match shared.history.newest(filter).await {
                Ok(calls) => return (Scope::Shared, calls),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "the shared log cannot be read")
                }
            }
        }
        (Scope::Process, self.own.newest_now(filter))
    }

    /// The statistics of all services that there are.
    pub(crate) async fn statistics(&self, snapshot: &Snapshot) -> StatisticsReport {
        let services: Vec<ServiceId> = snapshot.entries().map(|entry| entry.service.id).collect();
        if let Some(shared) = &self.shared {
            match shared.history.statistics(&services).await {
                Ok(found) => return StatisticsReport::new(Scope::Shared, found, snapshot),
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "the shared statistics cannot be read");
                }
            }
        }
        let found = self.own.statistics_now(&services);
        StatisticsReport::new(Scope::Process, found, snapshot)
    }
}

fn exists(snapshot: &Snapshot, id: ServiceId) -> bool {
    snapshot.get(&ServiceRef::Id(id)).is_some()
}
