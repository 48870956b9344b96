//! What catalogs share besides the catalog itself, in a Redis: the history of calls, answers that are kept, and the queue of calls that
//! are answered later.
//!
//! Redis is a help, never a condition. While it is away every operation fails at once with [`SharedError`] and costs nothing, and
//! whoever asked goes on with what he has in his own process. A task looks for it all the time ([`watch`]) and says when it is back.
//!
//! **Connections** (`pool`): bb8-redis makes multiplexed ones and never calls one broken, so ours does: a connection is used again
//! only after what it was taken for came to a good end.
//!
//! **Order and repetition.** What belongs together is one script, which Redis carries out whole and alone. Scripts that must not count
//! twice know the sender and the number of what he sent, so that an answer that was lost may be asked for again.
//!
//! **Keys** begin with `{service-catalog}:`. Platforms that share a Redis need a database number each, in the URL. No key is without
//! an end: each has a time to live or is capped.
//!
//! **Secrets.** No message contains user, password or URL; [`RedisConfig::target`] is what is shown.

mod cache;
mod config;
mod history;
mod jobs;
mod pool;
mod watch;

use std::{fmt, sync::Arc, time::Duration};

use bb8_redis::redis::{Cmd, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection};
use tokio::{sync::watch as channel, task::AbortHandle};

pub use self::{
    cache::RedisCache,
    config::{RedisConfig, RedisConfigError},
    history::RedisHistory,
    jobs::RedisJobs,
};
use self::{pool::Pool, watch::Health};

/// Beginning of every key. The braces keep all keys together where a proxy spreads them by their hash.
const PREFIX: &str = "{service-catalog}";

/// Longest time for an operation that nobody waits for, once there is a connection.
const OPERATION_MAX: Duration = Duration::from_secs(2);

/// A Redis that may be away.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Arc<Pool>,
    health: Arc<Health>,
    watching: AbortHandle,
}

/// Redis could not be used; what was asked for may or may not have happened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Redis cannot be used now: {0}")]
pub struct SharedError(Arc<str>);

// === impl Redis ===

impl Redis {
    /// Begins to look for it. Must be called inside a runtime.
    pub fn open(config: &RedisConfig) -> Self {
        let pool = Arc::new(Pool::new(config));
        let health = Arc::new(Health::new());
        let watching = tokio::spawn(watch::run(Arc::clone(&pool), Arc::clone(&health)));
        Self {
            shared: Arc::new(Shared {
                pool,
                health,
                watching: watching.abort_handle(),
            }),
        }
    }

    /// Whether it can be used: it took a write a moment ago and nothing failed since.
    pub fn connected(&self) -> channel::Receiver<bool> {
        self.shared.health.subscribe()
    }

    async fn command<T: FromRedisValue>(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<T, SharedError> {
        self.with(limit, async |connection| {
            command.query_async(connection).await
        })
        .await
    }

    async fn pipeline<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<T, SharedError> {
        self.with(limit, async |connection| {
            pipeline.query_async(connection).await
        })
        .await
    }

    async fn with<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, SharedError> {
        if !self.shared.health.is_connected() {
            return Err(SharedError::new("it is not connected"));
        }
        let done = self.shared.pool.with(limit, work).await;
        if let Err(error) = &done {
            self.shared.health.failed(error);
        }
        done
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

// === impl SharedError ===

impl SharedError {
    fn new(cause: impl fmt::Display) -> Self {
        Self(cause.to_string().into())
    }
}

/// Name of one of our keys.
fn key(name: impl fmt::Display) -> String {
    format!("{PREFIX}:{name}")
}
