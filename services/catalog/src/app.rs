//! Composition: from a configuration and a socket to a catalog that serves.

mod assembly;
mod calls;
mod core;
mod gate;
mod lifetime;
mod shared;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use catalog_api::Invalid;
use database::{OpenError, PostgresError, StoreError};
use service_kit::{
    VERSION,
    http::{Drained, Limits, Operations, Service},
    metrics::{Metrics, RequestMetrics},
    readiness::Readiness,
    secret::Secret,
    shutdown::{self, Shutdown},
};
use tokio::{sync::watch, task::JoinHandle};

use self::{assembly::Assembly, gate::Gate, lifetime::Lifetime};
use crate::{
    config::Config,
    discovery::{FileError, Sources},
    opening::Source,
    presence::{self, OwnEntry},
    seeds::seeds,
    token::{self, TokenError},
};

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
    /// Where its data is, for people.
    pub place: String,
    /// Its metrics.
    pub metrics: Metrics,
    begins: watch::Receiver<bool>,
    task: JoinHandle<Drained>,
}

/// Why a catalog does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The embedded database cannot be opened.
    #[error("cannot open the catalog's database")]
    Open(#[from] OpenError),
    /// The shared database cannot be used.
    #[error("cannot use the catalog's database")]
    Connect(#[from] PostgresError),
    /// The database cannot be read.
    #[error("cannot read the catalog's database")]
    Read(#[from] StoreError),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The listener cannot be used.
    #[error("cannot use the listening socket")]
    Listener(#[from] io::Error),
    /// The file of services cannot be used.
    #[error("cannot use the file in DISCOVER_FILE, {}", .0.display())]
    Discovery(PathBuf, #[source] FileError),
    /// The catalog cannot be registered in itself.
    #[error("cannot register the catalog in itself; set ADVERTISE_ADDRESS")]
    Presence(#[from] Invalid),
}

// === impl Catalog ===

impl Catalog {
    /// Opens the store, and serves on the socket until `shutdown` is requested. When this returns, the catalog answers and has
    /// registered itself; except with a shared database that is away: then it answers that it is not ready, and waits. See
    /// [`Running::begun`].
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
        let file = config.discovery.file.clone().unwrap_or_default();
        let sources = Sources::open(config.discovery).await;
        let sources = sources.map_err(|error| StartError::Discovery(file, error))?;
        let [service_api, own_service] = seeds()?;
        let advertised = match config.advertise {
            Some(address) => address,
            None => presence::address_of(address, config.database.is_some())?,
        };
        let own = OwnEntry::new(own_service.clone(), advertised)?;
        let source = match config.database {
            Some(database) => Source::Shared(Box::new(database)),
            None => Source::Embedded(config.data_dir.clone()),
        };
        let place = source.describe();
        let seeds = [service_api, own_service];
        // The database first: the lock of an embedded one keeps a second process away from the token as well.
        let opened = match source.open(&seeds).await {
            Err(error) if !source.is_worth_waiting(&error) => return Err(error),
            opened => opened,
        };
        let (token, token_file) = find_token(config.data_dir, config.token).await?;

        let metrics = Metrics::new("service-catalog", VERSION);
        let readiness = Readiness::new();
        let gate = Arc::new(Gate::new(readiness.clone()));
        let operations = Operations {
            readiness: readiness.clone(),
            metrics: metrics.clone(),
        };
        let requests = RequestMetrics::new(&metrics, PREFIX);
        let service = Service::new(Arc::clone(&gate), operations, requests);
        let (begun, begins) = watch::channel(false);
        let assembly = Assembly {
            source,
            redis: config.redis,
            jobs: config.jobs,
            seeds,
            own,
            token: token.clone(),
            watchers_max: config.watchers_max,
            heartbeat: config.heartbeat,
            sources,
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            loaded: readiness.condition("snapshot loaded"),
            detail: readiness.detail("store"),
            gate,
            begun,
        };
        let (stop, stopped) = shutdown::channel();
        let lifetime = Lifetime {
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
            token,
            token_file,
            place,
            readiness,
            metrics,
            begins,
            task: lifetime
                .begin(listener, service, shutdown, assembly, opened)
                .await,
        })
    }
}

// === impl Running ===

impl Running {
    /// Where it can be reached from this machine.
    pub fn url(&self) -> String {
        format!("http://{}", service_kit::listen::reachable(self.address))
    }

    /// Waits until it has read its store. For ever when it is stopped before that. Cancel-safe.
    pub async fn begun(&self) {
        let mut begins = self.begins.clone();
        if begins.wait_for(|begun| *begun).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits for the end: requests in flight are answered, the database is closed.
    pub async fn finished(self) -> Drained {
        self.task.await.unwrap_or(Drained {
            finished: false,
            cut: 0,
        })
    }
}

async fn find_token(
    data_dir: PathBuf,
    configured: Option<Secret>,
) -> Result<(Secret, Option<PathBuf>), StartError> {
    if let Some(token) = configured {
        return Ok((token, None));
    }
    let finding = tokio::task::spawn_blocking(move || token::read_or_create(&data_dir));
    let (token, file) = finding
        .await
        .map_err(|error| StartError::Listener(io::Error::other(error)))??;
    tracing::info!(path = %file.display(), "writes need the token in this file");
    Ok((token, Some(file)))
}
