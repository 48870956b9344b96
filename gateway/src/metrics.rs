//! What the gateway counts. Handles per route and service are resolved when a snapshot is built, so a request only adds.

mod cache;
mod live;
mod route;
mod service;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use catalog_api::ServiceName;
use parking_lot::Mutex;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};
use service_kit::metrics::Metrics;

pub(crate) use cache::export as export_cache;
pub use cache::{CacheRequests, CacheResult};
pub use live::LiveCollector;
pub use route::RouteMetrics;
pub use service::ServiceMetrics;

/// Bucket bounds in seconds, from 100 µs: a local hop takes less than a millisecond.
const BUCKETS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 60.0,
];

/// Label of requests that no route took.
pub const UNMATCHED: &str = "unmatched";

/// Every metric of the gateway that is not read from the live snapshot at scrape time.
pub struct GatewayMetrics {
    exported: Metrics,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    upstream_duration: HistogramVec,
    connections: IntCounterVec,
    retries: IntCounterVec,
    ejections: IntCounterVec,
    breaker_openings: IntCounterVec,
    rejected: IntCounterVec,
    client_connections: IntGauge,
    certificate_expiry: IntGaugeVec,
    certificates_rejected: IntCounter,
    overhead: Histogram,
    relayed: IntCounter,
    config_rejected: IntCounter,
    config_apply: Histogram,
    catalog_connected: IntGauge,
    cache: CacheRequests,
    routes: Mutex<HashMap<Arc<str>, Weak<RouteMetrics>>>,
    services: Mutex<HashMap<ServiceName, Weak<ServiceMetrics>>>,
}

/// Why a request was answered by the gateway with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectReason(pub &'static str);

/// An open connection of a client.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn counters(metrics: &Metrics, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    metrics.register(IntCounterVec::new(Opts::new(name, help), labels))
}

fn histograms(metrics: &Metrics, name: &str, help: &str, label: &str) -> HistogramVec {
    metrics.register(HistogramVec::new(
        HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()),
        &[label],
    ))
}

fn histogram(metrics: &Metrics, name: &str, help: &str) -> Histogram {
    metrics.register(Histogram::with_opts(
        HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()),
    ))
}

// === impl GatewayMetrics ===

