//! Store, published state and leases: the catalog without its interface.

use std::sync::Arc;

use catalog_api::{InstanceId, ServiceName};
use service_kit::{metrics::Metrics, readiness::Condition};

use crate::{
    drain::Witnesses,
    follower::Follower,
    lease::{Leases, keeper::Keeper, sharing::Sharing},
    metrics::{CatalogMetrics, PoolMetrics},
    opening::{OpenStore, PoolGauge},
    outage::OutageWatch,
    receipts::{self, Receipts},
    registry::Registry,
    snapshot::Snapshot,
    state::Live,
    store::ObservedStore,
};

/// State and store, published and ready to be served.
pub(super) struct Core {
    pub(super) registry: Arc<Registry>,
    pub(super) witnesses: Arc<Witnesses>,
    pub(super) metrics: Arc<CatalogMetrics>,
    pub(super) sharing: Option<Arc<Sharing>>,
    /// Tells the other catalogs of the store about receipts, if there can be any.
    pub(super) receipts: Option<receipts::sharing::Sharing>,
}

// === impl Core ===

impl Core {
    /// Publishes what is in the store. `detail` tells how the store is, `own` is the catalog's own entry.
    pub(super) fn new(
        opened: OpenStore,
        metrics: &Metrics,
        detail: Condition,
        own: (ServiceName, InstanceId),
    ) -> (Self, OutageWatch) {
        let catalog_metrics = Arc::new(CatalogMetrics::new(metrics));
        let sharing = opened.store.renewals();
        let sharing = sharing.map(|notes| Arc::new(Sharing::new(notes)));
        let notes = opened.store.receivers();
        let receipts = Arc::new(Receipts::new(notes.is_some(), Arc::clone(&catalog_metrics)));
        let live = Arc::new(Live::new(Snapshot::new(opened.snapshot)));
        let witnesses = Arc::new(Witnesses::new(
            Arc::clone(&live),
            Arc::clone(&receipts),
            own,
            notes.is_some(),
        ));
        let notes = notes.zip(opened.store.callers());
        let exchange = notes.map(|(notes, callers)| receipts::sharing::Sharing {
            receipts: Arc::clone(&receipts),
            notes,
            callers,
            witnesses: Arc::clone(&witnesses),
            said: None,
            availability: opened.store.availability(),
        });
        let store = Arc::new(ObservedStore::new(
            opened.store,
            Arc::clone(&catalog_metrics),
            detail,
        ));
        store.works();
        let registry = Arc::new(Registry {
            store,
            live,
            leases: Arc::new(Leases::new(sharing.clone())),
            drains: Arc::default(),
            receipts,
        });
        let pool = opened
            .pool
            .map(|gauge: PoolGauge| (gauge, PoolMetrics::new(metrics)));
        let outages = OutageWatch {
            store: Arc::clone(&registry.store),
            leases: Arc::clone(&registry.leases),
            pool,
        };
        let core = Self {
            registry,
            witnesses,
            metrics: catalog_metrics,
            sharing,
            receipts: exchange,
        };
        core.follower().begin();
        (core, outages)
    }

    pub(super) fn follower(&self) -> Follower {
        Follower {
            store: Arc::clone(&self.registry.store),
            live: Arc::clone(&self.registry.live),
            leases: Arc::clone(&self.registry.leases),
            drains: Arc::clone(&self.registry.drains),
            flights: Arc::clone(self.witnesses.flights()),
            metrics: Arc::clone(&self.metrics),
        }
    }

    pub(super) fn keeper(&self) -> Arc<Keeper> {
        let registry = Arc::clone(&self.registry);
        Arc::new(Keeper::new(registry, Arc::clone(&self.metrics)))
    }
}
