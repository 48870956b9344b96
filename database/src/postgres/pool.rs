//! Connections that are shared, and the rule by which one is used again: only when what it was taken for came to a good end.
//!
//! The driver cannot tell whether a connection is in the middle of something: a query that nobody waits for any more still runs, a
//! transaction may be open. So a connection counts as spoilt from the moment it is taken until it is [`Checkout::release`]d, and
//! whoever is cancelled or fails need not do anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bb8::{ManageConnection, PooledConnection, QueueStrategy, RunError};
use bb8_postgres::PostgresConnectionManager;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_postgres::{Client, NoTls};

use super::{
    config::PostgresConfig,
    error::{Cause, Failure},
};

/// Most connections of one catalog, besides the one that listens: one writes, the others read.
const CONNECTIONS_MAX: u32 = 8;

/// Connections that are kept open for the next one who comes.
const CONNECTIONS_IDLE_MIN: u32 = 1;

/// Longest wait for a connection, new or used.
const GET_WAIT_MAX: Duration = Duration::from_secs(2);

/// Longest time for a read or a note, once there is a connection.
const OPERATION_MAX: Duration = Duration::from_secs(5);

/// How full the pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Open connections.
    pub connections: u32,
    /// Of those, how many nobody uses.
    pub idle: u32,
    /// How many wait for one.
    pub waiting: u64,
}

pub(super) struct Pool {
    inner: bb8::Pool<Manager>,
    generation: Arc<AtomicU64>,
    refusal: Arc<Mutex<Option<Cause>>>,
    connected: Arc<Notify>,
}

/// One connection for one piece of work.
pub(super) struct Checkout<'a> {
    connection: PooledConnection<'a, Manager>,
}

struct Connection {
    client: Client,
    generation: u64,
    in_use: bool,
}

struct Manager {
    driver: PostgresConnectionManager<NoTls>,
    connect_wait_max: Duration,
    /// Raised to make every open connection one of the past.
    generation: Arc<AtomicU64>,
    /// Why the last attempt to connect failed. The pool itself only says that time is up.
    refusal: Arc<Mutex<Option<Cause>>>,
    /// Rings with every new connection.
    connected: Arc<Notify>,
}

// === impl Pool ===

impl Pool {
    /// Connects to nothing yet. Must be called inside a runtime.
    pub(super) fn new(config: &PostgresConfig) -> Self {
        let generation = Arc::new(AtomicU64::new(0));
        let refusal = Arc::new(Mutex::new(None));
        let connected = Arc::new(Notify::new());
        let manager = Manager {
            driver: PostgresConnectionManager::new(config.driver.clone(), NoTls),
            connect_wait_max: config.connect_wait_max,
            generation: Arc::clone(&generation),
            refusal: Arc::clone(&refusal),
            connected: Arc::clone(&connected),
        };
        let inner = bb8::Pool::builder()
            .max_size(CONNECTIONS_MAX)
            .min_idle(CONNECTIONS_IDLE_MIN)
            .connection_timeout(GET_WAIT_MAX)
            // The one used last is the one most likely to be alive; the others may age and go.
            .queue_strategy(QueueStrategy::Lifo)
            // It would cost a round trip each time, and the connection can still die right after.
            .test_on_check_out(false)
            .build_unchecked(manager);
        Self {
            inner,
            generation,
            refusal,
            connected,
        }
    }

    /// Waits until there has been a new connection since the last call.
    pub(super) async fn connected(&self) {
        self.connected.notified().await;
    }

    pub(super) async fn get(&self) -> Result<Checkout<'_>, Failure> {
        // Every connection in the pool may have died while it was idle; then there is still one more attempt, with a new one.
        for _ in 0..=CONNECTIONS_MAX {
            let mut connection = match self.inner.get().await {
                Ok(connection) => connection,
                Err(RunError::User(cause)) => return Err(Failure::Unavailable(cause)),
                Err(RunError::TimedOut) => {
                    return Err(self.why_none());
                }
            };
            let usable = !connection.client.is_closed()
                && connection.generation == self.generation.load(Ordering::Acquire);
            connection.in_use = true;
            if usable {
                return Ok(Checkout { connection });
            }
        }
        Err(Failure::Unavailable(Cause::new(
            "connections break at once",
        )))
    }

    fn why_none(&self) -> Failure {
        let state = self.inner.state();
        if state.connections >= CONNECTIONS_MAX && state.idle_connections == 0 {
            return Failure::Busy;
        }
        let refusal = self.refusal.lock().clone();
        let silent = || Cause::new("the server did not take a connection in time");
        Failure::Unavailable(refusal.unwrap_or_else(silent))
    }

    /// From now on only new connections are used. For when the old ones lead nowhere although nothing has closed them.
    pub(super) fn renew(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Waits for reads and notes: whatever becomes of them, nothing is half done.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let late = || {
            self.renew();
            Failure::Unavailable(Cause::new("the database did not answer in time"))
        };
        let done = tokio::time::timeout(OPERATION_MAX, work);
        done.await.unwrap_or_else(|_| Err(late()))
    }

    pub(super) fn state(&self) -> PoolState {
        let state = self.inner.state();
        PoolState {
            connections: state.connections,
            idle: state.idle_connections,
            waiting: state.statistics.pending_gets(),
        }
    }
}

// === impl Checkout ===

impl Checkout<'_> {
    pub(super) fn client(&self) -> &Client {
        &self.connection.client
    }

    /// Everything is done and no transaction is open: the next one may have it.
    pub(super) fn release(mut self) {
        self.connection.in_use = false;
    }
}

// === impl Manager ===

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = Cause;

    async fn connect(&self) -> Result<Connection, Cause> {
        let generation = self.generation.load(Ordering::Acquire);
        // The driver limits only the connect itself; a server that accepts and then says nothing would be waited for without end.
        let connecting = tokio::time::timeout(self.connect_wait_max, self.driver.connect());
        let client = match connecting.await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(Cause::from(&error)),
            Err(_) => Err(Cause::new("the server did not answer in time")),
        };
        *self.refusal.lock() = client.as_ref().err().cloned();
        let client = client?;
        self.connected.notify_one();
        Ok(Connection {
            client,
            generation,
            in_use: false,
        })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), Cause> {
        let checked = connection.client.check_connection().await;
        checked.map_err(|error| Cause::from(&error))
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.in_use
            || connection.client.is_closed()
            || connection.generation != self.generation.load(Ordering::Acquire)
    }
}