impl GatewayMetrics {
    /// Registers everything.
    pub fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            requests: counters(
                &metrics,
                "gateway_requests_total",
                "Requests answered, by route",
                // The method stands between two free texts: values are hashed without a separator by prometheus 0.14.
                &["route", "method", "status_class"],
            ),
            request_duration: histograms(
                &metrics,
                "gateway_request_duration_seconds",
                "Time from the request's header to the end of the response",
                "route",
            ),
            upstream_duration: histograms(
                &metrics,
                "gateway_upstream_duration_seconds",
                "Time from choosing an endpoint to the end of its response",
                "service",
            ),
            connections: counters(
                &metrics,
                "gateway_upstream_connections_total",
                "Connections to endpoints used by requests, fresh or reused",
                &["service", "reused"],
            ),
            retries: counters(
                &metrics,
                "gateway_retries_total",
                "Attempts after the first, by service",
                &["service"],
            ),
            ejections: counters(
                &metrics,
                "gateway_ejections_total",
                "Endpoints that left the rotation because they failed",
                &["service"],
            ),
            breaker_openings: counters(
                &metrics,
                "gateway_breaker_openings_total",
                "How often a circuit breaker opened, after a failed probe too",
                &["service"],
            ),
            rejected: counters(
                &metrics,
                "gateway_rejected_total",
                "Requests the gateway answered with an error of its own, by reason",
                &["reason"],
            ),
            client_connections: metrics.register(IntGauge::new(
                "gateway_client_connections",
                "Open connections of clients",
            )),
            certificate_expiry: metrics.register(IntGaugeVec::new(
                Opts::new(
                    "gateway_tls_certificate_expiry_seconds",
                    "When a certificate ends, in seconds since 1970",
                ),
                &["certificate"],
            )),
            certificates_rejected: metrics.register(IntCounter::new(
                "gateway_tls_certificates_rejected_total",
                "Changed certificates that could not be used; the old ones went on",
            )),
            overhead: histogram(
                &metrics,
                "gateway_overhead_seconds",
                "Time a proxied request spent in the gateway before its endpoint was chosen",
            ),
            relayed: metrics.register(IntCounter::new(
                "gateway_relayed_requests_total",
                "Plain requests, which took the short way",
            )),
            config_rejected: metrics.register(IntCounter::new(
                "gateway_config_rejected_total",
                "Catalog entries that were refused; the last good state of each went on",
            )),
            config_apply: histogram(
                &metrics,
                "gateway_config_apply_seconds",
                "Time to build and publish a snapshot",
            ),
            catalog_connected: metrics.register(IntGauge::new(
                "gateway_catalog_connected",
                "1 while a watch stream of the catalog is open",
            )),
            cache: CacheRequests::new(&metrics),
            routes: Mutex::default(),
            services: Mutex::default(),
            exported: metrics,
        })
    }

    /// Everything in Prometheus' text format.
    pub fn encode(&self) -> String {
        self.exported.encode()
    }

    /// The registry, for collectors and the admin listener.
    pub fn exported(&self) -> &Metrics {
        &self.exported
    }

    /// Counters of a route, shared by everyone who has the route's name. They vanish with the last of them.
    pub fn route(self: &Arc<Self>, name: &Arc<str>) -> Arc<RouteMetrics> {
        let mut routes = self.routes.lock();
        if let Some(known) = routes.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(RouteMetrics::new(self, Arc::clone(name)));
        routes.insert(Arc::clone(name), Arc::downgrade(&fresh));
        fresh
    }

    /// Counters of a service, shared by everyone who has the service's name. They vanish with the last of them.
    pub fn service(self: &Arc<Self>, name: &ServiceName) -> Arc<ServiceMetrics> {
        let mut services = self.services.lock();
        if let Some(known) = services.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let fresh = Arc::new(ServiceMetrics::new(self, name.clone()));
        services.insert(name.clone(), Arc::downgrade(&fresh));
        fresh
    }

    /// An endpoint left the rotation.
    pub fn ejected(&self, service: &ServiceName) {
        self.ejections.with_label_values(&[service.as_str()]).inc();
    }

    /// The gateway answered a request itself.
    pub fn rejected(&self, reason: RejectReason) {
        self.rejected.with_label_values(&[reason.0]).inc();
    }

    /// Counts an open connection of a client, until it is dropped.
    pub fn connection_opened(&self) -> OpenConnection {
        self.client_connections.inc();
        OpenConnection(self.client_connections.clone())
    }

    /// The certificates of now, by name, and when they end in seconds since 1970.
    pub fn certificates(&self, expiries: &[(String, i64)]) {
        self.certificate_expiry.reset();
        for (name, expires) in expiries {
            self.certificate_expiry
                .with_label_values(&[name.as_str()])
                .set(*expires);
        }
    }

    /// A changed certificate could not be used.
    pub fn certificate_rejected(&self) {
        self.certificates_rejected.inc();
    }

    /// Time a request spent before its endpoint was chosen.
    pub fn overhead(&self, spent: Duration) {
        self.overhead.observe(spent.as_secs_f64());
    }

    /// A plain request takes the short way.
    pub fn relayed(&self) {
        self.relayed.inc();
    }

    /// Requests to services that are cached.
    pub fn cache(&self) -> &CacheRequests {
        &self.cache
    }

    /// A catalog entry was refused.
    pub fn config_rejected(&self) {
        self.config_rejected.inc();
    }

    /// A snapshot was built and published.
    pub fn config_applied(&self, took: Duration) {
        self.config_apply.observe(took.as_secs_f64());
    }

    /// The watch stream is open or not.
    pub fn catalog_connected(&self, connected: bool) {
        self.catalog_connected.set(connected.into());
    }

    /// Whether the watch stream is open.
    pub fn is_catalog_connected(&self) -> bool {
        self.catalog_connected.get() == 1
    }
}
