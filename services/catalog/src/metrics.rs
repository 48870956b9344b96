//! What the catalog counts. The doc comment of each field is its help text.

use catalog_api::{Service, ServiceName, Status};
use database::PoolState;
use http::StatusCode;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};
use service_kit::metrics::Metrics;

use crate::snapshot::Snapshot;

/// Bounds in seconds; a durable write is some milliseconds.
const STORE_BUCKETS: [f64; 12] = [
    0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// Bounds in seconds; a change that takes more than a second has met a fault.
const PROPAGATION_BUCKETS: [f64; 13] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// Handles of the catalog's own metrics.
pub(crate) struct CatalogMetrics {
    /// Services in the catalog.
    services_count: IntGauge,
    /// Instances by service and status.
    instances: IntGaugeVec,
    /// Healthy instances that a service declares as its least.
    min_instances: IntGaugeVec,
    /// Revision of the published snapshot.
    revision: IntGauge,
    /// Open watch streams.
    pub(crate) watchers: IntGauge,
    /// From the acceptance of a write to its effect at a gateway, for each gateway.
    pub(crate) propagation: Histogram,
    /// Duration of the store's operations.
    pub(crate) store_operation_seconds: HistogramVec,
    /// Whether the last operation of the store succeeded.
    pub(crate) store_up: IntGauge,
    /// Leases that ran out, by what became of the instance.
    lease_expirations: IntCounterVec,
    /// Calls through the catalog, by service and status of the answer.
    proxy_calls: IntCounterVec,
    /// Calls that were answered with a kept answer.
    pub(crate) cache_hits: IntCounter,
    /// Calls for which a kept answer was looked for in vain.
    pub(crate) cache_misses: IntCounter,
}

/// How full a shared store's pool of connections is.
pub(crate) struct PoolMetrics {
    /// Open connections to the store.
    connections: IntGauge,
    /// Connections to the store that nobody uses.
    idle: IntGauge,
    /// Operations that wait for a connection to the store.
    waiting: IntGauge,
}

/// The Redis that catalogs share.
pub(crate) struct RedisMetrics {
    /// Whether Redis can be used; 0 also when none is configured.
    pub(crate) connected: IntGauge,
    /// Calls that are missing in the shared history, because too many had to wait for Redis.
    pub(crate) left_out: IntCounter,
}

/// What became of an instance whose lease ran out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiration {
    /// It did not answer either.
    Evicted,
    /// It answered.
    Suspect,
}

// === impl CatalogMetrics ===

