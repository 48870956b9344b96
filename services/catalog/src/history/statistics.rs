//! Statistics by service and endpoint. How many there can be is limited, because callers choose paths.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use catalog_api::{ServiceId, ServiceName, ServiceRef, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use super::{
    CallRecord,
    series::{SLOT, Series, Windows},
};
use crate::snapshot::Snapshot;

/// Most endpoints of one service, and of all together; further ones are one, [`OTHER`].
const SERVICE_ENDPOINTS_MAX: usize = 100;
const ENDPOINTS_MAX: usize = 10_000;

/// Stands for every endpoint that has no place of its own. No path looks like it.
const OTHER: &str = "other";

/// The statistics of one catalog.
pub(super) struct Statistics {
    started: Instant,
    since: Timestamp,
    total: Mutex<Series>,
    // A lock for each, so that adding up one service's series does not hold up calls of the others.
    services: Mutex<HashMap<ServiceId, Arc<Mutex<OfService>>>>,
    endpoints: AtomicUsize,
}

#[derive(Default)]
struct OfService {
    total: Series,
    endpoints: BTreeMap<String, Series>,
}

/// What is answered.
#[derive(Debug, Serialize)]
pub(crate) struct StatisticsReport {
    /// Start of the catalog, and of `all`.
    since: Timestamp,
    totals: Windows,
    services: Vec<ServiceReport>,
}

#[derive(Debug, Serialize)]
struct ServiceReport {
    id: ServiceId,
    name: ServiceName,
    totals: Windows,
    endpoints: Vec<EndpointReport>,
}

#[derive(Debug, Serialize)]
struct EndpointReport {
    endpoint: String,
    #[serde(flatten)]
    windows: Windows,
}

// === impl Statistics ===

impl Statistics {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            since: Timestamp::now(),
            total: Mutex::default(),
            services: Mutex::default(),
            endpoints: AtomicUsize::new(0),
        }
    }

    pub(super) fn add(&self, record: &CallRecord, snapshot: &Snapshot) {
        let slot = self.slot();
        self.total.lock().add(record, slot);
        let Some(service) = self.service(record.service_id, snapshot) else {
            return;
        };
        let mut service = service.lock();
        service.total.add(record, slot);
        let known = service.endpoints.contains_key(&record.endpoint);
        let fits = known
            || (service.endpoints.len() < SERVICE_ENDPOINTS_MAX
                && self.endpoints.load(Ordering::Relaxed) < ENDPOINTS_MAX);
        let endpoint = if fits { &record.endpoint } else { OTHER };
        if let Some(series) = service.endpoints.get_mut(endpoint) {
            series.add(record, slot);
            return;
        }
        let mut series = Series::default();
        series.add(record, slot);
        service.endpoints.insert(endpoint.to_owned(), series);
        self.endpoints.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self, snapshot: &Snapshot) -> StatisticsReport {
        let slot = self.slot();
        let services = snapshot.entries().filter_map(|entry| {
            let statistics = self.services.lock().get(&entry.service.id).cloned()?;
            let statistics = statistics.lock();
            let endpoints = statistics.endpoints.iter();
            Some(ServiceReport {
                id: entry.service.id,
                name: entry.service.name.clone(),
                totals: statistics.total.windows(slot),
                endpoints: endpoints
                    .map(|(endpoint, series)| EndpointReport {
                        endpoint: endpoint.clone(),
                        windows: series.windows(slot),
                    })
                    .collect(),
            })
        });
        StatisticsReport {
            since: self.since,
            services: services.collect(),
            totals: self.total.lock().windows(slot),
        }
    }

    /// The statistics of a service; none when the service is gone.
    fn service(&self, id: ServiceId, snapshot: &Snapshot) -> Option<Arc<Mutex<OfService>>> {
        let exists = |id| snapshot.get(&ServiceRef::Id(id)).is_some();
        let mut services = self.services.lock();
        if let Some(service) = services.get(&id) {
            return Some(Arc::clone(service));
        }
        if !exists(id) {
            return None;
        }
        services.retain(|id, service| {
            let keep = exists(*id);
            if !keep {
                let endpoints = service.lock().endpoints.len();
                self.endpoints.fetch_sub(endpoints, Ordering::Relaxed);
            }
            keep
        });
        Some(Arc::clone(services.entry(id).or_default()))
    }

    fn slot(&self) -> u64 {
        self.started.elapsed().as_secs() / SLOT.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::{Revision, Service, ServiceSpec};

    use super::*;
    use crate::history::tests::record;

    fn snapshot(ids: &[u64]) -> Snapshot {
        let service = |id: &u64| {
            let spec = ServiceSpec::named(format!("s-{id}").parse().unwrap());
            Service::new(ServiceId(*id), spec, Revision(*id), Timestamp::now())
        };
        Snapshot::new(catalog_api::Snapshot {
            revision: Revision(9),
            services: ids.iter().map(service).collect(),
        })
    }

    #[test]
    fn endpoints_are_limited_and_go_with_their_service() {
        let statistics = Statistics::new();
        let both = snapshot(&[1, 2]);
        for number in 0..150 {
            statistics.add(&record(1, &format!("/a{number}x"), 200), &both);
        }
        statistics.add(&record(1, "/a0x", 500), &both);
        statistics.add(&record(3, "/unknown", 200), &both);
        let report = serde_json::to_value(statistics.report(&both)).unwrap();
        assert_eq!(report["totals"]["all"]["calls"], 152);
        assert_eq!(report["services"].as_array().unwrap().len(), 1);
        let service = &report["services"][0];
        assert_eq!(service["totals"]["1m"]["calls"], 151);
        let endpoints = service["endpoints"].as_array().unwrap();
        assert_eq!(endpoints.len(), 101);
        let of = |name: &str| endpoints.iter().find(|e| e["endpoint"] == name).unwrap();
        assert_eq!(of("other")["all"]["calls"], 50);
        assert_eq!(
            (&of("/a0x")["all"]["calls"], &of("/a0x")["all"]["errors"]),
            (&2.into(), &1.into())
        );

        // The first call of another service makes room.
        let second = snapshot(&[2]);
        statistics.add(&record(2, "/", 200), &second);
        assert_eq!(statistics.endpoints.load(Ordering::Relaxed), 1);
        let report = serde_json::to_value(statistics.report(&second)).unwrap();
        assert_eq!(report["services"][0]["name"], "s-2");
    }
}
