//! The answers that catalogs share. Each has a key of its own with a time to live; a script (`cache.lua`) keeps the account of all
//! together. What Redis removes by itself because its memory is full leaves the account when its time is over.

use std::time::Duration;

use async_trait::async_trait;
use bb8_redis::redis::cmd;
use bytes::Bytes;

use super::{OPERATION_MAX, PREFIX, Redis, SharedError, key};
use crate::cache::{ANSWER_BYTES_MAX, AnswerCache, KEPT_MAX};

const CACHE: &str = include_str!("cache.lua");

/// Longest time for a look or a removal: a caller waits, and the answer can be had without.
const CALLER_WAIT_MAX: Duration = Duration::from_millis(100);

/// The answers of all catalogs on one Redis.
pub struct RedisCache {
    redis: Redis,
    total_bytes_max: usize,
}

// === impl RedisCache ===

impl RedisCache {
    /// For so many bytes of answers.
    pub fn new(redis: Redis, total_bytes_max: usize) -> Self {
        Self {
            redis,
            total_bytes_max,
        }
    }
}

#[async_trait]
impl AnswerCache for RedisCache {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, SharedError> {
        let mut command = cmd("GET");
        command.arg(key(format_args!("cache:answer:{name}")));
        let found: Option<Vec<u8>> = self.redis.command(&command, CALLER_WAIT_MAX).await?;
        Ok(found.map(Bytes::from))
    }

    async fn put(&self, name: &str, answer: Bytes, kept: Duration) -> Result<(), SharedError> {
        if answer.len() > ANSWER_BYTES_MAX.min(self.total_bytes_max) {
            return self.remove(name).await;
        }
        let millis = kept.min(KEPT_MAX).as_millis().max(1);
        let mut command = cmd("EVAL");
        command.arg(CACHE).arg(1).arg(PREFIX).arg(name);
        command.arg(&answer[..]);
        command.arg(millis.to_string()).arg(self.total_bytes_max);
        self.redis.command(&command, OPERATION_MAX).await
    }

    async fn remove(&self, name: &str) -> Result<(), SharedError> {
        let mut command = cmd("EVAL");
        command.arg(CACHE).arg(1).arg(PREFIX).arg(name);
        self.redis.command(&command, CALLER_WAIT_MAX).await
    }
}
