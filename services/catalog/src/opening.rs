//! Which store there is, and how it comes to be open.
//!
//! An embedded store opens or does not; what stands in its way stays there until somebody removes it. A shared one may be away for a
//! while, also when everything starts at once: that is waited for, and said, while the catalog already answers that it is not ready.
//! What cannot pass on its own (a wrong password, a newer schema) is an error at the start.

use std::{path::PathBuf, sync::Arc, time::Duration};

use catalog_api::{ServiceSpec, Snapshot};
use database::{
    CatalogStore, PoolState, PostgresConfig, PostgresError, PostgresStore, SetAside, SqliteStore,
    StoreError,
};
use service_kit::{backoff::Backoff, readiness::Condition, shutdown::Shutdown};

use crate::{app::StartError, follower::chain};

/// Name of the database in the data folder.
const DATABASE_FILE: &str = "catalog.db";

/// Shortest and longest pause between two attempts to open a shared store.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Where the catalog is kept.
pub(crate) enum Source {
    /// In a file of this folder.
    Embedded(PathBuf),
    /// In a database that others use as well.
    Shared(Box<PostgresConfig>),
}

/// A store, and what is in it.
pub(crate) struct OpenStore {
    pub(crate) store: Arc<dyn CatalogStore>,
    pub(crate) snapshot: Snapshot,
    /// How full its pool of connections is, if it has one.
    pub(crate) pool: Option<PoolGauge>,
}

/// Looks at a pool of connections.
pub(crate) type PoolGauge = Box<dyn Fn() -> PoolState + Send + Sync>;

// === impl Source ===

impl Source {
    /// Opens it once.
    pub(crate) async fn open(&self, seeds: &[ServiceSpec]) -> Result<OpenStore, StartError> {
        match self {
            Self::Embedded(folder) => embedded(folder.join(DATABASE_FILE), seeds.to_vec()).await,
            Self::Shared(config) => shared(config, seeds).await,
        }
    }

    /// Opens it as soon as it can be opened. None when the stop was asked for before that.
    pub(crate) async fn wait(
        &self,
        seeds: &[ServiceSpec],
        first: StartError,
        condition: &Condition,
        shutdown: &Shutdown,
    ) -> Option<OpenStore> {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut error = first;
        loop {
            let pause = backoff.next_delay();
            tracing::warn!(
                error = %chain(&error),
                retry_ms = pause.as_millis(),
                "waiting for the database; until it is there nothing can be served"
            );
            // The reason is in the log: it names hosts, and this is open to everyone.
            condition.fail("the database cannot be opened yet");
            tokio::select! {
                () = shutdown.requested() => return None,
                () = tokio::time::sleep(pause) => {}
            }
            let opened = tokio::select! {
                () = shutdown.requested() => return None,
                opened = self.open(seeds) => opened,
            };
            match opened {
                Ok(opened) => {
                    tracing::info!(
                        revision = opened.snapshot.revision.0,
                        "the database is there"
                    );
                    return Some(opened);
                }
                Err(now) => error = now,
            }
        }
    }

    /// Where that is, for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Embedded(folder) => folder.display().to_string(),
            Self::Shared(config) => format!("PostgreSQL at {}", config.target()),
        }
    }

    /// Whether trying again can help.
    pub(crate) fn is_worth_waiting(&self, error: &StartError) -> bool {
        match (self, error) {
            (Self::Embedded(_), _) => false,
            (Self::Shared(_), StartError::Connect(error)) => error.is_temporary(),
            (Self::Shared(_), StartError::Read(error)) => {
                matches!(error, StoreError::Unavailable(_) | StoreError::Busy)
            }
            (Self::Shared(_), _) => false,
        }
    }
}

async fn embedded(file: PathBuf, seeds: Vec<ServiceSpec>) -> Result<OpenStore, StartError> {
    let opening = tokio::task::spawn_blocking(move || SqliteStore::open(&file, &seeds));
    let opened = opening
        .await
        .map_err(|error| StartError::Listener(std::io::Error::other(error)))??;
    let database::Opened { store, set_aside } = opened;
    if let Some(SetAside { path, reason }) = set_aside {
        tracing::error!(
            kept = %path.display(),
            reason,
            "the catalog's database was damaged; it is kept under another name and the catalog starts empty"
        );
    }
    Ok(OpenStore {
        snapshot: store.snapshot().await?,
        store: Arc::new(store),
        pool: None,
    })
}

async fn shared(config: &PostgresConfig, seeds: &[ServiceSpec]) -> Result<OpenStore, StartError> {
    let store = PostgresStore::open(config, seeds).await;
    let store = Arc::new(store.map_err(|error: PostgresError| StartError::Connect(error))?);
    let observed = Arc::downgrade(&store);
    let none = PoolState {
        connections: 0,
        idle: 0,
        waiting: 0,
    };
    Ok(OpenStore {
        snapshot: store.snapshot().await?,
        store,
        // Weak: who only looks must not keep the store open.
        pool: Some(Box::new(move || {
            observed.upgrade().map_or(none, |store| store.pool_state())
        })),
    })
}
