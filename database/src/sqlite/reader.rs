//! Reading: on threads for blocking work, over a few read-only connections, each read in one transaction.

use std::{path::PathBuf, sync::Arc, time::Duration};

use catalog_api::{Deleted, Revision, ServiceId, Snapshot};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use tokio::sync::Semaphore;

use super::{
    open::LOCK_WAIT_MAX,
    schema::{self, column, number},
};
use crate::store::{Change, Changes, StoreError};

/// Most reads at the same time.
const CONNECTIONS_MAX: usize = 4;

/// Longest wait for one of the connections.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(5);

/// The reading half of the store.
pub(super) struct Reader {
    path: PathBuf,
    permits: Arc<Semaphore>,
    // A std-style lock: held only to push or pop, never while SQLite works.
    idle: Arc<Mutex<Vec<Connection>>>,
}

// === impl Reader ===

impl Reader {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            permits: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            idle: Arc::default(),
        }
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let waiting = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(CONNECTION_WAIT_MAX, waiting)
            .await
            .map_err(|_| StoreError::Busy)?
            .map_err(|_| StoreError::Closed)?;
        let path = self.path.clone();
        let idle = Arc::clone(&self.idle);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let pooled = idle.lock().pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => connect(&path)?,
            };
            let answer = read(&connection)?;
            // Only a connection that just worked goes back.
            idle.lock().push(connection);
            Ok(answer)
        })
        .await
        .map_err(|error| StoreError::Failed(error.into()))?
        .map_err(|error: rusqlite::Error| StoreError::Failed(error.into()))
    }
}

fn connect(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT_MAX)?;
    // Otherwise a statement is compiled again whenever a bound value could change its plan, as the revision in `changes_since` could in
    // theory: for each change, and at more cost than the rest of the read.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

pub(super) fn snapshot(connection: &Connection) -> rusqlite::Result<Snapshot> {
    // One transaction, or a write between the statements would tear revision and services apart.
    let transaction = connection.unchecked_transaction()?;
    let revision = schema::meta(&transaction)?.revision;
    let services = transaction
        .prepare_cached("SELECT document FROM services ORDER BY id")?
        .query_map([], |row| schema::document(row, 0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Snapshot { revision, services })
}

pub(super) fn changes_since(
    connection: &Connection,
    after: Revision,
    limit: usize,
) -> rusqlite::Result<Changes> {
    let transaction = connection.unchecked_transaction()?;
    let meta = schema::meta(&transaction)?;
    if after < meta.compacted || after > meta.revision {
        return Ok(Changes::Compacted);
    }
    // One more than allowed, to see whether there are more.
    let rows = column((limit as u64).saturating_add(1));
    let mut changes = transaction
        .prepare_cached(
            "SELECT document FROM services WHERE revision > ?1 ORDER BY revision LIMIT ?2",
        )?
        .query_map([column(after.0), rows], |row| {
            schema::document(row, 0).map(|service| Change::Service(Box::new(service)))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut deletions = transaction.prepare_cached(
        "SELECT revision, id, name FROM deletions WHERE revision > ?1 ORDER BY revision LIMIT ?2",
    )?;
    for deletion in deletions.query_map([column(after.0), rows], deleted)? {
        changes.push(Change::Deleted(deletion?));
    }
    if changes.len() > limit {
        return Ok(Changes::Compacted);
    }
    changes.sort_unstable_by_key(Change::revision);
    Ok(Changes::List {
        changes,
        revision: meta.revision,
    })
}

fn deleted(row: &rusqlite::Row<'_>) -> rusqlite::Result<Deleted> {
    let name: String = row.get(2)?;
    Ok(Deleted {
        revision: Revision(number(row.get(0)?)),
        id: ServiceId(number(row.get(1)?)),
        name: name.parse().map_err(|error: catalog_api::Invalid| {
            rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
        })?,
    })
}
