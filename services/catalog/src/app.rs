//! Composition: what is started in which order, and how it ends.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use catalog_api::{Invalid, Probe, ServiceSpec};
use database::{OpenError, SetAside, SqliteStore, StoreError};
use service_kit::{
    VERSION,
    http::{Drained, Limits, Operations, Service, serve},
    metrics::{Metrics, RequestMetrics},
    readiness::Readiness,
    secret::Secret,
    shutdown::{self, Shutdown},
};
use tokio::task::JoinHandle;

use crate::{
    api::Api,
    config::Config,
    follower::{Follower, chain},
    lease::{Leases, keeper::Keeper},
    metrics::CatalogMetrics,
    presence::{self, Presence},
    registry::Registry,
    snapshot::Snapshot,
    state::Live,
    store::ObservedStore,
    token::{self, TokenError},
    watch::Watchers,
};

/// Name of the database in the data folder.
const DATABASE_FILE: &str = "catalog.db";

/// Prefix of the metrics.
const PREFIX: &str = "service_catalog";

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

/// What runs besides the server, and its order at the end.
struct Lifetime {
    registry: Arc<Registry>,
    presence: Presence,
    readiness: Readiness,
    /// Stops server, watchers and keeper, after the own entry is out.
    stop: shutdown::ShutdownTrigger,
    stopped: Shutdown,
    follower: Follower,
    keeper: Arc<Keeper>,
}

/// The first services of a new catalog, in the order of their ids. Probed by `/readyz`, so that one that is about to stop gets
/// no new requests.
pub fn seeds() -> Result<[ServiceSpec; 2], Invalid> {
    let seed = |name: &str, description: &str| -> Result<ServiceSpec, Invalid> {
        let mut spec = ServiceSpec::named(name.parse()?);
        spec.description = description.to_owned().try_into()?;
        spec.policy.health.probe = Probe::Http {
            path: "/readyz".to_owned(),
        };
        Ok(spec)
    };
    Ok([
        seed("service-api", "The name service")?,
        seed("service-catalog", "The service catalog")?,
    ])
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
        let requests = RequestMetrics::new(&metrics, PREFIX);
        let catalog_metrics = Arc::new(CatalogMetrics::new(&metrics));
        let readiness = Readiness::new();
        let loaded = readiness.condition("snapshot loaded");
        let store = Arc::new(ObservedStore::new(
            Arc::new(opened.store),
            Arc::clone(&catalog_metrics),
            readiness.detail("store"),
        ));
        let live = Arc::new(Live::new(Snapshot::new(store.snapshot().await?)));
        loaded.pass();

        let leases = Arc::new(Leases::new());
        let follower = Follower {
            store: Arc::clone(&store),
            live: Arc::clone(&live),
            leases: Arc::clone(&leases),
            metrics: Arc::clone(&catalog_metrics),
        };
        follower.begin();
        let registry = Arc::new(Registry {
            store,
            live: Arc::clone(&live),
            leases,
        });
        let (stop, stopped) = shutdown::channel();
        let api = Api {
            registry: Arc::clone(&registry),
            live: Arc::clone(&live),
            token: opened.token.clone(),
            watchers: Watchers::new(
                live,
                config.watchers_max,
                config.heartbeat,
                Arc::clone(&catalog_metrics),
                stopped.clone(),
            ),
            readiness: readiness.clone(),
        };
        let operations = Operations {
            readiness: readiness.clone(),
            metrics: metrics.clone(),
        };
        let service = Service::new(Arc::new(api), operations, requests);
        let lifetime = Lifetime {
            presence: Presence::new(Arc::clone(&registry), own_service, advertised)?,
            keeper: Arc::new(Keeper::new(Arc::clone(&registry), catalog_metrics)),
            registry,
            readiness: readiness.clone(),
            stop,
            stopped,
            follower,
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

// === impl Lifetime ===

impl Lifetime {
    async fn begin(
        self,
        listener: tokio::net::TcpListener,
        service: Arc<Service<Api>>,
        shutdown: Shutdown,
    ) -> JoinHandle<Drained> {
        // Ends last: writes are answered when they are published, also during the drain.
        let (end_following, following) = shutdown::channel();
        let follower = tokio::spawn(self.follower.run(following));
        let keeper = tokio::spawn(self.keeper.run(self.stopped.clone()));
        let server = tokio::spawn(serve(listener, service, Limits::default(), self.stopped));
        if let Err(error) = self.presence.announce().await {
            tracing::warn!(error = %chain(&error), "cannot register the catalog in itself yet");
        }
        let (presence, readiness, stop, registry) =
            (self.presence, self.readiness, self.stop, self.registry);
        tokio::spawn(async move {
            presence.run(&shutdown).await;
            readiness.begin_shutdown();
            presence.leave().await;
            stop.trigger();
            let drained = server.await.unwrap_or(Drained {
                finished: false,
                cut: 0,
            });
            // A task that panicked was reported by the panic hook; the others still have to end.
            drop(keeper.await);
            end_following.trigger();
            drop(follower.await);
            // Closing waits for the disk. The last owners of the store are these two.
            let closed = tokio::task::spawn_blocking(move || drop((presence, registry)));
            drop(closed.await);
            drained
        })
    }
}

// === impl Running ===

impl Running {
    /// Where it can be reached from this machine.
    pub fn url(&self) -> String {
        format!("http://{}", presence::reachable(self.address))
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
