//! What happens when a lease runs out: the instance is asked at once. No answer: evicted. An answer: suspect, and asked again until
//! it renews or dies. When many run out together, silence has to be confirmed.

use std::{sync::Arc, time::Duration};

use catalog_api::{HealthCheck, Instance, ServiceRef, Status};
use database::{Command, LeaseTerms, WriteError};
use parking_lot::Mutex;
use service_kit::shutdown::Shutdown;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{Due, expiry_window::ExpiryWindow};
use crate::{
    follower::chain,
    metrics::{CatalogMetrics, Expiration},
    probe::Prober,
    registry::Registry,
};

/// Most questions at the same time.
const PROBES_MAX: usize = 64;

/// Pause between the two questions of a mass expiry.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Pause before a decision is tried again that the store could not take.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Looks after the leases.
pub(crate) struct Keeper {
    registry: Arc<Registry>,
    metrics: Arc<CatalogMetrics>,
    prober: Prober,
    probes: Semaphore,
    window: Mutex<ExpiryWindow>,
}

// === impl Keeper ===

impl Keeper {
    pub(crate) fn new(registry: Arc<Registry>, metrics: Arc<CatalogMetrics>) -> Self {
        Self {
            registry,
            metrics,
            prober: Prober::new(),
            probes: Semaphore::new(PROBES_MAX),
            window: Mutex::default(),
        }
    }

    /// Keeps the leases until the stop is asked for. Then nothing expires any more: clients cannot renew either.
    pub(crate) async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let leases = &self.registry.leases;
        let mut looks = JoinSet::new();
        loop {
            let due = leases.take_due();
            self.note(due.iter().filter(|due| due.expired).count());
            for due in due {
                let keeper = Arc::clone(&self);
                looks.spawn(async move { keeper.look(&due).await });
            }
            tokio::select! {
                () = shutdown.requested() => break,
                () = leases.due() => {}
                Some(_) = looks.join_next() => {}
            }
        }
        looks.shutdown().await;
    }

    fn note(&self, expired: usize) {
        let leases = self.registry.leases.len();
        let mut window = self.window.lock();
        if window.add(expired, leases, Instant::now()) {
            tracing::warn!(
                expired = window.len(),
                leases,
                "many leases ran out together; instances are evicted only after two failed probes"
            );
        }
    }

    async fn look(&self, due: &Due) {
        let Some((instance, check)) = self.find(due) else {
            self.registry.leases.end(due);
            return;
        };
        let mut alive = self.ask(&instance, &check).await;
        if !alive && self.is_mass() {
            tokio::time::sleep(SECOND_LOOK).await;
            alive = self.ask(&instance, &check).await;
        }
        // From here to the end of the decision nobody registers this instance.
        let _turn = self.registry.leases.turn(&due.key).await;
        let Some(terms) = self.registry.leases.terms(due) else {
            // Renewed, changed or deleted while it was asked: that is newer than what was found.
            return;
        };
        let decided = if alive {
            self.suspect(due, &instance, &check).await
        } else {
            self.evict(due, terms).await
        };
        if let Err(error) = decided {
            tracing::warn!(
                service.id = due.key.service.0,
                instance = due.key.instance.as_str(),
                error = %chain(&error),
                "cannot store what became of an instance whose lease ran out"
            );
            self.registry.leases.look_again(due, STORE_RETRY);
        }
    }

    /// The instance as it is published; its leases are never older than that.
    fn find(&self, due: &Due) -> Option<(Instance, HealthCheck)> {
        let snapshot = self.registry.live.load();
        let service = &snapshot.get(&ServiceRef::Id(due.key.service))?.service;
        let index = service
            .instances
            .binary_search_by(|instance| instance.id.cmp(&due.key.instance))
            .ok()?;
        let instance = service.instances[index].clone();
        Some((instance, service.policy.health.clone()))
    }

    async fn ask(&self, instance: &Instance, check: &HealthCheck) -> bool {
        // The semaphore is never closed; without a permit the question is asked all the same.
        let _permit = self.probes.acquire().await.ok();
        self.prober.answers(&instance.address, check).await
    }

    fn is_mass(&self) -> bool {
        let leases = self.registry.leases.len();
        self.window.lock().is_mass(leases, Instant::now())
    }

    async fn suspect(
        &self,
        due: &Due,
        instance: &Instance,
        check: &HealthCheck,
    ) -> Result<(), WriteError> {
        if instance.status == Status::Passing {
            self.registry
                .write(Command::SetStatus {
                    service: due.key.service,
                    id: due.key.instance.clone(),
                    status: Status::Suspect,
                    only_if: Status::Passing,
                })
                .await?;
        }
        if due.expired {
            self.metrics.lease_expired(Expiration::Suspect);
            tracing::warn!(
                service.id = due.key.service.0,
                instance = due.key.instance.as_str(),
                "a lease ran out but the instance answers; it is suspect"
            );
        }
        self.registry.leases.look_again(due, check.interval.get());
        Ok(())
    }

    async fn evict(&self, due: &Due, terms: LeaseTerms) -> Result<(), WriteError> {
        let committed = self
            .registry
            .write(Command::Evict {
                service: due.key.service,
                id: due.key.instance.clone(),
                only_if: terms,
            })
            .await?;
        self.registry.leases.end(due);
        if committed.outcome.changed() {
            self.metrics.lease_expired(Expiration::Evicted);
            tracing::warn!(
                service.id = due.key.service.0,
                instance = due.key.instance.as_str(),
                revision = committed.revision.0,
                "a lease ran out and the instance does not answer; it is evicted"
            );
        }
        Ok(())
    }
}
