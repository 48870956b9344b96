//! Composition: which parts there are, what they share, and the order in which they start and stop.
//!
//! Everything runs on the caller's tokio runtime. Pingora's `Server` is not used: it wants threads, signals and a grace period of
//! its own, and cannot tell which port it got. Its listener service is given sockets that are already bound.

mod serving;
mod view;

use std::{io, net::SocketAddr, sync::Arc};

use service_kit::{readiness::Readiness, settings::SettingsError, shutdown::Shutdown};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    admin::Admin,
    config::Config,
    metrics::UNMATCHED,
    proxy::{Exchanges, GatewayProxy},
    snapshot::{DiskError, FileRoute, Live, Update},
};
use view::View;

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
    /// [`StartError`]; what had been started by then ends with `shutdown`.
    pub async fn start(
        config: Config,
        listeners: Listeners,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        let view = View::start(&config, shutdown.clone()).await?;
        let exchanges = Exchanges::default();
        let proxy = GatewayProxy {
            live: Arc::clone(&view.live),
            checker: Arc::clone(&view.checker),
            unmatched: view.metrics.route(&UNMATCHED.into()),
            exchanges: exchanges.clone(),
            expose_revision: config.expose_revision,
            metrics: Arc::clone(&view.metrics),
        };
        let admin = Admin {
            live: Arc::clone(&view.live),
            metrics: Arc::clone(&view.metrics),
            exchanges: exchanges.clone(),
            readiness: view.readiness.clone(),
        };
        let clients = serving::clients(proxy, listeners.clients).map_err(StartError::Listener)?;
        let admin = serving::operators(admin, listeners.admin).map_err(StartError::Listener)?;
        Ok(Self {
            address: clients.address,
            admin_address: admin.address,
            live: Arc::clone(&view.live),
            readiness: view.readiness.clone(),
            updates: view.updates.clone(),
            stopping: tokio::spawn(async move {
                shutdown.requested().await;
                view.readiness.begin_shutdown();
                clients.stop().await;
                let cut = exchanges.finished(config.drain_timeout).await;
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
