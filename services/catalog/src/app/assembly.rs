//! From an open store to a catalog at work: what is prepared before the store is there, and put together when it is.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use catalog_api::ServiceSpec;
use database::{RedisConfig, jobs::JobLimits};
use service_kit::{
    metrics::Metrics,
    readiness::{Condition, Readiness},
    secret::Secret,
    shutdown::{self, Shutdown},
};
use tokio::sync::watch;

use super::{
    StartError,
    calls::Calling,
    core::Core,
    gate::Gate,
    lifetime::{Tasks, Work},
    shared::Sharing,
};
use crate::{
    api::Api,
    discovery::{Discovery, Sources, checks::Checks},
    drain,
    follower::chain,
    health::Checker,
    metrics::RedisMetrics,
    opening::{OpenStore, Source},
    presence::{OwnEntry, Presence},
    watch::Watchers,
};

/// Everything but the store.
pub(super) struct Assembly {
    pub(super) source: Source,
    /// What catalogs share besides the store.
    pub(super) redis: Option<RedisConfig>,
    /// Of calls that are answered later.
    pub(super) jobs: JobLimits,
    pub(super) seeds: [ServiceSpec; 2],
    pub(super) own: OwnEntry,
    pub(super) token: Secret,
    pub(super) watchers_max: NonZeroUsize,
    pub(super) heartbeat: Duration,
    /// What is discovered.
    pub(super) sources: Sources,
    pub(super) metrics: Metrics,
    pub(super) readiness: Readiness,
    /// Passes when there is a snapshot.
    pub(super) loaded: Condition,
    /// How the store is.
    pub(super) detail: Condition,
    pub(super) gate: Arc<Gate>,
    /// Tells when all is at work.
    pub(super) begun: watch::Sender<bool>,
}

// === impl Assembly ===

impl Assembly {
    /// Waits for a store that could not be opened, and begins. None when the stop was asked for before that.
    pub(super) async fn wait(
        self,
        error: StartError,
        shutdown: &Shutdown,
        stopped: &Shutdown,
    ) -> Option<Work> {
        let opened = self
            .source
            .wait(&self.seeds, error, &self.detail, shutdown)
            .await?;
        Some(self.begin(opened, stopped).await)
    }

    /// Publishes what is in the store, opens the interface, starts what runs beside it, and registers the catalog in itself.
    pub(super) async fn begin(self, opened: OpenStore, stopped: &Shutdown) -> Work {
        let (mut core, outages) = Core::new(opened, &self.metrics, self.detail, self.own.names());
        let exchange = core.receipts.take();
        let live = &core.registry.live;
        let receipts = &core.registry.receipts;
        let sharing = self
            .redis
            .as_ref()
            .map(|config| Sharing::new(config, Arc::clone(live), &self.metrics, &self.readiness));
        if sharing.is_none() {
            // The same series with and without Redis.
            RedisMetrics::new(&self.metrics, false);
        }
        let Calling {
            history,
            calls,
            deferred,
            runner,
        } = Calling::new(
            &core,
            sharing.as_ref(),
            self.token.clone(),
            self.jobs,
            &self.metrics,
            stopped,
        );
        let registry = Arc::clone(&core.registry);
        let (discovery, discoverer) = Discovery::new(self.sources, registry, &self.readiness);
        self.gate.open(Api {
            registry: Arc::clone(&core.registry),
            live: Arc::clone(live),
            receipts: Arc::clone(receipts),
            watchers: Watchers::new(
                Arc::clone(live),
                Arc::clone(receipts),
                Arc::clone(core.witnesses.onlookers()),
                self.watchers_max,
                self.heartbeat,
                Arc::clone(&core.metrics),
                stopped.clone(),
            ),
            checker: Checker::new(Arc::clone(live)),
            calls,
            deferred,
            history,
            discovery,
            token: self.token,
            readiness: self.readiness,
        });
        self.loaded.pass();
        let checks = Checks::new(Arc::clone(&core.registry), self.own.duty());
        let (end_following, following) = shutdown::channel();
        let redis = sharing.map_or_else(Vec::new, |sharing| sharing.start(&following));
        let tasks = Tasks {
            keeper: tokio::spawn(core.keeper().run(stopped.clone())),
            discovery: discoverer.map(|runner| tokio::spawn(runner.run(stopped.clone()))),
            // Also without sources: another catalog of the store may have some.
            checks: tokio::spawn(checks.run(stopped.clone())),
            deferred: tokio::spawn(runner.run(stopped.clone())),
            drains: tokio::spawn(drain::run(
                Arc::clone(&core.registry),
                Arc::clone(&core.witnesses),
                stopped.clone(),
            )),
            outages: tokio::spawn(outages.run(stopped.clone())),
            sharing: core
                .sharing
                .as_ref()
                .map(|sharing| tokio::spawn(Arc::clone(sharing).run(stopped.clone()))),
            receipts: exchange.map(|exchange| tokio::spawn(exchange.run(stopped.clone()))),
            redis,
            follower: tokio::spawn(core.follower().run(following)),
            end_following,
        };
        let presence = Presence::new(Arc::clone(&core.registry), self.own);
        if let Err(error) = presence.announce().await {
            tracing::warn!(error = %chain(&error), "cannot register the catalog in itself yet");
        }
        self.begun.send_replace(true);
        Work {
            core,
            presence,
            tasks,
        }
    }
}
