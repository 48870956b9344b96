//! Composition: which parts there are, what they share, and the order in which they start and stop.
//!
//! Everything runs on the caller's tokio runtime. Pingora's `Server` is not used: it wants threads, signals and a grace period of
//! its own, and cannot tell which port it got. Its listener service is given sockets that are already bound.

use std::{io, net::SocketAddr, os::fd::IntoRawFd, sync::Arc};

use parking_lot::Mutex;
use pingora_core::{
    apps::HttpServerOptions,
    listeners::{L4BufferSettings, ListenerConfig},
    server::{Fds, ListenFds, configuration::ServerConf},
    services::{Service as _, listening},
};
use pingora_proxy::{HttpProxy, ProxyServiceBuilder};
use service_kit::{
    VERSION,
    http::{Limits, Operations, Service, serve},
    metrics::{Metrics, RequestMetrics},
    readiness::Readiness,
    settings::SettingsError,
    shutdown::{self, Shutdown},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    admin::Admin,
    catalog::Watcher,
    config::Config,
    metrics::{GatewayMetrics, LiveCollector, UNMATCHED},
    proxy::{Exchanges, GatewayProxy},
    snapshot::{
        Applier, DiskCopy, DiskError, FileRoute, HostAddresses, Live, Materials, Resolver,
        Snapshot, UPDATES_MAX, Update,
    },
    upstream::{Endpoints, HealthChecker},
};

/// Connections to endpoints kept open for reuse, over all endpoints. A pool below the concurrency doubles the CPU per request.
const UPSTREAM_POOL_MAX: usize = 1024;
/// Attempts that Pingora allows; ours, by policy, are never more.
const ATTEMPTS_MAX: usize = 11;
/// Buffers of a client's connection, in bytes. 16 KiB take a 10 KiB body in one system call; Pingora's default keeps 64 KiB.
const CLIENT_BUFFER_BYTES: usize = 16 << 10;
/// Requests on one connection before it is closed, so that its memory is freed now and then.
const REQUESTS_PER_CONNECTION_MAX: u32 = 100_000;

/// A gateway that runs.
pub struct Gateway {
    address: SocketAddr,
    admin_address: SocketAddr,
    live: Arc<Live>,
    readiness: Readiness,
    updates: mpsc::Sender<Update>,
    stopping: JoinHandle<Drained>,
}

