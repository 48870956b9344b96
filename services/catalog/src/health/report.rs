//! What is answered about health, and what counts as well.

use std::sync::Arc;

use catalog_api::{
    Address, InstanceId, MinInstances, Revision, Service, ServiceId, ServiceName, Status, Timestamp,
};
use serde::Serialize;

/// How everything is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The worst of the services'.
    status: Verdict,
    /// Revision of the catalog whose instances were asked.
    revision: Revision,
    services: Vec<Arc<ServiceHealth>>,
}

/// How one service is.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceHealth {
    id: ServiceId,
    name: ServiceName,
    status: Verdict,
    /// Revision of the service whose instances were asked.
    pub(super) revision: Revision,
    checked_at: Timestamp,
    min_instances: MinInstances,
    /// Instances that answered and may get requests.
    healthy: usize,
    /// There are fewer of them than `min_instances`.
    breached: bool,
    instances: Vec<InstanceHealth>,
}

/// How one instance is.
#[derive(Debug, Serialize)]
pub(super) struct InstanceHealth {
    pub(super) id: InstanceId,
    pub(super) address: Address,
    /// What the catalog thinks of it; what was found just now follows.
    pub(super) status: Status,
    pub(super) health: Health,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Healthy,
    Unhealthy,
    /// It was not asked in time.
    Unknown,
}

/// From good to bad, so that the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Everyone answers, and they are enough.
    Ok,
    /// Enough answer, but not all.
    Degraded,
    /// Fewer than `min_instances` answer, or none of those there are.
    Failing,
}

// === impl Report ===

impl Report {
    pub(super) fn new(revision: Revision, services: Vec<Arc<ServiceHealth>>) -> Self {
        let worst = services.iter().map(|service| service.status).max();
        Self {
            status: worst.unwrap_or(Verdict::Ok),
            revision,
            services,
        }
    }
}

// === impl ServiceHealth ===

impl ServiceHealth {
    pub(super) fn new(
        service: &Service,
        checked_at: Timestamp,
        instances: Vec<InstanceHealth>,
    ) -> Self {
        // A draining one is leaving: it neither helps nor is missed.
        let counted = || {
            instances
                .iter()
                .filter(|instance| instance.status != Status::Draining)
        };
        let healthy = counted()
            .filter(|instance| instance.health == Health::Healthy)
            .count();
        let breached = healthy < usize::from(service.min_instances.get());
        let status = match counted().count() {
            _ if breached => Verdict::Failing,
            1.. if healthy == 0 => Verdict::Failing,
            all if healthy < all => Verdict::Degraded,
            _ => Verdict::Ok,
        };
        Self {
            id: service.id,
            name: service.name.clone(),
            status,
            revision: service.revision,
            checked_at,
            min_instances: service.min_instances,
            healthy,
            breached,
            instances,
        }
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::ServiceSpec;

    use super::*;

    fn verdict(min_instances: u64, instances: &[(Status, Health)]) -> Verdict {
        let mut spec = ServiceSpec::named("s".parse().unwrap());
        spec.min_instances = min_instances.try_into().unwrap();
        let service = Service::new(ServiceId(1), spec, Revision(1), Timestamp::now());
        let instances = instances.iter().map(|(status, health)| InstanceHealth {
            id: "a".parse().unwrap(),
            address: "127.0.0.1:1".parse().unwrap(),
            status: *status,
            health: *health,
            latency_ms: None,
            reason: None,
        });
        ServiceHealth::new(&service, Timestamp::now(), instances.collect()).status
    }

    #[test]
    fn what_counts_as_well() {
        use Health::{Healthy, Unhealthy, Unknown};
        let (well, ill) = ((Status::Passing, Healthy), (Status::Passing, Unhealthy));
        let unknown = (Status::Suspect, Unknown);
        let leaving = (Status::Draining, Healthy);
        for (least, instances, expected) in [
            (0, &[][..], Verdict::Ok),
            (1, &[], Verdict::Failing),
            (0, &[well], Verdict::Ok),
            (2, &[well, well], Verdict::Ok),
            (2, &[well, ill], Verdict::Failing),
            (1, &[well, ill], Verdict::Degraded),
            (0, &[well, unknown], Verdict::Degraded),
            (0, &[ill, unknown], Verdict::Failing),
            (1, &[well, leaving], Verdict::Ok),
            (2, &[well, leaving], Verdict::Failing),
            (0, &[leaving], Verdict::Ok),
        ] {
            assert_eq!(verdict(least, instances), expected, "{least} {instances:?}");
        }
    }
}
