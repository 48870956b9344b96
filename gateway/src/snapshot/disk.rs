//! The last good snapshot on disk, so that a gateway starts and serves while the catalog is down.
//!
//! A copy of a large catalog is megabytes of JSON, and nothing is in a hurry for it: it is written in short steps with pauses between them,
//! so that no request waits for it, and as seldom as its cost asks for. Only at a stop it is written at once.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::{Revision, Service};
use serde::Deserialize;
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
/// Longest step of a copy, in which the requests of the same thread wait, and the pause after each.
const STEP: Duration = Duration::from_micros(100);
const PAUSE: Duration = Duration::from_millis(2);
/// Between two copies there is so many times what the last one took of the CPU, if that is more than the shortest time.
const COPY_SHARE: u32 = 100;
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
                let took = self.store(&snapshot, &shutdown).await;
                tokio::select! {
                    () = time::sleep(COPY_INTERVAL.max(took * COPY_SHARE)) => {}
                    () = shutdown.requested() => {}
                }
            }
        }
    }

    /// Answers what it took of the CPU.
    async fn store(&self, snapshot: &Snapshot, shutdown: &Shutdown) -> Duration {
        let (encoded, took) = encode(snapshot, shutdown).await;
        let path = self.0.clone();
        let written = tokio::task::spawn_blocking(move || {
            durable::write_atomically(&path, &encoded?, FILE_MODE)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(file = %self.0.display(), %error, "cannot keep the copy of the snapshot")
            }
            Err(error) => tracing::error!(%error, "copying the snapshot was interrupted"),
        }
        took
    }
}

/// The content of the file, and what it took to make it.
async fn encode(snapshot: &Snapshot, shutdown: &Shutdown) -> (io::Result<Vec<u8>>, Duration) {
    let services: Vec<Arc<Service>> = snapshot.services().map(Arc::clone).collect();
    let revision = snapshot.revision();
    let mut bytes =
        format!("{{\"format\":{FORMAT},\"revision\":{revision},\"services\":[").into_bytes();
    let (mut took, mut begun) = (Duration::ZERO, Instant::now());
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        if let Err(error) = serde_json::to_writer(&mut bytes, service) {
            return (Err(error.into()), took);
        }
        if begun.elapsed() > STEP {
            took += begun.elapsed();
            tokio::select! {
                () = time::sleep(PAUSE) => {}
                () = shutdown.requested() => {}
            }
            begun = Instant::now();
        }
    }
    bytes.extend_from_slice(b"]}");
    (Ok(bytes), took + begun.elapsed())
}
