//! Statistics by service and endpoint. How many there can be is limited, because callers choose paths.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use catalog_api::{ServiceId, Timestamp};
use parking_lot::Mutex;

use super::{
    CallRecord, Exists, ServiceStatistics, Statistics,
    series::{SLOT, Series},
};

/// Most endpoints of one service; further ones are one, [`OTHER`].
pub const SERVICE_ENDPOINTS_MAX: usize = 100;

/// Most endpoints of all services of a process together.
const ENDPOINTS_MAX: usize = 10_000;

/// Stands for every endpoint that has no place of its own. No path looks like it.
pub const OTHER: &str = "other";

/// The sums of one process.
pub(super) struct Sums {
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

// === impl Sums ===

impl Sums {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            since: Timestamp::now(),
            total: Mutex::default(),
            services: Mutex::default(),
            endpoints: AtomicUsize::new(0),
        }
    }

    pub(super) fn add(&self, record: &CallRecord, exists: Exists<'_>) {
        let slot = self.slot();
        self.total.lock().add(record, slot);
        let Some(service) = self.service(record.service_id, exists) else {
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

    pub(super) fn report(&self, services: &[ServiceId]) -> Statistics {
        let slot = self.slot();
        let of = |id: &ServiceId| {
            let sums = self.services.lock().get(id).cloned()?;
            let sums = sums.lock();
            let endpoints = sums.endpoints.iter();
            let found = ServiceStatistics {
                totals: sums.total.windows(slot),
                endpoints: endpoints
                    .map(|(endpoint, series)| (endpoint.clone(), series.windows(slot)))
                    .collect(),
            };
            Some((*id, found))
        };
        Statistics {
            since: self.since,
            services: services.iter().filter_map(of).collect(),
            totals: self.total.lock().windows(slot),
        }
    }

    /// The statistics of a service; none when the service is gone.
    fn service(&self, id: ServiceId, exists: Exists<'_>) -> Option<Arc<Mutex<OfService>>> {
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
    use super::*;
    use crate::history::tests::record;

    #[test]
    fn endpoints_go_with_their_service() {
        let sums = Sums::new();
        for number in 0..150 {
            let call = record(1, &format!("/a{number}x"), 200);
            sums.add(&call, &|id| id.0 < 3);
        }
        assert_eq!(sums.endpoints.load(Ordering::Relaxed), 101);
        // The first call of another service makes room.
        sums.add(&record(2, "/", 200), &|id| id.0 == 2);
        assert_eq!(sums.endpoints.load(Ordering::Relaxed), 1);
        assert_eq!(sums.report(&[ServiceId(1), ServiceId(2)]).services.len(), 1);
    }
}
