//! The gateway's view of the catalog: what feeds it, what builds it, what keeps a copy of it.

use std::{fs, sync::Arc, time::Duration};

use catalog_api::{OpaqueId, Receiver, ReceiverName, Revision};
use service_kit::{
    VERSION,
    metrics::Metrics,
    readiness::Readiness,
    shutdown::{self, Shutdown, ShutdownTrigger},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};

use super::StartError;
use crate::{
    cache::Cache,
    catalog::Watcher,
    config::Config,
    metrics::{GatewayMetrics, LiveCollector, export_cache},
    snapshot::{
        Applied, Applier, DiskCopy, DiskError, HostAddresses, Live, Materials, Resolver, Snapshot,
        UPDATES_MAX, Update,
    },
    tls::{self, Certificates},
    upstream::{AliasKey, Endpoints, Health, HealthChecker, Member},
};

/// Where Linux keeps the host's name; in a container it is the container's id.
const HOST_NAME_FILE: &str = "/proc/sys/kernel/hostname";

/// How often it is looked whether the view has settled.
const SETTLE_POLL: Duration = Duration::from_millis(10);

/// The running parts, and what requests and operators need of them.
pub(super) struct View {
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<GatewayMetrics>,
    pub(super) checker: Arc<HealthChecker>,
    pub(super) readiness: Readiness,
    pub(super) updates: mpsc::Sender<Update>,
    stop_copying: ShutdownTrigger,
    copying: Option<JoinHandle<()>>,
    /// The catalog is followed until this is dropped: the last request is still routed by what is true then.
    stop_following: ShutdownTrigger,
    following: Option<JoinHandle<()>>,
}

// === impl View ===

impl View {
    /// Starts from the copy on disk when there is one, and follows the catalog until it is dropped. `port` is where clients connect, for the
    /// gateway's name.
    pub(super) async fn start(
        config: &Config,
        cache: Option<&'static Cache>,
        port: u16,
    ) -> Result<Self, StartError> {
        let unusable = |source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        std::fs::create_dir_all(&config.data_dir).map_err(unusable)?;
        let names = AliasKey::in_folder(&config.data_dir).map_err(unusable)?;
        let copy = DiskCopy::in_folder(&config.data_dir);
        let mut first = vec![Update::FileRoutes(config.file_routes.clone())];
        first.extend(last_good(&copy)?);

        let metrics = GatewayMetrics::new(Metrics::new("gateway", VERSION));
        let live = Arc::new(Live::default());
        let checker = HealthChecker::new(Arc::clone(&metrics));
        let readiness = Readiness::new();
        export(&live, &metrics).map_err(StartError::Metrics)?;

        let (updates, queue) = mpsc::channel(UPDATES_MAX);
        let (applied, in_effect) = watch::channel(Applied::default());
        let (copies, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        if let Some(cache) = cache {
            export_cache(cache, metrics.exported());
            tokio::spawn(cache.follow(snapshots.clone()));
        }
        let endpoints = Endpoints::new(Some(Arc::clone(&checker))).naming(names);
        let bell = endpoints.bell();
        let mut applier = Applier::new(
            Arc::clone(&live),
            Materials {
                endpoints,
                hosts: HostAddresses::default(),
                file_routes: Vec::new(),
                metrics: Arc::clone(&metrics),
            },
            Resolver::start(updates.clone()),
            copies,
            applied,
            readiness.condition("snapshot"),
            readiness.detail("catalog entries"),
        );
        applier.apply(first).await;
        tokio::spawn(applier.run(queue));

        let watcher = Watcher {
            urls: config.catalog_urls.clone(),
            receiver: receiver(port),
            updates: updates.clone(),
            applied: in_effect,
            bell,
            metrics: Arc::clone(&metrics),
            connection: readiness.detail("catalog"),
        };
        let (stop_following, followed) = shutdown::channel();
        let following = tokio::spawn(watcher.run(followed));
        let (stop_copying, copying_stops) = shutdown::channel();
        Ok(Self {
            live,
            metrics,
            checker,
            readiness,
            updates,
            stop_copying,
            copying: Some(tokio::spawn(copy.keep(snapshots, copying_stops))),
            stop_following,
            following: Some(following),
        })
    }

    /// Keeps the certificates as they are on the disk until shutdown. Whoever sends into the channel has them read at once.
    pub(super) fn watch_certificates(
        &self,
        certificates: Arc<Certificates>,
        shutdown: Shutdown,
    ) -> mpsc::Sender<()> {
        let (ask, asked) = mpsc::channel(1);
        let condition = self.readiness.detail("certificates");
        tokio::spawn(tls::watch(
            certificates,
            Arc::clone(&self.metrics),
            condition,
            asked,
            shutdown,
        ));
        ask
    }

    /// Waits until it is as good as that of a gateway that has run for long: it has heard from the catalog, and every endpoint has
    /// been checked once. `limit` at most: the catalog may be down.
    pub(super) async fn settled(&self, limit: Duration) {
        let is_settled = || {
            let unknown = |member: &Member| member.endpoint.health() == Health::Unknown;
            let snapshot = self.live.load();
            let mut pools = snapshot.pools();
            // A stream is open before its first snapshot has come.
            self.metrics.is_catalog_connected()
                && snapshot.revision() != Revision::default()
                && !pools.any(|pool| pool.members().iter().any(unknown))
        };
        let waiting = async {
            while !is_settled() {
                time::sleep(SETTLE_POLL).await;
            }
        };
        if time::timeout(limit, waiting).await.is_err() {
            tracing::warn!("taking over without the catalog or before every endpoint was checked");
        }
    }

    /// Leaves the catalog, which hears that nothing is left of what drained.
    pub(super) async fn stop_following(&mut self) {
        self.stop_following.trigger();
        if let Some(following) = self.following.take() {
            // A panic inside has been logged by the panic hook.
            let _ = following.await;
        }
    }

    /// Writes what has not been written yet, and nothing after that.
    pub(super) async fn keep_last_copy(&mut self) {
        self.stop_copying.trigger();
        if let Some(copying) = self.copying.take() {
            // A copy that failed has said so itself.
            let _ = copying.await;
        }
    }
}

fn export(live: &Arc<Live>, metrics: &GatewayMetrics) -> Result<(), prometheus::Error> {
    let gauges = LiveCollector::new(Arc::clone(live))?;
    metrics.exported().registry().register(Box::new(gauges))
}

/// What this process calls itself before the catalog.
fn receiver(port: u16) -> Receiver {
    let host = fs::read_to_string(HOST_NAME_FILE).unwrap_or_default();
    Receiver {
        name: ReceiverName::of_host(&host, port),
        id: OpaqueId::new(rand::random()),
    }
}

fn last_good(copy: &DiskCopy) -> Result<Option<Update>, StartError> {
    match copy.load() {
        Ok(None) => Ok(None),
        Ok(Some(change)) => {
            tracing::info!("starting from the copy of the last good snapshot");
            Ok(Some(Update::Catalog {
                heard: None,
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
