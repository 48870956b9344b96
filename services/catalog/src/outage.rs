//! What the catalog learns from a shared store without asking it: that it went away, and that it is back.

use std::sync::Arc;

use database::Availability;
use service_kit::shutdown::Shutdown;

use crate::{lease::Leases, metrics::PoolMetrics, opening::PoolGauge, store::ObservedStore};

/// Watches the store.
pub(crate) struct OutageWatch {
    pub(crate) store: Arc<ObservedStore>,
    pub(crate) leases: Arc<Leases>,
    /// The pool and where its state is shown.
    pub(crate) pool: Option<(PoolGauge, PoolMetrics)>,
}

// === impl OutageWatch ===

impl OutageWatch {
    /// Watches until the stop is asked for. A store that cannot go away is not watched.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut availability = self.store.availability();
        loop {
            let now = availability.borrow_and_update().clone();
            match &now {
                // While it is away catalogs cannot tell each other who renewed, so nobody can be called dead.
                Availability::Unavailable(_) => self.leases.suspend(),
                Availability::Available => self.leases.resume(),
            }
            self.store.learned(&now);
            if let Some((gauge, metrics)) = &self.pool {
                metrics.show(gauge());
            }
            tokio::select! {
                () = shutdown.requested() => return,
                changed = availability.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }
}
