//! The shared store: a PostgreSQL database that any number of catalogs use at the same time.
//!
//! **Order.** The revision is a single row that every writing transaction locks and raises (`transaction`). Revisions are dense and
//! become visible in the order of their numbers, so "everything above N" is complete whenever it is asked. A command that is refused or
//! changes nothing makes no revision. What a command means is decided by the same [`decide()`](crate::decide()) as in the embedded
//! store, here, between the two round trips of a transaction.
//!
//! **Throughput.** One task writes (`write`): it commits all writes that wait together, because all catalogs take turns at one lock
//! anyway. Reads are single statements over a pool (`pool`, `read`); the catalog asks for them only when something changed.
//!
//! **News.** A commit notifies (`NOTIFY`); a connection of its own listens and then reads the revision (`listen`). Notifications are
//! hints: it is also looked every two seconds, and after each reconnect, so losing any number of them costs time and nothing else.
//!
//! **Down and back.** Every wait has a limit: 3 s to connect, 2 s for a connection of the pool, 5 s for a statement or transaction, on
//! our side and on the server's. A connection whose work was cut off is never used again. While the database is away, the head stays,
//! reads and writes fail with [`StoreError::Unavailable`], and the listener looks for it with jittered pauses of at most 3 s. A write
//! whose connection was lost during its COMMIT is [`StoreError::OutcomeUnknown`]: it may or may not be there. Commands are idempotent
//! by nature (`PUT`, `DELETE`) or refuse the second time (`Create`), so repeating them is safe.
//!
//! **A database that goes back** (a restore, a failover to a standby that lagged) would give out revisions a second time. Whoever
//! finds it behind what he knows to be committed raises the revision above that and forgets the past, so that everyone reads a whole
//! snapshot.
//!
//! **Start.** [`PostgresStore::open`] brings the schema `catalog` to this version under an advisory lock and creates the first services
//! in the same transaction, so several catalogs may start on an empty database at once. It tries once; [`PostgresError::is_temporary`]
//! says whether trying again can help.
//!
//! **Leases and receipts.** Renewals are no writes. [`CatalogStore::renewals`] is where catalogs note them for each other (`notes`), as
//! [`CatalogStore::receivers`] is for the readers of their streams (`receivers`) and [`CatalogStore::callers`] for their own calls
//! (`callers`).
//!
//! **Secrets.** No message and no log line contains user, password or URL; [`PostgresConfig::target`] is what is shown.

mod batch;
mod callers;
mod columns;
mod config;
mod error;
mod listen;
mod migrate;
mod notes;
pub mod pool;
mod read;
mod receivers;
mod transaction;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use catalog_api::{Revision, ServiceSpec, Snapshot};
use tokio::{sync::watch, task::AbortHandle};

use self::{
    callers::CallerNotes,
    listen::{Head, Listener},
    notes::Notes,
    pool::{Pool, PoolState},
    receivers::ReceiverNotes,
    write::Writer,
};
use crate::{
    callers::Callers,
    command::Command,
    receivers::Receivers,
    renewals::Renewals,
    retention::Options,
    store::{Availability, CatalogStore, Changes, Committed, StoreError, WriteError},
};

pub use config::{CONNECT_WAIT_MAX, PostgresConfig, PostgresConfigError};
pub use error::{Cause, PostgresError};

/// A catalog in a PostgreSQL database.
pub struct PostgresStore {
    pool: Arc<Pool>,
    writer: Writer,
    head: Head,
    availability: watch::Receiver<Availability>,
    notes: Arc<Notes>,
    receivers: Arc<ReceiverNotes>,
    callers: Arc<CallerNotes>,
    listener: AbortHandle,
}

// === impl PostgresStore ===

impl PostgresStore {
    /// Connects, brings the database to this version, and creates `seeds` (ids from 1) if it has no catalog yet. Must be called
    /// inside a runtime.
    ///
    /// # Errors
    /// [`PostgresError`]. Nothing runs then, and nothing is half done.
    pub async fn open(
        config: &PostgresConfig,
        seeds: &[ServiceSpec],
    ) -> Result<Self, PostgresError> {
        Self::open_with(config, seeds, Options::default()).await
    }

    /// [`PostgresStore::open`] with other limits.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn open_with(
        config: &PostgresConfig,
        seeds: &[ServiceSpec],
        options: Options,
    ) -> Result<Self, PostgresError> {
        let head = Head::new(migrate::prepare(config, seeds).await?);
        let pool = Arc::new(Pool::new(config));
        let writer = Writer::start(Arc::clone(&pool), head.clone(), options);
        let (sender, availability) = watch::channel(Availability::Available);
        let listener = Listener {
            config: config.clone(),
            pool: Arc::clone(&pool),
            head: head.clone(),
            writer: writer.clone(),
            availability: sender,
        };
        Ok(Self {
            notes: Arc::new(Notes::new(Arc::clone(&pool))),
            receivers: Arc::new(ReceiverNotes::new(Arc::clone(&pool))),
            callers: Arc::new(CallerNotes(Arc::clone(&pool))),
            pool,
            writer,
            head,
            availability,
            listener: tokio::spawn(listener.run()).abort_handle(),
        })
    }

    /// How full the pool is. Cheap.
    pub fn pool_state(&self) -> PoolState {
        self.pool.state()
    }
}

#[async_trait]
impl CatalogStore for PostgresStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let connection = self.pool.get().await?;
        let reading = read::snapshot(connection.client());
        let snapshot = self.pool.in_time(reading).await?;
        connection.release();
        Ok(snapshot)
    }

    async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        self.writer.write(command).await
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    async fn changes_since(&self, after: Revision, limit: usize) -> Result<Changes, StoreError> {
        let connection = self.pool.get().await?;
        let reading = read::changes_since(connection.client(), after, limit);
        let changes = self.pool.in_time(reading).await?;
        connection.release();
        Ok(changes)
    }

    fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.clone()
    }

    fn renewals(&self) -> Option<Arc<dyn Renewals>> {
        Some(Arc::clone(&self.notes) as Arc<dyn Renewals>)
    }

    fn receivers(&self) -> Option<Arc<dyn Receivers>> {
        Some(Arc::clone(&self.receivers) as Arc<dyn Receivers>)
    }

    fn callers(&self) -> Option<Arc<dyn Callers>> {
        Some(Arc::clone(&self.callers) as Arc<dyn Callers>)
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
