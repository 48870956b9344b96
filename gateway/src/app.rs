//! Composition: which parts there are, what they share, and the order in which they start and stop.
//!
//! Everything runs on the caller's tokio runtime. Pingora's `Server` and its listeners are not used: they want threads, signals and
//! a grace period of their own, cannot tell which port they got, and accept without a limit.

mod listeners;
mod serving;
mod view;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catalog_api::ServiceName;
use service_kit::{readiness::Readiness, settings::SettingsError, shutdown::Shutdown};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    admin::{Admin, explain::Explainer},
    cache::Cache,
    config::Config,
    metrics::UNMATCHED,
    proxy::{Admission, Entrance, Entrances, Exchanges, GatewayProxy, RateLimiter, Redirect},
    snapshot::{DiskError, FileRoute, Live, Update},
};
pub use listeners::Listeners;
use serving::{ClientSockets, Clients, Serving};
use view::View;

/// Longest wait for the catalog and the first checks before a successor begins to accept.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// A gateway that runs.
pub struct Gateway {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    h2c_address: Option<SocketAddr>,
    service_addresses: Vec<(ServiceName, SocketAddr)>,
    admin_address: SocketAddr,
    live: Arc<Live>,
    readiness: Readiness,
    updates: mpsc::Sender<Update>,
    /// Asks for the certificates to be read again.
    reload_certificates: Option<mpsc::Sender<()>>,
    /// Whether the end is a hand-over to a successor.
    handed_over: Arc<AtomicBool>,
    stopping: JoinHandle<Drained>,
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
    /// [`StartError`]; what had been started by then ends with `shutdown`.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        let cache = Cache::leak(config.cache_bytes);
        let address = listeners.clients.local_addr();
        let port = address.map_err(StartError::Listener)?.port();
        let mut view = View::start(&config, cache, port).await?;
        if config.upgrade {
            // The gateway before goes on meanwhile.
            view.settled(SETTLE_TIMEOUT).await;
        }
        let exchanges = Exchanges::default();
        let of_clients = listeners.of_clients().map_err(StartError::Listener)?;
        let mut of_services = Vec::with_capacity(listeners.services.len());
        let mut entrances = Vec::with_capacity(listeners.services.len());
        let mut service_addresses = Vec::with_capacity(listeners.services.len());
        for (service, socket) in listeners.services {
            let address = socket.local_addr().map_err(StartError::Listener)?;
            entrances.push((address, Entrance::to_service(&service, &view.metrics)));
            service_addresses.push((service, address));
            of_services.push(socket);
        }
        let local =
            |socket: &std::net::TcpListener| socket.local_addr().map_err(StartError::Listener);
        let tls_address = listeners.tls.as_ref().map(local).transpose()?;
        let h2c_address = listeners.h2c.as_ref().map(local).transpose()?;
        let redirects = config.tls.as_ref().is_some_and(|tls| tls.redirect);
        let redirect = match tls_address {
            Some(to) if redirects => Some(Redirect {
                from: local(&listeners.clients)?,
                to_port: to.port(),
            }),
            _ => None,
        };
        let reload_certificates = config
            .tls
            .as_ref()
            .map(|tls| view.watch_certificates(Arc::clone(&tls.certificates), shutdown.clone()));
        let handed_over = Arc::new(AtomicBool::new(false));
        let admission = Arc::new(Admission {
            entrances: Entrances::new(entrances),
            trusted_proxies: config.trusted_proxies.clone(),
            redirect,
            target_bytes_max: config.limits.target_bytes_max,
        });
        let rates = RateLimiter::start(shutdown.clone());
        let proxy = GatewayProxy {
            admission: Arc::clone(&admission),
            live: Arc::clone(&view.live),
            checker: Arc::clone(&view.checker),
            rates: Arc::clone(&rates),
            unmatched: view.metrics.route(&UNMATCHED.into()),
            exchanges: exchanges.clone(),
            files: Arc::default(),
            cache,
            expose_revision: config.expose_revision,
            relays: config.relay,
            metrics: Arc::clone(&view.metrics),
        };
        let admin = Admin {
            live: Arc::clone(&view.live),
            metrics: Arc::clone(&view.metrics),
            exchanges: exchanges.clone(),
            readiness: view.readiness.clone(),
            cache,
            explainer: Explainer {
                admission,
                rates,
                limits: config.limits,
                listeners: of_clients,
            },
        };
        let sockets = ClientSockets {
            plain: listeners.clients,
            tls: listeners.tls,
            h2c: listeners.h2c,
            of_services,
        };
        let clients = Clients::start(proxy, &config, sockets).map_err(StartError::Listener)?;
        let admin = serving::operators(admin, listeners.admin).map_err(StartError::Listener)?;
        Ok(Self {
            address: clients.address,
            tls_address,
            h2c_address,
            service_addresses,
            admin_address: admin.address,
            live: Arc::clone(&view.live),
            readiness: view.readiness.clone(),
            updates: view.updates.clone(),
            reload_certificates,
            handed_over: Arc::clone(&handed_over),
            stopping: tokio::spawn(async move {
                shutdown.requested().await;
                if handed_over.load(Ordering::Acquire) {
                    return Ending {
                        view,
                        clients,
                        admin,
                        exchanges,
                    }
                    .hand_over(config.upgrade_timeout)
                    .await;
                }
                view.readiness.begin_shutdown();
                clients.stop().await;
                let cut = exchanges.finished(config.drain_timeout).await;
                view.stop_following().await;
                view.keep_last_copy().await;
                // Last, so that operators can watch the drain.
                admin.stop().await;
                Drained { cut }
            }),
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients connect by TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// Where clients speak HTTP/2 without TLS.
    pub fn h2c_address(&self) -> Option<SocketAddr> {
        self.h2c_address
    }

    /// Where clients of one service each connect.
    pub fn service_addresses(&self) -> &[(ServiceName, SocketAddr)] {
        &self.service_addresses
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

    /// Has the certificates read again, and replaces the operator's routes by those that were read again, or keeps the old ones and says why.
    pub async fn reload(&self, routes: Result<Vec<FileRoute>, SettingsError>) {
        if let Some(reload) = &self.reload_certificates {
            // A request that waits already stands for this one, too.
            let _ = reload.try_send(());
        }
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

    /// Makes the stop that is asked for next a hand-over: a successor accepts on the same sockets already, so there is time. Idle
    /// connections get an answer to their next request before they are closed, and long ones may go on for the time of the setting.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
    }

    /// Waits for the stop that was asked for through the shutdown, until the last request is answered or cut.
    pub async fn finished(self) -> Drained {
        self.stopping.await.unwrap_or(Drained { cut: 0 })
    }
}

/// What ends with a gateway.
struct Ending {
    view: View,
    clients: Clients,
    admin: Serving,
    exchanges: Exchanges,
}

// === impl Ending ===

impl Ending {
    async fn hand_over(mut self, limit: Duration) -> Drained {
        // The file is the successor's from now on.
        self.view.keep_last_copy().await;
        // Operators ask the successor. What they ask just now is answered meanwhile.
        let admin = tokio::spawn(self.admin.stop());
        self.clients.hand_over(limit).await;
        let cut = self.exchanges.finished(Duration::ZERO).await;
        self.view.stop_following().await;
        // A panic inside has been logged by the panic hook.
        let _ = admin.await;
        Drained { cut }
    }
}
