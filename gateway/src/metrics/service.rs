//! Counters of one service.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use catalog_api::ServiceName;
use prometheus::{Histogram, IntCounter};

use super::GatewayMetrics;

/// Counters of one service, resolved once.
pub struct ServiceMetrics {
    name: ServiceName,
    duration: Histogram,
    fresh: IntCounter,
    reused: IntCounter,
    retries: IntCounter,
    breaker_openings: IntCounter,
    registry: Weak<GatewayMetrics>,
}

// === impl ServiceMetrics ===

impl ServiceMetrics {
    pub(super) fn new(metrics: &Arc<GatewayMetrics>, name: ServiceName) -> Self {
        let label = name.as_str();
        // Counted elsewhere; rates need the series before its first event.
        metrics.ejections.with_label_values(&[label]);
        Self {
            duration: metrics.upstream_duration.with_label_values(&[label]),
            fresh: metrics.connections.with_label_values(&[label, "false"]),
            reused: metrics.connections.with_label_values(&[label, "true"]),
            retries: metrics.retries.with_label_values(&[label]),
            breaker_openings: metrics.breaker_openings.with_label_values(&[label]),
            name,
            registry: Arc::downgrade(metrics),
        }
    }

    /// A request got a connection.
    pub fn connected(&self, reused: bool) {
        if reused {
            self.reused.inc()
        } else {
            self.fresh.inc()
        }
    }

    /// An attempt after the first begins.
    pub fn retried(&self) {
        self.retries.inc();
    }

    /// Counts how often the circuit breaker opens.
    pub fn breaker_openings(&self) -> &IntCounter {
        &self.breaker_openings
    }

    /// An exchange with an endpoint ended.
    pub fn exchanged(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }
}

impl std::fmt::Debug for ServiceMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ServiceMetrics").field(&self.name).finish()
    }
}

impl Drop for ServiceMetrics {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else {
            return;
        };
        let mut services = registry.services.lock();
        // A service of the same name may have come back meanwhile; then the series are its own now.
        if services
            .get(&self.name)
            .is_some_and(|current| current.strong_count() > 0)
        {
            return;
        }
        services.remove(&self.name);
        let label = self.name.as_str();
        // Series that never were are no error.
        let _ = registry.upstream_duration.remove_label_values(&[label]);
        let _ = registry.retries.remove_label_values(&[label]);
        let _ = registry.ejections.remove_label_values(&[label]);
        let _ = registry.breaker_openings.remove_label_values(&[label]);
        for reused in ["false", "true"] {
            let _ = registry.connections.remove_label_values(&[label, reused]);
        }
    }
}
