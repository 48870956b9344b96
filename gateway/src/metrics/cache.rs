//! What is counted of the cache.

use prometheus::{
    IntCounter, IntCounterVec, Opts, PullingGauge,
    core::{Collector, Desc},
    proto::{Counter, Metric, MetricFamily, MetricType},
};
use service_kit::metrics::Metrics;

use crate::cache::Cache;

/// What became of a request to a service that is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheResult {
    /// Answered with a fresh object.
    Hit,
    /// Answered with a stale object: it is being renewed, or the service failed.
    Stale,
    /// Answered with an object that the service confirmed.
    Revalidated,
    /// A stale object was replaced.
    Expired,
    /// Fetched and kept.
    Miss,
    /// Fetched, and could not be kept.
    Uncacheable,
    /// Passed by the cache: the request asked for it, or the URL is known not to be kept.
    Bypass,
}

/// Requests by what became of them, resolved once.
pub struct CacheRequests([IntCounter; CacheResult::ALL.len()]);

/// Objects that were evicted since the start, counted by the cache itself.
#[derive(Clone)]
struct Evictions {
    cache: &'static Cache,
    description: Desc,
}

const EVICTIONS: (&str, &str) = (
    "gateway_cache_evictions_total",
    "Objects that had to go for others",
);

// === impl CacheResult ===

impl CacheResult {
    const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::Revalidated,
        Self::Expired,
        Self::Miss,
        Self::Uncacheable,
        Self::Bypass,
    ];

    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Expired => "expired",
            Self::Miss => "miss",
            Self::Uncacheable => "uncacheable",
            Self::Bypass => "bypass",
        }
    }
}

// === impl CacheRequests ===

impl CacheRequests {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let opts = Opts::new(
            "gateway_cache_requests_total",
            "Requests to services that are cached, by what became of them",
        );
        let requests = metrics.register(IntCounterVec::new(opts, &["result"]));
        Self(CacheResult::ALL.map(|result| requests.with_label_values(&[result.as_str()])))
    }

    /// Counts a request.
    pub fn count(&self, result: CacheResult) {
        self.0[result as usize].inc();
    }
}

/// Exports what a cache holds.
pub(crate) fn export(cache: &'static Cache, metrics: &Metrics) {
    let gauge = |name: &str, help: &str, value: fn(&Cache) -> usize| {
        metrics.register(PullingGauge::new(
            name,
            help,
            Box::new(move || value(cache) as f64),
        ));
    };
    gauge(
        "gateway_cache_bytes",
        "Memory of the cache, with what is being fetched",
        Cache::bytes,
    );
    gauge(
        "gateway_cache_objects",
        "Answers in the cache",
        Cache::objects,
    );
    let (name, help) = EVICTIONS;
    let description = Desc::new(name.into(), help.into(), Vec::new(), Default::default());
    metrics.register(description.map(|description| Evictions { cache, description }));
}

impl Collector for Evictions {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut counter = Counter::default();
        counter.set_value(self.cache.evictions() as f64);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        let mut family = MetricFamily::default();
        family.set_name(EVICTIONS.0.to_owned());
        family.set_help(EVICTIONS.1.to_owned());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(vec![metric]);
        vec![family]
    }
}
