//! Writes, as everyone in this process makes them: requests, leases, the catalog's own entry.
//!
//! Three promises are kept here. Who has an answer finds his write in what he reads next. And a renewed lease is no write: when the
//! instance is as declared and its lease is known, only the deadline moves. And whoever waits for the gateways knows of every write.

use std::{sync::Arc, time::Duration};

use catalog_api::{Instance, InstanceId, InstanceSpec, Revision, Service, ServiceRef, Status};
use database::{
    Command, Committed, Expect, Found, LeaseTerms, Outcome, Refusal, StoreError, WriteError,
    declares, is_as_found,
};
use tokio::time::Instant;

use crate::{
    drain::{Drains, Ending},
    lease::{Key, Leases},
    receipts::Receipts,
    snapshot::Entry,
    state::Live,
    store::ObservedStore,
};

/// How long an answer is held back for its revision to be published. Longer, and the follower is in trouble, not the write.
const PUBLICATION_WAIT_MAX: Duration = Duration::from_secs(2);

/// How often a status may change while it is being changed. More would be a fault.
const DRAIN_TRIES_MAX: usize = 4;

/// The way to the store.
pub(crate) struct Registry {
    pub(crate) store: Arc<ObservedStore>,
    pub(crate) live: Arc<Live>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) drains: Arc<Drains>,
    pub(crate) receipts: Arc<Receipts>,
}

/// Answer to a registration.
pub(crate) struct Registered {
    /// A revision at which the instance is as declared.
    pub(crate) revision: Revision,
    /// What was done; [`Outcome::Unchanged`] when only the lease was renewed.
    pub(crate) outcome: Outcome,
    /// The service with the instance.
    pub(crate) service: Service,
}

// === impl Registry ===

impl Registry {
    /// Writes, and answers when what was written is published.
    pub(crate) async fn write(&self, command: Command) -> Result<Committed, WriteError> {
        let accepted_at = Instant::now();
        let committed = self.store.write(command).await?;
        if committed.outcome != Outcome::Unchanged {
            self.receipts.accepted(committed.revision, accepted_at);
        }
        if !self
            .live
            .reaches(committed.revision, PUBLICATION_WAIT_MAX)
            .await
        {
            tracing::warn!(
                revision = committed.revision.0,
                "a write is answered before it is published"
            );
        }
        Ok(committed)
    }

    /// Registers an instance or renews its lease.
    pub(crate) async fn put_instance(
        &self,
        service: ServiceRef,
        id: InstanceId,
        spec: InstanceSpec,
        expect: Expect,
    ) -> Result<Registered, WriteError> {
        let known = self.known(&service);
        let key = known.map(|entry| Key::new(entry.service.id, id.clone()));
        // Against an eviction that is being decided: it comes whole before this, or not at all.
        let _turn = match &key {
            Some(key) => Some(self.leases.turn(key).await),
            None => None,
        };
        let terms = LeaseTerms::registered(&spec);
        if let Some(key) = &key
            && let Some(renewed) = self.renew(&service, key, &spec, &terms, &expect)
        {
            return Ok(renewed);
        }
        let command = Command::PutInstance {
            service: service.clone(),
            id: id.clone(),
            spec,
            expect,
        };
        let committed = self.write(command).await?;
        // A store that keeps a service after a registration but does not show it would be a fault of the store.
        let service = committed.service.ok_or(Refusal::UnknownService(service))?;
        self.leases.hold(&Key::new(service.id, id), terms);
        Ok(Registered {
            revision: committed.revision,
            outcome: committed.outcome,
            service,
        })
    }

    /// Puts there what discovery found, or renews its lease. [`Outcome::Unchanged`] also when somebody else has that id or address.
    pub(crate) async fn put_found(&self, key: &Key, found: Found) -> Result<Outcome, WriteError> {
        let _turn = self.leases.turn(key).await;
        let terms = LeaseTerms::found(&found);
        let known = self.published(key);
        // How it answers is not discovery's to say again, and one that drains goes on draining.
        let as_found =
            |known: &Instance| known.status != Status::Suspect && is_as_found(&found, known);
        if known.as_ref().is_some_and(as_found) && self.leases.renew(key, &terms) {
            return Ok(Outcome::Unchanged);
        }
        let source = found.source;
        let command = Command::FoundInstance {
            service: key.service,
            id: key.instance.clone(),
            found,
        };
        let committed = self.write(command).await?;
        let service = committed.service.iter();
        let mut instances = service.flat_map(|service| &service.instances);
        if instances.any(|put| put.id == key.instance && put.source == Some(source)) {
            self.leases.hold(key, terms);
        }
        Ok(committed.outcome)
    }

