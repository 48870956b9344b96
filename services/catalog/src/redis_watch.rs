//! Shows whether the Redis that catalogs share can be used: in a metric and in `/readyz?verbose`. Readiness does not depend on it.

use service_kit::{readiness::Condition, shutdown::Shutdown};
use tokio::sync::watch;

use crate::metrics::RedisMetrics;

/// Watches a connection.
pub(crate) struct RedisWatch {
    pub(crate) connected: watch::Receiver<bool>,
    pub(crate) metrics: RedisMetrics,
    pub(crate) detail: Condition,
}

// === impl RedisWatch ===

impl RedisWatch {
    /// Watches until the stop is asked for.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let connected = *self.connected.borrow_and_update();
            self.metrics.connected.set(connected.into());
            if connected {
                self.detail.pass();
            } else {
                self.detail
                    .fail("Redis is away: calls go on, none is answered later, and log and statistics are of this process");
            }
            tokio::select! {
                () = shutdown.requested() => return,
                changed = self.connected.changed() => if changed.is_err() {
                    return;
                }
            }
        }
    }
}
