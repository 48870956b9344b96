//! The last good snapshot on disk, so that a gateway starts and serves while the catalog is down.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use catalog_api::{Revision, Service};
use serde::{Deserialize, Serialize};
use service_kit::{durable, shutdown::Shutdown};
use tokio::{sync::watch, time};

use super::{Change, Snapshot};

/// Name of the file in `DATA_DIR`.
const FILE_NAME: &str = "gateway-snapshot.json";
/// Changed when the file's form changes in a way that an older gateway would misread.
const FORMAT: u32 = 1;
/// Shortest time between two copies: a burst of changes costs one write, a crash loses at most this much of what the catalog
/// will tell again anyway.
const COPY_INTERVAL: Duration = Duration::from_millis(500);
/// Only the owner reads it: metadata of services may be nobody else's business.
const FILE_MODE: u32 = 0o600;

/// The copy of one gateway.
#[derive(Clone, Debug)]
pub struct DiskCopy(PathBuf);

/// Why there is no copy to start from.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a snapshot; it was set aside.
    #[error("{} is not a snapshot of this version ({reason}); kept as {}", path.display(), kept.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Where it is now.
        kept: PathBuf,
    },
}

#[derive(Serialize)]
struct Stored<'a> {
    format: u32,
    revision: Revision,
    services: Vec<&'a Service>,
}

#[derive(Deserialize)]
struct Loaded {
    format: u32,
    revision: Revision,
    services: Vec<Arc<Service>>,
}

// === impl DiskCopy ===

impl DiskCopy {
    /// The copy in a data folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join(FILE_NAME))
    }

    /// Reads the copy. None when there is none yet.
    ///
    /// # Errors
    /// [`DiskError`]; a file that is not a snapshot has then been set aside, never deleted.
    pub fn load(&self) -> Result<Option<Change>, DiskError> {
        let bytes = match std::fs::read(&self.0) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let path = self.0.clone();
                return Err(DiskError::Read { path, source });
            }
        };
        match serde_json::from_slice::<Loaded>(&bytes) {
            Ok(Loaded {
                format: FORMAT,
                revision,
                services,
            }) => Ok(Some(Change::Replace {
                revision,
                services,
                keep: Default::default(),
            })),
            Ok(Loaded { format, .. }) => {
                Err(self.set_aside(format!("its format is {format}, not {FORMAT}")))
            }
            Err(error) => Err(self.set_aside(error.to_string())),
        }
    }

    fn set_aside(&self, reason: String) -> DiskError {
        let path = self.0.clone();
        match durable::set_aside(&path) {
            Ok(kept) => DiskError::Corrupt { path, reason, kept },
            Err(source) => DiskError::Read { path, source },
        }
    }

    /// Writes every new snapshot, newest only, until shutdown; then once more if something is left to write.
    pub async fn keep(self, mut snapshots: watch::Receiver<Arc<Snapshot>>, shutdown: Shutdown) {
        let mut going = true;
        while going {
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = shutdown.requested() => going = false,
            }
            if going || snapshots.has_changed().unwrap_or(false) {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                self.store(snapshot).await;
                tokio::select! {
                    () = time::sleep(COPY_INTERVAL) => {}
                    () = shutdown.requested() => {}
                }
            }
        }
    }

    async fn store(&self, snapshot: Arc<Snapshot>) {
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || {
            let stored = Stored {
                format: FORMAT,
                revision: snapshot.revision(),
                services: snapshot.services().map(Arc::as_ref).collect(),
            };
            let bytes = serde_json::to_vec(&stored)?;
            durable::write_atomically(&path, &bytes, FILE_MODE)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(file = %self.0.display(), %error, "cannot keep the copy of the snapshot")
            }
            Err(error) => tracing::error!(%error, "copying the snapshot was interrupted"),
        }
    }
}
