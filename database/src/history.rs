//! What became of calls through the catalog: a log of the newest ones, and sums over all of them.
//!
//! [`MemoryHistory`] is of one process and lost with it. [`RedisHistory`](crate::redis::RedisHistory) is shared by all catalogs on one
//! Redis. Both are [`CallHistory`] and give the same answers (`tests/store/history.rs`). Neither is ever waited for by a caller.

mod latencies;
mod log;
mod memory;
mod series;
mod statistics;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use catalog_api::{InstanceId, ServiceId, ServiceName, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use self::{
    log::{LogFilter, RECORDS_MAX, StatusFilter},
    memory::MemoryHistory,
    series::{Sum, Windows},
    statistics::{OTHER, SERVICE_ENDPOINTS_MAX},
};
use crate::redis::SharedError;

/// Tells whether there is such a service. Calls of services that are gone count in the totals only.
pub type Exists<'a> = &'a (dyn Fn(ServiceId) -> bool + Sync);

/// Log and statistics of calls.
#[async_trait]
pub trait CallHistory: Send + Sync + 'static {
    /// Takes calls down, all or none of them.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached. Whether it took them down is unknown; offered again, they are not counted twice.
    async fn record(&self, batch: &Batch, exists: Exists<'_>) -> Result<(), SharedError>;

    /// The calls that a filter lets through, newest first.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached.
    async fn newest(&self, filter: &LogFilter) -> Result<Vec<Arc<CallRecord>>, SharedError>;

    /// Sums over all calls, and over those of each of these services.
    ///
    /// # Errors
    /// [`SharedError`]: it could not be reached.
    async fn statistics(&self, services: &[ServiceId]) -> Result<Statistics, SharedError>;
}

/// Calls that are taken down together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Counts the batches of one recorder, from 1. A batch that is offered again keeps its number.
    pub number: u64,
    /// The calls, oldest first.
    pub calls: Vec<Arc<CallRecord>>,
}

/// One call that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// When it began.
    pub at: Timestamp,
    /// Id of the request.
    pub request_id: String,
    /// Whom it was for.
    pub service_id: ServiceId,
    /// The name that it had.
    pub service: ServiceName,
    /// Method of the request.
    pub method: String,
    /// The path at the instance, as a template: what tells one caller from another is not in it. Nor is the query.
    pub endpoint: String,
    /// What the caller got; none when he did not wait.
    pub status: Option<u16>,
    /// The last instance that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// How many were tried.
    pub attempts: u8,
    /// Until the header of the answer.
    #[serde(
        rename = "latency_ms",
        serialize_with = "in_milliseconds",
        deserialize_with = "of_milliseconds"
    )]
    pub latency: Duration,
    /// Until the end of its body.
    #[serde(
        rename = "duration_ms",
        serialize_with = "in_milliseconds",
        deserialize_with = "of_milliseconds"
    )]
    pub duration: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the body of the instance's answer.
    pub bytes_out: u64,
    /// How it ended.
    pub ended: Ended,
    /// Whether a kept answer was looked for, and found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheUse>,
    /// Of a call that is answered later: how often it was begun, this time included, 0 when it never was. None of any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
}

/// What a look for a kept answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// The answer.
    Hit,
    /// Nothing; an instance was asked.
    Miss,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With a whole answer, which may be an error.
    Complete,
    /// The instance broke off within its answer.
    Cut,
    /// The caller went away.
    Left,
    /// The catalog that carried it out died or stopped; how far it came is not known.
    Abandoned,
}

/// Answer of [`CallHistory::statistics`].
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Beginning of what is added up.
    pub since: Timestamp,
    /// Over all calls, also those of services that are gone.
    pub totals: Windows,
    /// Of the services that were asked for and had calls.
    pub services: BTreeMap<ServiceId, ServiceStatistics>,
}

/// Sums over the calls of one service.
#[derive(Clone, Debug, Default)]
pub struct ServiceStatistics {
    /// Over all of its calls.
    pub totals: Windows,
    /// By endpoint.
    pub endpoints: BTreeMap<String, Windows>,
}

// === impl CallRecord ===

impl CallRecord {
    /// A failure of the service, or of the way to it.
    pub fn is_error(&self) -> bool {
        self.ended == Ended::Cut || self.status.is_some_and(|status| status >= 500)
    }
}

fn in_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Whole microseconds, as logs have them.
    serializer.serialize_f64(duration.as_micros() as f64 / 1_000.0)
}

fn of_milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let micros = (f64::deserialize(deserializer)? * 1_000.0).round() / 1_000_000.0;
    Duration::try_from_secs_f64(micros).map_err(D::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(service: u64, endpoint: &str, status: u16) -> CallRecord {
        CallRecord {
            at: Timestamp::now(),
            request_id: "r".to_owned(),
            service_id: ServiceId(service),
            service: format!("s-{service}").parse().unwrap(),
            method: "GET".to_owned(),
            endpoint: endpoint.to_owned(),
            status: Some(status),
            instance: None,
            attempts: 1,
            latency: Duration::from_millis(10),
            duration: Duration::from_millis(20),
            bytes_in: 1,
            bytes_out: 2,
            ended: Ended::Complete,
            cache: None,
            run: None,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut written = record(7, "/names/{n}", 404);
        written.latency = Duration::from_micros(1_234_567);
        let text = serde_json::to_string(&written).unwrap();
        assert_eq!(serde_json::from_str::<CallRecord>(&text).unwrap(), written);
    }
}
