//! The history that catalogs share: the log is a capped stream, the sums are counters in hashes.
//!
//! A batch is added up here and sent as one script (`record.lua`). Counters of the last minute are in hashes of 10 s each, those of the
//! last quarter of an hour in hashes of a minute, which end by themselves; what counts is when a call ended, by the clock of its
//! catalog, so that calls that had to wait for Redis are counted where they belong. Endpoints are limited as in memory; the sums of a
//! service without calls for 30 days are forgotten.
//!
//! Replicas write in turn, and after an outage they write what is old. So the log is read in the order of arrival and put into the
//! order of the calls' beginnings.

mod sums;

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bb8_redis::redis::{Value, cmd, from_redis_value, pipe};
use catalog_api::{ServiceId, Timestamp};
use uuid::Uuid;

use self::sums::{Reading, Script};
use super::{OPERATION_MAX, PREFIX, Redis, SharedError, key};
use crate::history::{Batch, CallHistory, CallRecord, Exists, LogFilter, RECORDS_MAX, Statistics};

const RECORD: &str = include_str!("record.lua");

/// Records that are read at once.
const PAGE: usize = 1_000;

/// Longest time for reading the log or the sums. They can be megabytes, and a person waits.
const READ_MAX: Duration = Duration::from_secs(3);

/// Log and sums of all catalogs on one Redis.
pub struct RedisHistory {
    redis: Redis,
    /// Who sends, so that nothing is counted twice.
    sender: Uuid,
}

// === impl RedisHistory ===

impl RedisHistory {
    /// On this Redis.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            sender: Uuid::new_v4(),
        }
    }

    /// The page of the log that ends before an id, and the id of its oldest record; none at the end.
    async fn page(
        &self,
        before: Option<&str>,
    ) -> Result<(Vec<CallRecord>, Option<String>), SharedError> {
        let newest = before.map_or_else(|| "+".to_owned(), |id| format!("({id}"));
        let mut command = cmd("XREVRANGE");
        command.arg(key("log")).arg(newest).arg("-");
        command.arg("COUNT").arg(PAGE);
        let entries: Vec<(String, HashMap<String, String>)> =
            self.redis.command(&command, READ_MAX).await?;
        let oldest = (entries.len() == PAGE)
            .then(|| entries.last().map(|(id, _)| id.clone()))
            .flatten();
        // What another version wrote and this one cannot read is passed over.
        let records = entries
            .iter()
            .filter_map(|(_, fields)| serde_json::from_str(fields.get("call")?).ok());
        Ok((records.collect(), oldest))
    }
}

#[async_trait]
impl CallHistory for RedisHistory {
    async fn record(&self, batch: &Batch, exists: Exists<'_>) -> Result<(), SharedError> {
        let script = Script::new(self.sender, batch, exists);
        let script = serde_json::to_string(&script).map_err(SharedError::new)?;
        let mut command = cmd("EVAL");
        command.arg(RECORD).arg(1).arg(PREFIX).arg(script);
        self.redis
            .command::<Value>(&command, OPERATION_MAX)
            .await
            .map(drop)
    }

    async fn newest(&self, filter: &LogFilter) -> Result<Vec<Arc<CallRecord>>, SharedError> {
        let mut found = Vec::new();
        let mut before = None;
        for _ in 0..RECORDS_MAX.div_ceil(PAGE) {
            let (records, oldest) = self.page(before.as_deref()).await?;
            found.extend(records.into_iter().filter(|record| filter.fits(record)));
            before = oldest;
            if found.len() >= filter.limit || before.is_none() {
                break;
            }
        }
        // Stable: calls that began in the same millisecond stay in the order of arrival.
        found.sort_by_key(|record| Reverse(record.at));
        found.truncate(filter.limit);
        Ok(found.into_iter().map(Arc::new).collect())
    }

    async fn statistics(&self, services: &[ServiceId]) -> Result<Statistics, SharedError> {
        let reading = Reading::at(Timestamp::now(), services);
        let mut pipeline = pipe();
        for name in reading.keys() {
            pipeline.cmd("HGETALL").arg(name);
        }
        let answers: Vec<Value> = self.redis.pipeline(&pipeline, READ_MAX).await?;
        let hashes: Result<Vec<HashMap<String, u64>>, _> =
            answers.into_iter().map(from_redis_value).collect();
        Ok(reading.add_up(hashes.map_err(SharedError::new)?))
    }
}
