//! What happens when a lease runs out: the instance is asked at once. No answer: evicted. An answer: suspect, and asked again until
//! it renews or dies. When many run out together, silence has to be confirmed, and when nobody at all is heard of, nobody is evicted. With a shared store the other catalogs' notes are read
//! before anybody is asked, and again before anything is decided.

use std::{sync::Arc, time::Duration};

use catalog_api::{HealthCheck, Instance, ServiceRef, Status};
use database::{Command, LeaseTerms, StoreError, WriteError};
use parking_lot::Mutex;
use service_kit::shutdown::Shutdown;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    Due, Key,
    expiry_window::{ExpiryWindow, FEW},
    sharing::Sharing,
};
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

/// How long somebody else's sign of life is waited for before one is called dead who may be the first of many. Shorter than the window
/// in which many are a mass.
const EARSHOT: Duration = Duration::from_secs(4);

/// Pause before a decision is tried again that the store could not take.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// With a shared store: how long leases that run out are gathered for one look at the notes of the others.
const GATHER: Duration = Duration::from_millis(50);

/// Shortest extension of a lease; below, a note that is as old as the lease would be read again and again.
const EXTENSION_MIN: Duration = Duration::from_millis(20);

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
            match &leases.sharing {
                _ if due.is_empty() => {}
                None => self.begin(due, &mut looks),
                Some(sharing) => {
                    let (keeper, sharing) = (Arc::clone(&self), Arc::clone(sharing));
                    looks.spawn(async move { keeper.unheard(due, &sharing).await });
                    tokio::time::sleep(GATHER).await;
                }
            }
            tokio::select! {
                () = shutdown.requested() => break,
                () = leases.due() => {}
                // Whoever panicked has no result, and was reported by the panic hook.
                Some(looked) = looks.join_next() => self.begin(looked.unwrap_or_default(), &mut looks),
            }
        }
        looks.shutdown().await;
    }

    /// Begins to look at each of these. A look leaves nothing more to be looked at.
    fn begin(self: &Arc<Self>, due: Vec<Due>, looks: &mut JoinSet<Vec<Due>>) {
        self.note(due.iter().filter(|due| due.expired).count());
        for due in due {
            let keeper = Arc::clone(self);
            looks.spawn(async move {
                keeper.look(&due).await;
                Vec::new()
            });
        }
    }

    /// Those of whom no other catalog has heard. The others get the rest of their time.
    async fn unheard(&self, due: Vec<Due>, sharing: &Sharing) -> Vec<Due> {
        let keys: Vec<Key> = due.iter().map(|due| due.key.clone()).collect();
        let ages = sharing.ages(&keys).await;
        let leases = &self.registry.leases;
        let ages = match ages {
            Ok(ages) if !leases.is_suspended() => ages,
            _ => {
                for due in &due {
                    self.postpone(due);
                }
                return Vec::new();
            }
        };
        due.into_iter()
            .zip(ages)
            .filter(|(due, age)| match leases.terms(due) {
                Some(terms) => !self.extended(due, &terms, *age),
                None => false,
            })
            .map(|(due, _)| due)
            .collect()
    }

    /// Extends a lease that was renewed elsewhere. False when it was not.
    fn extended(&self, due: &Due, terms: &LeaseTerms, age: Option<Duration>) -> bool {
        let ttl = terms.ttl.map_or(Duration::MAX, |ttl| ttl.get());
        match age {
            Some(age) if age < ttl => {
                let rest = (ttl - age).max(EXTENSION_MIN);
                // Somebody can be reached from somewhere, so silence means something.
                self.registry.leases.heard();
                self.registry.leases.extend(due, rest);
                true
            }
            _ => false,
        }
    }

    /// The store cannot be asked who renewed, so nobody is called dead.
    fn postpone(&self, due: &Due) {
        let leases = &self.registry.leases;
        if let Some(ttl) = leases.terms(due).and_then(|terms| terms.ttl) {
            leases.extend(due, ttl.get());
        }
    }

    /// Whether another catalog heard of it while it was asked.
    async fn heard_meanwhile(&self, due: &Due, terms: &LeaseTerms) -> Result<bool, StoreError> {
        let Some(sharing) = &self.registry.leases.sharing else {
            return Ok(false);
        };
        let ages = sharing.ages(std::slice::from_ref(&due.key)).await?;
        Ok(self.extended(due, terms, ages.into_iter().next().flatten()))
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
        let began = Instant::now();
        let mut alive = self.ask(&instance, &check).await;
        if !alive && self.is_mass() {
            tokio::time::sleep(SECOND_LOOK).await;
            alive = self.ask(&instance, &check).await;
        }
        if alive {
            self.registry.leases.heard();
        }
        let keeps = match alive {
            // Nobody renews what nobody finds any more. It had another lease's time to be found again.
            true => instance.source.is_none() || due.expired,
            false => self.is_cut_off(due, began).await,
        };
        // From here to the end of the decision nobody registers this instance.
        let _turn = self.registry.leases.turn(&due.key).await;
        let Some(terms) = self.registry.leases.terms(due) else {
            // Renewed, changed or deleted while it was asked: that is newer than what was found.
            return;
        };
        match self.heard_meanwhile(due, &terms).await {
            Ok(false) if !self.registry.leases.is_suspended() => {}
            Ok(true) => return,
            _ => return self.postpone(due),
        }
        let decided = if keeps {
            self.suspect(due, &instance, &check, alive).await
        } else {
            self.evict(due, terms, alive).await
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

    /// Whether nobody answers because nobody can be reached from here. Then nobody is called dead. With more than a few, who renew all
    /// the time, that shows within seconds.
    async fn is_cut_off(&self, due: &Due, since: Instant) -> bool {
        let leases = &self.registry.leases;
        let hears_nobody = || {
            let heard = *leases.heard.borrow();
            let count = leases.len();
            self.window.lock().is_cut_off(count, heard, Instant::now())
        };
        if hears_nobody() {
            return true;
        }
        if !due.expired || leases.len() <= FEW {
            return false;
        }
        // Whether it heard anybody is looked at after that.
        drop(timeout(EARSHOT, leases.hears_somebody(since)).await);
        hears_nobody()
    }

    async fn suspect(
        &self,
        due: &Due,
        instance: &Instance,
        check: &HealthCheck,
        answers: bool,
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
                answers,
                "a lease ran out; the instance is suspect: it answers, or nobody does"
            );
        }
        let pause = match (instance.source, instance.ttl) {
            (Some(_), Some(ttl)) => ttl.get(),
            _ => check.interval.get(),
        };
        self.registry.leases.look_again(due, pause);
        Ok(())
    }

    async fn evict(&self, due: &Due, terms: LeaseTerms, alive: bool) -> Result<(), WriteError> {
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
                answers = alive,
                "a lease ran out; the instance is evicted"
            );
        }
        Ok(())
    }
}
