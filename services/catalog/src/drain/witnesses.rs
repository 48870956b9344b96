//! Who may send requests to an instance, and what all of them say: gateways by their receipts, this catalog and the others of its store
//! by their own calls, and readers of streams who say nothing.

use std::{sync::Arc, time::Duration};

use catalog_api::draining::DRAINING_MAX;
use catalog_api::{InstanceId, OpaqueId, Revision, Service, ServiceName, ServiceRef};
use database::{CallerCount, CallerNote};
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::{Census, Count, Said, Word};
use crate::{calls::Flights, lease::Key, receipts::Receipts, state::Live, watch::Onlookers};

/// See the module.
pub(crate) struct Witnesses {
    live: Arc<Live>,
    receipts: Arc<Receipts>,
    flights: Arc<Flights>,
    onlookers: Arc<Onlookers>,
    own: Own,
    /// Whether there may be other catalogs.
    is_shared: bool,
}

/// Who this catalog is.
struct Own {
    process: OpaqueId,
    /// Its entry in the catalog.
    service: ServiceName,
    instance: InstanceId,
}

// === impl Witnesses ===

impl Witnesses {
    /// `service` and `instance` are the catalog's own entry.
    pub(crate) fn new(
        live: Arc<Live>,
        receipts: Arc<Receipts>,
        (service, instance): (ServiceName, InstanceId),
        is_shared: bool,
    ) -> Self {
        Self {
            live,
            flights: Arc::new(Flights::new(Arc::clone(&receipts))),
            onlookers: Arc::new(Onlookers::new(Arc::clone(&receipts))),
            receipts,
            own: Own {
                process: OpaqueId::new(Uuid::new_v4().as_u128()),
                service,
                instance,
            },
            is_shared,
        }
    }

    /// Whether there may be other catalogs.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    pub(crate) fn flights(&self) -> &Arc<Flights> {
        &self.flights
    }

    pub(crate) fn onlookers(&self) -> &Arc<Onlookers> {
        &self.onlookers
    }

    /// What this process is called before the other catalogs.
    pub(crate) fn process(&self) -> OpaqueId {
        self.own.process
    }

    /// What everybody says about an instance that drains since a revision; `since` is when that became known here.
    pub(super) fn hear(
        &self,
        key: &Key,
        revision: Revision,
        since: Instant,
        now: Instant,
    ) -> Census {
        let snapshot = self.live.load();
        let testimony = self.receipts.testimony(key, revision, since, now);
        let mut words = testimony.words;
        words.push(Word {
            id: self.own.process,
            name: self.own.instance.to_string(),
            said: match self.flights.count(key) {
                Some(count) => Said::Count(Count {
                    in_flight: count.in_flight,
                    finished: count.finished,
                }),
                None => Said::NotYet,
            },
        });
        let entry = snapshot.get(&ServiceRef::Id(key.service));
        let here = entry.map_or(0, |entry| self.onlookers.of(&entry.service));
        Census {
            words,
            onlookers: here + testimony.onlookers,
            strangers: self.strangers(&testimony.catalogs),
            lost: testimony.lost,
            whole_from: testimony.whole_from,
        }
    }

    /// Catalogs that are registered and not heard: of an older release, or just coming or going.
    fn strangers(&self, heard: &[InstanceId]) -> Vec<String> {
        if !self.is_shared {
            return Vec::new();
        }
        let snapshot = self.live.load();
        let entry = snapshot.get(&ServiceRef::Name(self.own.service.clone()));
        let instances = entry.map_or(&[][..], |entry| &entry.service.instances);
        instances
            .iter()
            // Catalogs renew leases; whatever else somebody put there passes no calls on.
            .filter(|instance| instance.ttl.is_some())
            .map(|instance| &instance.id)
            .filter(|id| **id != self.own.instance && !heard.contains(id))
            .map(InstanceId::to_string)
            .collect()
    }

    /// What this catalog has to say to the others.
    pub(crate) fn note(&self) -> CallerNote {
        // In this order: whatever drains in the snapshot may be counted already, but nothing may be said that is older than it.
        let snapshot = self.live.load();
        let mut calls = self.flights.all();
        calls.sort_by(|one, other| {
            (one.service, &one.instance).cmp(&(other.service, &other.instance))
        });
        calls.truncate(DRAINING_MAX);
        let onlookers = |service: &Service| self.onlookers.of(service);
        let now = Instant::now();
        let draining = calls.into_iter().map(|calls| CallerCount {
            departed: self
                .receipts
                .departed(&Key::new(calls.service, calls.instance.clone()), now),
            onlookers: snapshot
                .get(&ServiceRef::Id(calls.service))
                .map_or(0, |entry| onlookers(&entry.service)),
            calls,
        });
        CallerNote {
            catalog: self.own.process,
            name: self.own.instance.clone(),
            revision: snapshot.revision(),
            draining: draining.collect(),
            age: Duration::ZERO,
        }
    }
}
