//! How the services are, found out when somebody asks: every instance is probed, all at once, and the answer comes in time whatever
//! they do.
//!
//! Each service has a cell with its newest report. Who asks while somebody else is finding out waits for that one's report, and a
//! report younger than a second is not made again, so that a thousand dashboards cost as much as one.

mod report;

use std::{collections::HashMap, sync::Arc, time::Duration};

use catalog_api::{HealthCheck, Instance, ServiceId, ServiceRef, Timestamp};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use service_kit::http::milliseconds;
use tokio::{
    sync::{Mutex as Turn, Semaphore},
    time::{Instant, timeout_at},
};

use self::report::{Health, InstanceHealth};
pub(crate) use self::report::{Report, ServiceHealth};
use crate::{probe::Prober, snapshot::Entry, state::Live};

/// Longest time until there is a report, with what is known by then.
const DEADLINE: Duration = Duration::from_secs(2);

/// How old a report may be.
const AGE_MAX: Duration = Duration::from_secs(1);

/// Most questions at the same time.
const PROBES_MAX: usize = 64;

/// Services that are looked at together; their probes share [`PROBES_MAX`].
const SERVICES_AT_ONCE: usize = 256;

/// Makes reports.
pub(crate) struct Checker {
    live: Arc<Live>,
    prober: Prober,
    probes: Semaphore,
    cells: Mutex<HashMap<ServiceId, Arc<Cell>>>,
}

/// The newest report on one service. Held while a newer one is made.
type Cell = Turn<Option<Checked>>;

struct Checked {
    at: Instant,
    report: Arc<ServiceHealth>,
}

// === impl Checker ===

impl Checker {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        Self {
            live,
            prober: Prober::new(),
            probes: Semaphore::new(PROBES_MAX),
            cells: Mutex::default(),
        }
    }

    /// How every service is.
    pub(crate) async fn everything(&self) -> Report {
        let snapshot = self.live.load();
        let deadline = Instant::now() + DEADLINE;
        let checks: Vec<_> = snapshot
            .entries()
            .map(|entry| self.check(entry, deadline))
            .collect();
        let services = stream::iter(checks).buffered(SERVICES_AT_ONCE);
        let services = services.collect().await;
        Report::new(snapshot.revision(), services)
    }

    /// How one service is.
    pub(crate) async fn service(&self, entry: &Entry) -> Arc<ServiceHealth> {
        self.check(entry, Instant::now() + DEADLINE).await
    }

    async fn check(&self, entry: &Entry, deadline: Instant) -> Arc<ServiceHealth> {
        let service = &entry.service;
        let cell = self.cell(service.id);
        let mut newest = cell.lock().await;
        if let Some(checked) = &*newest
            // Another revision may have other instances or another check.
            && checked.report.revision == service.revision
            && checked.at.elapsed() < AGE_MAX
        {
            return Arc::clone(&checked.report);
        }
        let check = &service.policy.health;
        let probes: Vec<_> = service
            .instances
            .iter()
            .map(|instance| self.probe(instance, check, deadline))
            .collect();
        let instances = stream::iter(probes).buffered(PROBES_MAX).collect().await;
        let report = Arc::new(ServiceHealth::new(service, Timestamp::now(), instances));
        *newest = Some(Checked {
            // Not when it began: who waited for a slow one would have to begin again.
            at: Instant::now(),
            report: Arc::clone(&report),
        });
        report
    }

    async fn probe(
        &self,
        instance: &Instance,
        check: &HealthCheck,
        deadline: Instant,
    ) -> InstanceHealth {
        let asking = async {
            // The semaphore is never closed; without a permit the question is asked all the same.
            let _permit = self.probes.acquire().await.ok();
            let asked = Instant::now();
            let answer = self.prober.ask(&instance.address, check).await;
            (asked.elapsed(), answer)
        };
        let (health, latency_ms, reason) = match timeout_at(deadline, asking).await {
            Ok((latency, Ok(()))) => (Health::Healthy, Some(milliseconds(latency)), None),
            Ok((_, Err(silence))) => (Health::Unhealthy, None, Some(silence.to_string())),
            Err(_) => {
                let reason = format!("its turn did not come within {} s", DEADLINE.as_secs());
                (Health::Unknown, None, Some(reason))
            }
        };
        InstanceHealth {
            id: instance.id.clone(),
            address: instance.address.clone(),
            status: instance.status,
            health,
            latency_ms,
            reason,
        }
    }

    fn cell(&self, id: ServiceId) -> Arc<Cell> {
        let mut cells = self.cells.lock();
        if let Some(cell) = cells.get(&id) {
            return Arc::clone(cell);
        }
        let snapshot = self.live.load();
        if cells.len() >= snapshot.len() {
            // Some belong to services that are gone.
            cells.retain(|id, _| snapshot.get(&ServiceRef::Id(*id)).is_some());
        }
        Arc::clone(cells.entry(id).or_default())
    }
}