impl CatalogMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        let this = Self {
            services_count: gauge("service_catalog_services_count", "Services in the catalog"),
            instances: metrics.register(IntGaugeVec::new(
                Opts::new(
                    "service_catalog_instances",
                    "Instances by service and status",
                ),
                // No status is the end of another, so that names cannot make two series one (see RequestMetrics).
                &["service", "status"],
            )),
            min_instances: metrics.register(IntGaugeVec::new(
                Opts::new(
                    "service_catalog_min_instances",
                    "Healthy instances that a service declares as its least",
                ),
                &["service"],
            )),
            revision: gauge(
                "service_catalog_revision",
                "Revision of the published snapshot",
            ),
            watchers: gauge("service_catalog_watchers", "Open watch streams"),
            propagation: metrics.register(Histogram::with_opts(
                HistogramOpts::new(
                    "service_catalog_propagation_seconds",
                    "From the acceptance of a write to its effect at a gateway, for each gateway",
                )
                .buckets(PROPAGATION_BUCKETS.to_vec()),
            )),
            store_operation_seconds: metrics.register(HistogramVec::new(
                HistogramOpts::new(
                    "service_catalog_store_operation_seconds",
                    "Duration of the store's operations",
                )
                .buckets(STORE_BUCKETS.to_vec()),
                &["operation"],
            )),
            store_up: gauge(
                "service_catalog_store_up",
                "Whether the last operation of the store succeeded",
            ),
            lease_expirations: metrics.register(IntCounterVec::new(
                Opts::new(
                    "service_catalog_lease_expirations_total",
                    "Leases that ran out, by what became of the instance",
                ),
                &["outcome"],
            )),
            proxy_calls: metrics.register(IntCounterVec::new(
                Opts::new(
                    "service_catalog_proxy_calls_total",
                    "Calls through the catalog, by service and status of the answer",
                ),
                // The status always has three digits, so that names cannot make two series one (see RequestMetrics).
                &["service", "status"],
            )),
            cache_hits: metrics.register(IntCounter::new(
                "service_catalog_cache_hits_total",
                "Calls that were answered with a kept answer",
            )),
            cache_misses: metrics.register(IntCounter::new(
                "service_catalog_cache_misses_total",
                "Calls for which a kept answer was looked for in vain",
            )),
        };
        // Alerts on a rate need the series before its first event.
        for outcome in [Expiration::Evicted, Expiration::Suspect] {
            this.lease_expirations
                .with_label_values(&[outcome.as_str()]);
        }
        this
    }

    pub(crate) fn lease_expired(&self, outcome: Expiration) {
        self.lease_expirations
            .with_label_values(&[outcome.as_str()])
            .inc();
    }

    pub(crate) fn published(&self, snapshot: &Snapshot) {
        self.services_count.set(gauge_value(snapshot.len() as u64));
        self.revision.set(gauge_value(snapshot.revision().0));
    }

    pub(crate) fn service(&self, service: &Service) {
        self.min_instances
            .with_label_values(&[service.name.as_str()])
            .set(gauge_value(service.min_instances.into()));
        for status in Status::ALL {
            let count = service
                .instances
                .iter()
                .filter(|instance| instance.status == status)
                .count();
            self.instances
                .with_label_values(&[service.name.as_str(), status.as_str()])
                .set(gauge_value(count as u64));
        }
    }

    pub(crate) fn called(&self, service: &ServiceName, status: StatusCode) {
        self.proxy_calls
            .with_label_values(&[service.as_str(), status.as_str()])
            .inc();
    }

    /// Every status that HTTP can write is tried: a thousand look-ups at the end of a service's life are cheaper than keeping
    /// account of those that occurred on each call.
    pub(crate) fn calls_removed(&self, service: &ServiceName) {
        for status in 100..1_000_u16 {
            let status = status.to_string();
            // Fails only when the series is not there, which is what is wanted.
            drop(
                self.proxy_calls
                    .remove_label_values(&[service.as_str(), &status]),
            );
        }
    }

    pub(crate) fn service_removed(&self, name: &ServiceName) {
        self.calls_removed(name);
        drop(self.min_instances.remove_label_values(&[name.as_str()]));
        for status in Status::ALL {
            // Fails only when the series is not there, which is what is wanted.
            drop(
                self.instances
                    .remove_label_values(&[name.as_str(), status.as_str()]),
            );
        }
    }
}

// === impl RedisMetrics ===

impl RedisMetrics {
    pub(crate) fn new(metrics: &Metrics, is_configured: bool) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        let configured = gauge(
            "service_catalog_redis_configured",
            "Whether REDIS_URL is set",
        );
        configured.set(is_configured.into());
        Self {
            connected: gauge(
                "service_catalog_redis_connected",
                "Whether Redis can be used; 0 also when none is configured",
            ),
            left_out: metrics.register(IntCounter::new(
                "service_catalog_history_left_out_total",
                "Calls that are missing in the shared history, because too many had to wait for Redis",
            )),
        }
    }
}

// === impl PoolMetrics ===

impl PoolMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        Self {
            connections: gauge(
                "service_catalog_store_pool_connections",
                "Open connections to the store",
            ),
            idle: gauge(
                "service_catalog_store_pool_idle",
                "Connections to the store that nobody uses",
            ),
            waiting: gauge(
                "service_catalog_store_pool_waiting",
                "Operations that wait for a connection to the store",
            ),
        }
    }

    pub(crate) fn show(&self, state: PoolState) {
        self.connections.set(state.connections.into());
        self.idle.set(state.idle.into());
        self.waiting.set(gauge_value(state.waiting));
    }
}

fn gauge_value(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// === impl Expiration ===

impl Expiration {
    fn as_str(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Suspect => "suspect",
        }
    }
}
