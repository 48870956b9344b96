//! Connections to Redis that are shared, and the rule by which one is used again: only when what it was taken for came to a good end.
//! Several, so that a long answer to one does not hold up the short ones of others.

use std::time::Duration;

use bb8::{ManageConnection, QueueStrategy, RunError};
use bb8_redis::{
    RedisConnectionManager,
    redis::{RedisError, ServerErrorKind, aio::MultiplexedConnection},
};

use super::{SharedError, config::RedisConfig};

/// Most connections of one catalog.
const CONNECTIONS_MAX: u32 = 8;

/// Longest wait for a connection, new or used, login included.
const GET_WAIT_MAX: Duration = Duration::from_secs(1);

pub(super) struct Pool(bb8::Pool<Manager>);

struct Manager(RedisConnectionManager);

struct Connection {
    driver: MultiplexedConnection,
    in_use: bool,
}

// === impl Pool ===

impl Pool {
    /// Connects to nothing yet. Must be called inside a runtime.
    pub(super) fn new(config: &RedisConfig) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "fails for paths of sockets only, and the configuration has none"
        )]
        let driver = RedisConnectionManager::new(config.driver.clone()).expect("a TCP address");
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS_MAX)
            .connection_timeout(GET_WAIT_MAX)
            .queue_strategy(QueueStrategy::Lifo)
            // It would cost a round trip each time, and the connection can still die right after.
            .test_on_check_out(false)
            // Trying again is the business of whoever watches; others have something better to do than to wait.
            .retry_connection(false)
            .build_unchecked(Manager(driver));
        Self(pool)
    }

    /// Does something with a connection, within a time that begins when there is one.
    pub(super) async fn with<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, SharedError> {
        let taken = tokio::time::timeout(limit.min(GET_WAIT_MAX), self.0.get()).await;
        let mut connection = match taken {
            Ok(Ok(connection)) => connection,
            Ok(Err(RunError::User(error))) => return Err(SharedError::new(error)),
            Ok(Err(RunError::TimedOut)) | Err(_) => {
                return Err(SharedError::new("no connection in time"));
            }
        };
        connection.in_use = true;
        connection.driver.set_response_timeout(limit);
        let done = work(&mut connection.driver).await;
        // A refusal is an answer; a standby that refuses to write will go on doing so.
        let readonly = |error: &RedisError| matches!(error.kind(), bb8_redis::redis::ErrorKind::Server(kind) if kind == ServerErrorKind::ReadOnly);
        connection.in_use = match &done {
            Ok(_) => false,
            Err(error) => error.code().is_none() || readonly(error),
        };
        done.map_err(SharedError::new)
    }
}

// === impl Manager ===

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(Connection {
            driver: self.0.connect().await?,
            in_use: false,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        self.0.is_valid(&mut connection.driver).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.in_use
    }
}
