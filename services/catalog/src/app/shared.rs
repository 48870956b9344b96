//! What a Redis is used for, and the tasks that this takes.

use std::sync::Arc;

use database::{
    Redis, RedisCache, RedisConfig, RedisHistory, RedisJobs,
    cache::{AnswerCache, TOTAL_BYTES_MAX},
    jobs::{JobLimits, JobQueue},
};
use service_kit::{
    metrics::Metrics,
    readiness::{Condition, Readiness},
    shutdown::Shutdown,
};
use tokio::task::JoinHandle;

use crate::{
    history::{Buffer, Recorder, Shared},
    metrics::RedisMetrics,
    redis_watch::RedisWatch,
    state::Live,
};

/// A Redis and what is kept in it.
pub(super) struct Sharing {
    redis: Redis,
    history: Arc<RedisHistory>,
    buffer: Arc<Buffer>,
    live: Arc<Live>,
    metrics: RedisMetrics,
    detail: Condition,
}

// === impl Sharing ===

impl Sharing {
    /// Begins to connect.
    pub(super) fn new(
        config: &RedisConfig,
        live: Arc<Live>,
        metrics: &Metrics,
        readiness: &Readiness,
    ) -> Self {
        let redis = Redis::open(config);
        let metrics = RedisMetrics::new(metrics, true);
        Self {
            history: Arc::new(RedisHistory::new(redis.clone())),
            buffer: Arc::new(Buffer::new(metrics.left_out.clone())),
            redis,
            live,
            metrics,
            detail: readiness.detail("redis"),
        }
    }

    pub(super) fn history(&self) -> Shared {
        Shared {
            history: Arc::clone(&self.history) as _,
            buffer: Arc::clone(&self.buffer),
        }
    }

    pub(super) fn answers(&self) -> Arc<dyn AnswerCache> {
        Arc::new(RedisCache::new(self.redis.clone(), TOTAL_BYTES_MAX))
    }

    pub(super) fn jobs(&self, limits: JobLimits) -> Arc<dyn JobQueue> {
        Arc::new(RedisJobs::new(self.redis.clone(), limits))
    }

    /// Runs until the stop is asked for.
    pub(super) fn start(self, stop: &Shutdown) -> Vec<JoinHandle<()>> {
        let recorder = Recorder {
            buffer: self.buffer,
            history: self.history,
            connected: self.redis.connected(),
            live: self.live,
        };
        let watch = RedisWatch {
            connected: self.redis.connected(),
            metrics: self.metrics,
            detail: self.detail,
        };
        vec![
            tokio::spawn(recorder.run(stop.clone())),
            tokio::spawn(watch.run(stop.clone())),
        ]
    }
}
