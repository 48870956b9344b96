//! Composition: from a configuration and a socket to a catalog that serves.

mod core;
mod lifetime;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog_api::{Invalid, ServiceSpec};
use database::{OpenError, SetAside, SqliteStore, StoreError};
use service_kit::{
    VERSION,
    http::{Drained, Limits, Operations, Service},
    metrics::{Metrics, RequestMetrics},
    readiness::Readiness,
    secret::Secret,
    shutdown::{self, Shutdown},
};
use tokio::task::JoinHandle;

use self::{core::Core, lifetime::Lifetime};
use crate::{
    api::Api,
    calls::Calls,
    config::Config,
    health::Checker,
    history::History,
    presence::{self, Presence},
    seeds::seeds,
    token::{self, TokenError},
    watch::Watchers,
};

/// Name of the database in the data folder.
const DATABASE_FILE: &str = "catalog.db";

/// Prefix of the metrics.
const PREFIX: &str = "service_catalog";

/// Connections besides those of watchers, or a full house of watchers would lock everyone else out.
const CONNECTIONS_BESIDES_WATCHERS: usize = 4_096;

/// A catalog; see [`Catalog::start`].
#[derive(Debug)]
pub struct Catalog;

/// A catalog that serves. Dropping it does not stop it; the shutdown it was given does.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The token that writes need.
    pub token: Secret,
    /// The file of a generated token.
    pub token_file: Option<PathBuf>,
    /// Whether it can serve.
    pub readiness: Readiness,
    /// Its metrics.
    pub metrics: Metrics,
    task: JoinHandle<Drained>,
}

/// Why a catalog does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("cannot open the catalog's database")]
    Open(#[from] OpenError),
    /// The database cannot be read.
    #[error("cannot read the catalog's database")]
    Read(#[from] StoreError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The listener cannot be used.
    #[error("cannot use the listening socket")]
    Listener(#[from] io::Error),
    /// The catalog cannot be registered in itself.
    #[error("cannot register the catalog in itself; set ADVERTISE_ADDRESS")]
    Presence(#[from] Invalid),
}

/// What was opened from the disk.
struct Opened {
    store: SqliteStore,
    token: Secret,
    token_file: Option<PathBuf>,
}

// === impl Catalog ===

impl Catalog {
    /// Opens the data folder, and serves on the socket until `shutdown` is requested. When this returns, the catalog answers and
    /// has registered itself.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(
        config: Config,
        listener: std::net::TcpListener,
        shutdown: Shutdown,
    ) -> Result<Running, StartError> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let [service_api, own_service] = seeds()?;
        let advertised = match config.advertise {
            Some(address) => address,
            None => presence::address_of(address)?,
        };
        let opened = open(
            &config.data_dir,
            config.token,
            [service_api, own_service.clone()],
        )
        .await?;

        let metrics = Metrics::new("service-catalog", VERSION);
        let readiness = Readiness::new();
        let core = Core::load(opened.store, &metrics, &readiness).await?;
        let (stop, stopped) = shutdown::channel();
        let history = Arc::new(History::new());
        let api = Api {
            registry: Arc::clone(&core.registry),
            live: Arc::clone(&core.registry.live),
            token: opened.token.clone(),
            watchers: Watchers::new(
                Arc::clone(&core.registry.live),
                config.watchers_max,
                config.heartbeat,
                Arc::clone(&core.metrics),
                stopped.clone(),
            ),
            checker: Checker::new(Arc::clone(&core.registry.live)),
            calls: Calls::new(
                Arc::clone(&core.registry.live),
                opened.token.clone(),
                Arc::clone(&core.metrics),
                Arc::clone(&history),
            ),
            history,
            readiness: readiness.clone(),
        };
        let operations = Operations {
            readiness: readiness.clone(),
            metrics: metrics.clone(),
        };
        let requests = RequestMetrics::new(&metrics, PREFIX);
        let service = Service::new(Arc::new(api), operations, requests);
        let lifetime = Lifetime {
            presence: Presence::new(Arc::clone(&core.registry), own_service, advertised)?,
            core,
            readiness: readiness.clone(),
            stop,
            stopped,
            limits: Limits {
                connections_max: config
                    .watchers_max
                    .get()
                    .saturating_add(CONNECTIONS_BESIDES_WATCHERS)
                    .min(tokio::sync::Semaphore::MAX_PERMITS),
                ..Limits::default()
            },
        };
        Ok(Running {
            address,
            token: opened.token,
            token_file: opened.token_file,
            readiness,
            metrics,
            task: lifetime.begin(listener, service, shutdown).await,
        })
    }
}

// === impl Running ===

impl Running {
    /// Where it can be reached from this machine.
    pub fn url(&self) -> String {
        format!("http://{}", service_kit::listen::reachable(self.address))
    }

    /// Waits for the end: requests in flight are answered, the database is closed.
    pub async fn finished(self) -> Drained {
        self.task.await.unwrap_or(Drained {
            finished: false,
            cut: 0,
        })
    }
}

async fn open(
    data_dir: &Path,
    configured: Option<Secret>,
    seeds: [ServiceSpec; 2],
) -> Result<Opened, StartError> {
    let data_dir = data_dir.to_owned();
    let opening = tokio::task::spawn_blocking(move || {
        // The database first: its lock keeps a second process away from the token as well.
        let database::Opened { store, set_aside } =
            SqliteStore::open(&data_dir.join(DATABASE_FILE), &seeds)?;
        if let Some(SetAside { path, reason }) = set_aside {
            tracing::error!(
                kept = %path.display(),
                reason,
                "the catalog's database was damaged; it is kept under another name and the catalog starts empty"
            );
        }
        let (token, token_file) = match configured {
            Some(token) => (token, None),
            None => {
                let (token, file) = token::read_or_create(&data_dir)?;
                tracing::info!(path = %file.display(), "writes need the token in this file");
                (token, Some(file))
            }
        };
        Ok(Opened {
            store,
            token,
            token_file,
        })
    });
    opening
        .await
        .map_err(|error| StartError::Listener(io::Error::other(error)))?
}
