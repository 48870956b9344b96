//! What became of calls: a log of the newest ones, and statistics over all of them. In memory, of this process, and lost with it.
//!
//! Both are written when a call ends, and neither is ever waited for. A store that replicas share can take their place behind
//! [`History::record`], [`History::newest`] and [`History::statistics`]; nothing else knows how they are kept.

mod endpoint;
mod latencies;
mod log;
mod series;
mod statistics;

use std::time::Duration;

use catalog_api::{InstanceId, ServiceId, ServiceName, Timestamp};
use serde::{Serialize, Serializer};
use service_kit::http::milliseconds;

pub(crate) use self::{
    endpoint::endpoint,
    log::{LogFilter, StatusFilter},
    statistics::StatisticsReport,
};
use self::{log::Log, statistics::Statistics};
use crate::snapshot::Snapshot;

/// One call that ended.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CallRecord {
    /// When it began.
    pub(crate) at: Timestamp,
    pub(crate) request_id: String,
    pub(crate) service_id: ServiceId,
    pub(crate) service: ServiceName,
    pub(crate) method: String,
    /// The path at the instance, as a template: what tells one caller from another is not in it. Nor is the query.
    pub(crate) endpoint: String,
    /// What the caller got; none when he did not wait.
    pub(crate) status: Option<u16>,
    /// The last instance that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<InstanceId>,
    /// How many were tried.
    pub(crate) attempts: u8,
    /// Until the header of the answer.
    #[serde(rename = "latency_ms", serialize_with = "in_milliseconds")]
    pub(crate) latency: Duration,
    /// Until the end of its body.
    #[serde(rename = "duration_ms", serialize_with = "in_milliseconds")]
    pub(crate) duration: Duration,
    /// Bytes of the request's body.
    pub(crate) bytes_in: u64,
    /// Bytes of the body of the instance's answer.
    pub(crate) bytes_out: u64,
    pub(crate) ended: Ended,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ended {
    /// With a whole answer, which may be an error.
    Complete,
    /// The instance broke off within its answer.
    Cut,
    /// The caller went away.
    Left,
}

/// Log and statistics of one catalog.
pub(crate) struct History {
    log: Log,
    statistics: Statistics,
}

// === impl History ===

impl History {
    pub(crate) fn new() -> Self {
        Self {
            log: Log::new(),
            statistics: Statistics::new(),
        }
    }

    /// Takes a call down.
    pub(crate) fn record(&self, record: CallRecord, snapshot: &Snapshot) {
        self.statistics.add(&record, snapshot);
        self.log.push(record);
    }

    /// The calls that a filter lets through, newest first.
    pub(crate) fn newest(&self, filter: &LogFilter) -> Vec<std::sync::Arc<CallRecord>> {
        self.log.newest(filter)
    }

    /// The statistics of all services that there are.
    pub(crate) fn statistics(&self, snapshot: &Snapshot) -> StatisticsReport {
        self.statistics.report(snapshot)
    }
}

// === impl CallRecord ===

impl CallRecord {
    /// A failure of the service, or of the way to it.
    fn is_error(&self) -> bool {
        self.ended == Ended::Cut || self.status.is_some_and(|status| status >= 500)
    }
}

fn in_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(milliseconds(*duration))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(service: u64, path: &str, status: u16) -> CallRecord {
        CallRecord {
            at: Timestamp::now(),
            request_id: "r".to_owned(),
            service_id: ServiceId(service),
            service: format!("s-{service}").parse().unwrap(),
            method: "GET".to_owned(),
            endpoint: endpoint(path),
            status: Some(status),
            instance: None,
            attempts: 1,
            latency: Duration::from_millis(10),
            duration: Duration::from_millis(20),
            bytes_in: 1,
            bytes_out: 2,
            ended: Ended::Complete,
        }
    }
}
