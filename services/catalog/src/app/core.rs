//! Store, published state and leases: the catalog without its interface.

use std::sync::Arc;

use database::{SqliteStore, StoreError};
use service_kit::{metrics::Metrics, readiness::Readiness};

use crate::{
    follower::Follower,
    lease::{Leases, keeper::Keeper},
    metrics::CatalogMetrics,
    registry::Registry,
    snapshot::Snapshot,
    state::Live,
    store::ObservedStore,
};

/// State and store, published and ready to be served.
pub(super) struct Core {
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<CatalogMetrics>,
}

// === impl Core ===

impl Core {
    /// Publishes what is in the store.
    pub(super) async fn load(
        store: SqliteStore,
        metrics: &Metrics,
        readiness: &Readiness,
    ) -> Result<Self, StoreError> {
        let metrics = Arc::new(CatalogMetrics::new(metrics));
        let loaded = readiness.condition("snapshot loaded");
        let store = Arc::new(ObservedStore::new(
            Arc::new(store),
            Arc::clone(&metrics),
            readiness.detail("store"),
        ));
        let live = Arc::new(Live::new(Snapshot::new(store.snapshot().await?)));
        let registry = Arc::new(Registry {
            store,
            live,
            leases: Arc::new(Leases::new()),
            drains: Arc::default(),
        });
        let core = Self { registry, metrics };
        core.follower().begin();
        loaded.pass();
        Ok(core)
    }

    pub(super) fn follower(&self) -> Follower {
        Follower {
            store: Arc::clone(&self.registry.store),
            live: Arc::clone(&self.registry.live),
            leases: Arc::clone(&self.registry.leases),
            drains: Arc::clone(&self.registry.drains),
            metrics: Arc::clone(&self.metrics),
        }
    }

    pub(super) fn keeper(&self) -> Arc<Keeper> {
        let registry = Arc::clone(&self.registry);
        Arc::new(Keeper::new(registry, Arc::clone(&self.metrics)))
    }
}
