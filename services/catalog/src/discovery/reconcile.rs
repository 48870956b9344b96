//! Carries a plan out: keeps what is there, takes out what is gone, adds what is new with what a first probe says about it.

use std::sync::Arc;

use catalog_api::{InstanceId, InstanceSpec, Service, Source, Status};
use database::{Found, LeaseTerms, Outcome, Refusal, WriteError};
use futures_util::{StreamExt as _, stream};

use super::{plan::Plan, report::Done};
use crate::{lease::Key, probe::Prober, registry::Registry};

/// Most questions and writes at the same time. Writes that wait together are committed together.
const AT_ONCE: usize = 128;

/// Most instances that are added before leases are renewed again.
const ADDED_AT_ONCE: usize = 512;

/// Brings services in line with what was found.
pub(super) struct Reconciler {
    pub(super) registry: Arc<Registry>,
    pub(super) prober: Prober,
}

/// How far it came.
pub(super) struct Reconciled {
    pub(super) done: Done,
    /// There is more to add.
    pub(super) is_unfinished: bool,
}

// === impl Reconciler ===

impl Reconciler {
    pub(super) async fn reconcile(
        &self,
        service: &Service,
        source: Source,
        plan: Plan,
    ) -> Result<Reconciled, WriteError> {
        let mut done = Done {
            registered: plan.elsewhere,
            ..Done::default()
        };
        let is_there = |id: &InstanceId| service.instances.iter().any(|found| found.id == *id);
        let (known, mut new): (Vec<_>, Vec<_>) =
            plan.put.into_iter().partition(|(id, _)| is_there(id));
        // Those that are there first: their leases run.
        self.put(service, source, known, &mut done).await?;
        for (id, terms) in plan.doubled {
            self.take_out(service, id, terms, &mut done).await?;
        }
        for (id, terms) in plan.gone {
            let key = Key::new(service.id, id.clone());
            match self.registry.leases.is_unheard(&key, &terms).await {
                Ok(true) => self.take_out(service, id, terms, &mut done).await?,
                Ok(false) => done.leaving.push(id),
                Err(error) => return Err(error.into()),
            }
        }
        let is_unfinished = new.len() > ADDED_AT_ONCE;
        new.truncate(ADDED_AT_ONCE);
        self.put(service, source, new, &mut done).await?;
        Ok(Reconciled {
            done,
            is_unfinished,
        })
    }

    async fn put(
        &self,
        service: &Service,
        source: Source,
        instances: Vec<(InstanceId, InstanceSpec)>,
        done: &mut Done,
    ) -> Result<(), WriteError> {
        let putting = instances
            .into_iter()
            .map(|(id, spec)| self.put_one(service, source, id, spec));
        let mut putting = stream::iter(putting).buffered(AT_ONCE);
        while let Some(put) = putting.next().await {
            match put {
                Ok((id, Outcome::Created)) => done.added.push(id),
                Ok(_) => {}
                // Deleted meanwhile; if it is still wanted, it is made again the next time.
                Err(WriteError::Refused(Refusal::UnknownService(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn put_one(
        &self,
        service: &Service,
        source: Source,
        id: InstanceId,
        spec: InstanceSpec,
    ) -> Result<(InstanceId, Outcome), WriteError> {
        let there = service.instances.iter().find(|found| found.id == id);
        let is_known = there.is_some_and(|there| there.address == spec.address);
        let check = &service.policy.health;
        // Nobody is to get a request before it answered once. What is there already is asked by those whose task that is.
        let status = if is_known || self.prober.answers(&spec.address, check).await {
            Status::Passing
        } else {
            Status::Critical
        };
        let found = Found {
            spec,
            source,
            status,
        };
        let key = Key::new(service.id, id);
        let outcome = self.registry.put_found(&key, found).await?;
        if outcome == Outcome::Created {
            tracing::info!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                source = source.as_str(),
                status = status.as_str(),
                "an instance was discovered"
            );
        }
        Ok((key.instance, outcome))
    }

    async fn take_out(
        &self,
        service: &Service,
        id: InstanceId,
        terms: LeaseTerms,
        done: &mut Done,
    ) -> Result<(), WriteError> {
        let key = Key::new(service.id, id);
        if self.registry.take_out_found(&key, terms).await?.changed() {
            tracing::info!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                "an instance is not to be discovered any more; it is taken out"
            );
            done.removed.push(key.instance);
        }
        Ok(())
    }
}
