//! Starting and stopping the parts in an order that loses nothing.

use std::{io, net::SocketAddr, time::Duration};

use catalog_api::{CatalogUrl, ServiceName, Status};
use gateway::upstream::Health;
use registration::RegistrationSettings;
use service_kit::{
    listen::reachable,
    secret::Secret,
    settings::SettingsError,
    shutdown::{self, ShutdownTrigger},
};
use tokio::time;

use crate::{Config, Sockets};

/// Longest wait for the first healthy endpoints at the start.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the start looks whether they are there. Nothing announces it, and nothing but the start waits for it.
const READY_POLL: Duration = Duration::from_millis(2);

/// Lease of the instances of the name service: short, because the way to the catalog is.
const LEASE: Duration = Duration::from_secs(3);

/// Everything, running.
pub struct Platform {
    gateway: gateway::Gateway,
    stop_gateway: ShutdownTrigger,
    catalog: catalog::Running,
    stop_catalog: ShutdownTrigger,
    names: Vec<NameService>,
}

/// One instance of the name service.
struct NameService {
    running: names::Running,
    stop: ShutdownTrigger,
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Requests through the gateway that were still under way at its deadline.
    pub cut: usize,
}

/// Why the platform did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration of a part.
    #[error(transparent)]
    Configuration(#[from] SettingsError),
    /// A socket.
    #[error("cannot read the address of a socket")]
    Socket(#[from] io::Error),
    /// The catalog.
    #[error("the catalog did not start")]
    Catalog(#[from] catalog::StartError),
    /// A name service.
    #[error("the name service did not start")]
    Names(#[from] names::StartError),
    /// The gateway.
    #[error("the gateway did not start")]
    Gateway(#[from] gateway::StartError),
    /// The catalog's own URL.
    #[error("the address of the catalog makes no URL")]
    CatalogUrl(#[from] catalog_api::CatalogUrlError),
    /// The lease of the name services.
    #[error(transparent)]
    Lease(#[from] catalog_api::Invalid),
}

// === impl Platform ===

impl Platform {
    /// Starts everything on the caller's tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; parts that already run are stopped.
    pub async fn start(config: Config, sockets: Sockets) -> Result<Self, StartError> {
        let (stop_catalog, catalog_stopping) = shutdown::channel();
        let catalog =
            catalog::Catalog::start(config.catalog, sockets.catalog, catalog_stopping).await?;
        let catalog_url: CatalogUrl = format!("http://{}", reachable(catalog.address)).parse()?;

        let mut names = Vec::with_capacity(sockets.names.len());
        for socket in sockets.names {
            let (stop, stopping) = shutdown::channel();
            let config = names::Config {
                instance: None,
                registration: Some(registration(catalog_url.clone(), catalog.token.clone())?),
            };
            let running = names::Names::start(config, socket, stopping)?;
            names.push(NameService { running, stop });
        }

        let listeners = gateway::Listeners::plain(sockets.gateway.socket, sockets.admin);
        let (stop_gateway, gateway_stopping) = shutdown::channel();
        let gateway = gateway::Gateway::start(
            config.gateway.config(vec![catalog_url])?,
            listeners,
            gateway_stopping,
        )
        .await?;
        Ok(Self {
            gateway,
            stop_gateway,
            catalog,
            stop_catalog,
            names,
        })
    }

    /// Waits until the gateway has a healthy endpoint of every part, so that the printed URLs answer. Says so when it takes
    /// too long, and goes on: the gateway keeps trying.
    pub async fn ready(&self) {
        let waiting = async {
            while !self.is_ready() {
                time::sleep(READY_POLL).await;
            }
        };
        if time::timeout(READY_TIMEOUT, waiting).await.is_err() {
            tracing::warn!("not every part is healthy yet, see /routes on the admin listener");
        }
    }

    fn is_ready(&self) -> bool {
        let healthy = |service: &str| {
            let name: Option<ServiceName> = service.parse().ok();
            let snapshot = self.gateway.live().load();
            let pool = name.and_then(|name| snapshot.pool(&name).cloned());
            pool.map_or(0, |pool| {
                let up = |health, status| health == Health::Healthy && status == Status::Passing;
                pool.members()
                    .iter()
                    .filter(|member| up(member.endpoint.health(), member.status))
                    .count()
            })
        };
        healthy("service-catalog") > 0 && healthy("service-api") >= self.names.len()
    }

    /// The gateway.
    pub fn gateway(&self) -> &gateway::Gateway {
        &self.gateway
    }

    /// Where the catalog listens.
    pub fn catalog_address(&self) -> SocketAddr {
        self.catalog.address
    }

    /// The token for writing to the catalog.
    pub fn catalog_token(&self) -> &Secret {
        &self.catalog.token
    }

    /// Where the instances of the name service listen.
    pub fn names_addresses(&self) -> impl ExactSizeIterator<Item = SocketAddr> {
        self.names.iter().map(|names| names.running.address)
    }

    /// Stops everything: first the gateway finishes what it has, then the services leave the catalog and drain, then the catalog.
    pub async fn stop(self) -> Stopped {
        self.stop_gateway.trigger();
        let gateway::Drained { cut } = self.gateway.finished().await;
        for names in &self.names {
            names.stop.trigger();
        }
        for NameService { running, .. } in self.names {
            if let Err(error) = running.finished().await {
                tracing::error!(%error, "an instance of the name service broke off");
            }
        }
        self.stop_catalog.trigger();
        self.catalog.finished().await;
        Stopped { cut }
    }
}

fn registration(
    catalog_url: CatalogUrl,
    token: Secret,
) -> Result<RegistrationSettings, StartError> {
    Ok(RegistrationSettings {
        catalog_urls: catalog_url.into(),
        token: Some(token),
        advertise: None,
        lease: LEASE.try_into()?,
    })
}
