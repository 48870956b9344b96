//! The embedded store: one SQLite file in WAL mode, one thread that writes, a few connections that read.
//!
//! One writing thread instead of a lock: it commits many waiting writes with one fsync (group commit), and no request ever holds
//! a database connection.

mod lock;
mod open;
mod open_error;
mod reader;
mod schema;
mod set_aside;
mod writer;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use catalog_api::{Revision, ServiceSpec, Snapshot};
use tokio::sync::watch;

use crate::{
    command::Command,
    retention::Options,
    store::{Availability, CatalogStore, Changes, Committed, StoreError, WriteError},
};

pub use open_error::OpenError;
pub use set_aside::SetAside;

/// A catalog in an SQLite file. Dropping it waits for the writes already accepted and releases the file.
pub struct SqliteStore {
    // Readers first: the connection closed last, the writer's, folds the write-ahead log into the file.
    reader: reader::Reader,
    writer: writer::Writer,
}

/// A store, and what had to be done to open it.
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// Set when the file was damaged: where it was put, so that someone can look at it. The store is new and empty then.
    pub set_aside: Option<SetAside>,
}

// === impl SqliteStore ===

impl SqliteStore {
    /// Opens the file, or creates it with `seeds` as its first services (ids from 1). Blocks on the disk.
    ///
    /// A damaged file is moved away, never overwritten; see [`Opened::set_aside`]. Its successor's revisions start at the time in
    /// seconds, so that nobody who remembers a revision of the old file mistakes it for one of the new.
    ///
    /// # Errors
    /// [`OpenError`]: the file cannot be opened or written, is in use, is another program's, or of a newer version.
    pub fn open(path: &Path, seeds: &[ServiceSpec]) -> Result<Opened, OpenError> {
        Self::open_with(path, seeds, Options::default())
    }

    /// [`SqliteStore::open`] with other limits.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(
        path: &Path,
        seeds: &[ServiceSpec],
        options: Options,
    ) -> Result<Opened, OpenError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder {
                path: folder.to_owned(),
                source,
            })?;
        }
        let lock = lock::FileLock::acquire(path)?;
        let (connection, head, set_aside) = open::open(path, seeds)?;
        let writer = writer::Writer::start(connection, lock, head, options)
            .map_err(|source| OpenError::Thread { source })?;
        let store = Self {
            reader: reader::Reader::new(PathBuf::from(path)),
            writer,
        };
        Ok(Opened { store, set_aside })
    }
}

#[async_trait]
impl CatalogStore for SqliteStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.reader.read(reader::snapshot).await
    }

    async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        self.writer.write(command).await
    }

    fn head(&self) -> watch::Receiver<Revision> {
        self.writer.head()
    }

    fn availability(&self) -> watch::Receiver<Availability> {
        // A file of this machine does not come and go; what goes wrong with it shows in the operation itself.
        watch::channel(Availability::Available).1
    }

    async fn changes_since(&self, after: Revision, limit: usize) -> Result<Changes, StoreError> {
        self.reader
            .read(move |connection| reader::changes_since(connection, after, limit))
            .await
    }
}
