//! The answer of `GET /status`: what this instance is and what it has done.

use std::{collections::BTreeMap, time::Instant};

use catalog_api::InstanceId;
use prometheus::Registry;
use serde::Serialize;
use service_kit::{VERSION, metrics::resident_memory_bytes};

/// Name of the metric the counts are read from, so that `/status` and `/metrics` cannot disagree.
const REQUESTS: &str = "service_api_requests_total";

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Status<'a> {
    service: &'static str,
    version: &'static str,
    instance: &'a str,
    uptime_seconds: f64,
    memory_bytes: u64,
    requests: Requests,
}

/// Requests answered so far.
#[derive(Debug, Default, Serialize)]
struct Requests {
    total: u64,
    by_endpoint: BTreeMap<String, u64>,
    by_status: BTreeMap<String, u64>,
}

// === impl Status ===

impl<'a> Status<'a> {
    pub(crate) fn read(instance: &'a InstanceId, started: Instant, registry: &Registry) -> Self {
        Self {
            service: "service-api",
            version: VERSION,
            instance: instance.as_str(),
            uptime_seconds: started.elapsed().as_secs_f64(),
            memory_bytes: resident_memory_bytes(),
            requests: Requests::read(registry),
        }
    }
}

// === impl Requests ===

impl Requests {
    fn read(registry: &Registry) -> Self {
        let mut requests = Self::default();
        let families = registry.gather();
        let counted = families.iter().filter(|family| family.name() == REQUESTS);
        for metric in counted.flat_map(|family| family.get_metric()) {
            // A counter of requests is a whole number, exact as a float up to 2^53.
            let count = metric.get_counter().get_value() as u64;
            requests.total += count;
            for label in metric.get_label() {
                let counts = match label.name() {
                    "endpoint" => &mut requests.by_endpoint,
                    "status" => &mut requests.by_status,
                    _ => continue,
                };
                *counts.entry(label.value().to_owned()).or_default() += count;
            }
        }
        requests
    }
}