/// Bound sockets to serve on.
pub struct Listeners {
    /// For clients.
    pub clients: std::net::TcpListener,
    /// For operators.
    pub admin: std::net::TcpListener,
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still under way at the deadline.
    pub cut: usize,
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("cannot use the data folder {}", path.display())]
    DataDir {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket cannot be used.
    #[error("cannot use a listener")]
    Listener(#[source] io::Error),
    /// The snapshot's copy cannot be read.
    #[error("cannot start from the copy of the snapshot")]
    Copy(#[source] DiskError),
    /// A metric of the gateway is already registered.
    #[error("cannot register the metrics of the gateway")]
    Metrics(#[source] prometheus::Error),
}

// === impl Gateway ===

impl Gateway {
    /// Starts everything. The gateway stops when `shutdown` says so; [`Gateway::finished`] waits for that.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        std::fs::create_dir_all(&config.data_dir).map_err(|source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        })?;
        let copy = DiskCopy::in_folder(&config.data_dir);
        let last_good = read_copy(&copy)?;
        let metrics = GatewayMetrics::new(Metrics::new("gateway", VERSION));
        let live = Arc::new(Live::default());
        let gauges = LiveCollector::new(Arc::clone(&live)).map_err(StartError::Metrics)?;
        metrics
            .exported()
            .registry()
            .register(Box::new(gauges))
            .map_err(StartError::Metrics)?;
        let readiness = Readiness::new();
        let checker = HealthChecker::new(Arc::clone(&metrics));

        let (updates, queue) = mpsc::channel(UPDATES_MAX);
        let (copies, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let mut applier = Applier::new(
            Arc::clone(&live),
            Materials {
                endpoints: Endpoints::new(Some(Arc::clone(&checker))),
                hosts: HostAddresses::default(),
                file_routes: Vec::new(),
                metrics: Arc::clone(&metrics),
            },
            Resolver::start(updates.clone()),
            copies,
            readiness.condition("snapshot"),
            readiness.detail("catalog entries"),
        );
        let mut first = vec![Update::FileRoutes(config.file_routes.clone())];
        first.extend(last_good);
        applier.apply(first).await;
        tokio::spawn(applier.run(queue));
        let (stop_copy, copy_stopping) = shutdown::channel();
        let copying = tokio::spawn(copy.keep(snapshots, copy_stopping));
        let watcher = Watcher {
            urls: config.catalog_urls.clone(),
            updates: updates.clone(),
            metrics: Arc::clone(&metrics),
            connection: readiness.detail("catalog"),
        };
        tokio::spawn(watcher.run(shutdown.clone()));

        let exchanges = Exchanges::default();
        let proxy = GatewayProxy {
            live: Arc::clone(&live),
            checker,
            unmatched: metrics.route(&UNMATCHED.into()),
            exchanges: exchanges.clone(),
            expose_revision: config.expose_revision,
            metrics: Arc::clone(&metrics),
        };
        let (address, clients) = listen(proxy, listeners.clients).map_err(StartError::Listener)?;
        let admin = Admin {
            live: Arc::clone(&live),
            metrics: Arc::clone(&metrics),
            exchanges: exchanges.clone(),
            readiness: readiness.clone(),
        };
        let (admin_address, admin) =
            operate(admin, listeners.admin).map_err(StartError::Listener)?;

        let stopping = {
            let readiness = readiness.clone();
            tokio::spawn(async move {
                shutdown.requested().await;
                readiness.begin_shutdown();
                clients.stop().await;
                let cut = exchanges.finished(config.drain_timeout).await;
                stop_copy.trigger();
                // A copy that failed has said so itself.
                let _ = copying.await;
                admin.stop().await;
                Drained { cut }
            })
        };
        Ok(Self {
            address,
            admin_address,
            live,
            readiness,
            updates,
            stopping,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The current view.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Whether it can serve.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Replaces the operator's routes by those that were read again, or keeps the old ones and says why.
    pub async fn reload(&self, routes: Result<Vec<FileRoute>, SettingsError>) {
        match routes {
            Ok(routes) => {
                // The queue is closed only when the gateway is gone.
                let _ = self.updates.send(Update::FileRoutes(routes)).await;
                tracing::info!("routes reloaded; other settings change with a restart");
            }
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, the old one goes on")
            }
        }
    }

    /// Waits for the stop that was asked for through the shutdown, until the last request is answered or cut.
    pub async fn finished(self) -> Drained {
        self.stopping.await.unwrap_or(Drained { cut: 0 })
    }
}

/// A part that serves a socket.
struct Serving {
    stop: shutdown::ShutdownTrigger,
    task: JoinHandle<()>,
}

// === impl Serving ===

impl Serving {
    async fn stop(self) {
        self.stop.trigger();
        // A panic inside has been logged by the panic hook.
        let _ = self.task.await;
    }
}

fn read_copy(copy: &DiskCopy) -> Result<Option<Update>, StartError> {
    match copy.load() {
        Ok(None) => Ok(None),
        Ok(Some(change)) => {
            tracing::info!("starting from the copy of the last good snapshot");
            Ok(Some(Update::Catalog {
                change: Some(change),
                refusals: Vec::new(),
            }))
        }
        Err(error @ DiskError::Corrupt { .. }) => {
            tracing::error!(%error, "starting without the copy of the last good snapshot");
            Ok(None)
        }
        Err(error) => Err(StartError::Copy(error)),
    }
}

fn listen(proxy: GatewayProxy, socket: std::net::TcpListener) -> io::Result<(SocketAddr, Serving)> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    // Pingora finds the socket by this text.
    let key = address.to_string();
    let sockets: ListenFds = Arc::new(Mutex::new(Fds::new()));
    sockets.lock().add(key.clone(), socket.into_raw_fd());

    let conf = Arc::new(ServerConf {
        upstream_keepalive_pool_size: UPSTREAM_POOL_MAX,
        max_retries: ATTEMPTS_MAX,
        ..ServerConf::default()
    });
    let mut options = HttpServerOptions::default();
    options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION_MAX);
    let mut service: listening::Service<HttpProxy<GatewayProxy>> =
        ProxyServiceBuilder::new(&conf, proxy)
            .name("gateway")
            .server_options(options)
            .build();
    service.add_listener(ListenerConfig::tcp(key).l4_buffer(L4BufferSettings::new(
        CLIENT_BUFFER_BYTES,
        CLIENT_BUFFER_BYTES,
    )));

    let (stop, stopping) = shutdown::channel();
    let (told, pingora_stopping) = watch::channel(false);
    let task = tokio::spawn(async move {
        let serving = service.start_service(Some(sockets), pingora_stopping, 1);
        let telling = async {
            stopping.requested().await;
            // Pingora has gone by itself when nobody listens.
            let _ = told.send(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = telling => {}
        }
    });
    Ok((address, Serving { stop, task }))
}

fn operate(admin: Admin, socket: std::net::TcpListener) -> io::Result<(SocketAddr, Serving)> {
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let operations = Operations {
        readiness: admin.readiness.clone(),
        metrics: admin.metrics.exported().clone(),
    };
    let requests = RequestMetrics::new(&operations.metrics, "gateway_admin");
    let service = Service::new(Arc::new(admin), operations, requests);
    let (stop, stopping) = shutdown::channel();
    let task = tokio::spawn(async move {
        serve(socket, service, Limits::default(), stopping).await;
    });
    Ok((address, Serving { stop, task }))
}