    /// Takes out what discovery found, if it is still as it was.
    pub(crate) async fn take_out_found(
        &self,
        key: &Key,
        only_if: LeaseTerms,
    ) -> Result<Outcome, WriteError> {
        let _turn = self.leases.turn(key).await;
        let command = Command::Evict {
            service: key.service,
            id: key.instance.clone(),
            only_if,
        };
        Ok(self.write(command).await?.outcome)
    }

    /// Takes an instance out.
    pub(crate) async fn delete_instance(
        &self,
        service: ServiceRef,
        id: InstanceId,
        expect: Expect,
    ) -> Result<Committed, WriteError> {
        let key = self
            .known(&service)
            .map(|entry| Key::new(entry.service.id, id.clone()));
        let _turn = match &key {
            Some(key) => Some(self.leases.turn(key).await),
            None => None,
        };
        self.write(Command::DeleteInstance {
            service,
            id,
            expect,
        })
        .await
    }

    /// Has an instance leave slowly: it drains from now on, and is taken out when nobody has requests with it, or after `time`.
    pub(crate) async fn drain_instance(
        &self,
        service: ServiceRef,
        id: InstanceId,
        time: Duration,
    ) -> Result<(Committed, Ending), WriteError> {
        let known = self.known(&service);
        let known = known.ok_or_else(|| Refusal::UnknownService(service.clone()))?;
        let key = Key::new(known.service.id, id);
        let _turn = self.leases.turn(&key).await;
        let mut committed = self.set_draining(&key, Status::Passing).await?;
        for _ in 0..DRAIN_TRIES_MAX {
            let service = committed.service.as_ref();
            let service = service.ok_or_else(|| Refusal::UnknownService(service_ref(&key)))?;
            match service
                .instances
                .iter()
                .find(|found| found.id == key.instance)
            {
                None => {
                    return Err(WriteError::Refused(Refusal::UnknownInstance {
                        service: service.name.clone(),
                        id: key.instance,
                    }));
                }
                Some(instance) if instance.status == Status::Draining => {
                    let since = match committed.outcome {
                        Outcome::Unchanged => Revision::default(),
                        _ => service.revision,
                    };
                    let waiting = self.receipts.waits(Instant::now());
                    let ending = self.drains.schedule(&key, since, time, waiting);
                    return Ok((committed, ending));
                }
                Some(instance) => committed = self.set_draining(&key, instance.status).await?,
            }
        }
        Err(WriteError::Store(StoreError::Busy))
    }

    async fn set_draining(&self, key: &Key, only_if: Status) -> Result<Committed, WriteError> {
        self.write(Command::SetStatus {
            service: key.service,
            id: key.instance.clone(),
            status: Status::Draining,
            only_if,
        })
        .await
    }

    fn published(&self, key: &Key) -> Option<Instance> {
        let service = &self.known(&service_ref(key))?.service;
        let place = service
            .instances
            .binary_search_by(|instance| instance.id.cmp(&key.instance));
        Some(service.instances[place.ok()?].clone())
    }

    fn known(&self, service: &ServiceRef) -> Option<Arc<Entry>> {
        self.live.load().get(service).cloned()
    }

    /// The way without the store. None when the store has to be asked.
    fn renew(
        &self,
        service: &ServiceRef,
        key: &Key,
        spec: &InstanceSpec,
        terms: &LeaseTerms,
        expect: &Expect,
    ) -> Option<Registered> {
        // Without a lease there is no heartbeat that would bring back what another catalog has just taken out, so what is known here is
        // not enough.
        terms.ttl?;
        // Preconditions on revisions are the store's to judge.
        if !matches!(expect, Expect::Anything | Expect::Exists) {
            return None;
        }
        let snapshot = self.live.load();
        let service = &snapshot.get(service)?.service;
        let index = service
            .instances
            .binary_search_by(|instance| instance.id.cmp(&key.instance))
            .ok()?;
        let instance = &service.instances[index];
        let as_declared = instance.status == Status::Passing && declares(spec, instance);
        if !as_declared || !self.leases.renew(key, terms) {
            return None;
        }
        Some(Registered {
            revision: snapshot.revision(),
            outcome: Outcome::Unchanged,
            service: service.clone(),
        })
    }
}

fn service_ref(key: &Key) -> ServiceRef {
    ServiceRef::Id(key.service)
}
