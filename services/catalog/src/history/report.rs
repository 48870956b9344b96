//! Statistics as they are answered.

use catalog_api::{ServiceId, ServiceName, Timestamp};
use database::history::{Statistics, Sum, Windows};
use serde::Serialize;
use service_kit::http::milliseconds;

use super::Scope;
use crate::snapshot::Snapshot;

/// Answer of `GET /services/stats`.
#[derive(Debug, Serialize)]
pub(crate) struct StatisticsReport {
    scope: Scope,
    /// Beginning of `all`.
    since: Timestamp,
    totals: WindowsReport,
    services: Vec<ServiceReport>,
}

#[derive(Debug, Serialize)]
struct ServiceReport {
    id: ServiceId,
    name: ServiceName,
    totals: WindowsReport,
    endpoints: Vec<EndpointReport>,
}

#[derive(Debug, Serialize)]
struct EndpointReport {
    endpoint: String,
    #[serde(flatten)]
    windows: WindowsReport,
}

#[derive(Debug, Serialize)]
struct WindowsReport {
    #[serde(rename = "1m")]
    minute: Summary,
    #[serde(rename = "15m")]
    quarter: Summary,
    all: Summary,
}

#[derive(Debug, Serialize)]
struct Summary {
    calls: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    cache_hits: u64,
    cache_misses: u64,
    /// Hits among hits and misses. None when no kept answer was looked for.
    cache_hit_ratio: Option<f64>,
    /// Until the header of the answer. None without calls.
    latency_ms: Option<Quantiles>,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
}

// === impl StatisticsReport ===

impl StatisticsReport {
    /// In the order and under the names of a snapshot.
    pub(super) fn new(scope: Scope, mut found: Statistics, snapshot: &Snapshot) -> Self {
        let services = snapshot.entries().filter_map(|entry| {
            let of_service = found.services.remove(&entry.service.id)?;
            let endpoints = of_service.endpoints.iter();
            Some(ServiceReport {
                id: entry.service.id,
                name: entry.service.name.clone(),
                totals: WindowsReport::from(&of_service.totals),
                endpoints: endpoints
                    .map(|(endpoint, windows)| EndpointReport {
                        endpoint: endpoint.clone(),
                        windows: WindowsReport::from(windows),
                    })
                    .collect(),
            })
        });
        Self {
            scope,
            since: found.since,
            services: services.collect(),
            totals: WindowsReport::from(&found.totals),
        }
    }
}

// === impl WindowsReport ===

impl From<&Windows> for WindowsReport {
    fn from(windows: &Windows) -> Self {
        Self {
            minute: Summary::from(&windows.minute),
            quarter: Summary::from(&windows.quarter),
            all: Summary::from(&windows.all),
        }
    }
}

// === impl Summary ===

impl From<&Sum> for Summary {
    fn from(sum: &Sum) -> Self {
        let looks = sum.cache_hits + sum.cache_misses;
        let quantile = |percent| sum.latency(percent).map(milliseconds);
        let quantiles = || {
            Some(Quantiles {
                p50: quantile(50)?,
                p90: quantile(90)?,
                p99: quantile(99)?,
            })
        };
        Self {
            calls: sum.calls,
            errors: sum.errors,
            bytes_in: sum.bytes_in,
            bytes_out: sum.bytes_out,
            cache_hits: sum.cache_hits,
            cache_misses: sum.cache_misses,
            cache_hit_ratio: (looks > 0).then(|| sum.cache_hits as f64 / looks as f64),
            latency_ms: quantiles(),
        }
    }
}
