//! Calls that are with instances now. An instance that drains is left when the last one has ended, and gets no new one.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use catalog_api::{DrainCount, Service, ServiceId, Status};
use parking_lot::Mutex;

use crate::{lease::Key, receipts::Receipts};

/// The calls of one catalog.
pub(crate) struct Flights {
    // A lock because a call may begin only while its instance does not drain, which is one step. Held for a look-up.
    counts: Mutex<HashMap<Key, Count>>,
    /// Whoever waits for a drain hears of the calls as of receipts.
    receipts: Arc<Receipts>,
}

/// Of one instance; there while it has calls or drains.
#[derive(Default)]
struct Count {
    in_flight: u64,
    /// Since it drains.
    finished: u64,
    drains: bool,
}

/// A call on its way to an instance. Dropping it is what ends it.
pub(crate) struct Flight {
    flights: Arc<Flights>,
    key: Key,
}

// === impl Flights ===

impl Flights {
    pub(crate) fn new(receipts: Arc<Receipts>) -> Self {
        Self {
            counts: Mutex::default(),
            receipts,
        }
    }

    /// Begins a call; not when the instance drains, which the caller's snapshot may not know.
    pub(crate) fn begin(self: &Arc<Self>, key: Key) -> Option<Flight> {
        {
            let mut counts = self.counts.lock();
            let count = counts.entry(key.clone()).or_default();
            if count.drains {
                return None;
            }
            count.in_flight += 1;
        }
        Some(Flight {
            flights: Arc::clone(self),
            key,
        })
    }

    /// Takes in which instances of a service drain.
    pub(crate) fn follow(&self, service: &Service) {
        let drains = |key: &Key| {
            let place = service
                .instances
                .binary_search_by(|instance| instance.id.cmp(&key.instance));
            place.is_ok_and(|index| service.instances[index].status == Status::Draining)
        };
        let mut is_news = false;
        {
            let mut counts = self.counts.lock();
            counts.retain(|key, count| {
                if key.service == service.id && count.drains && !drains(key) {
                    count.drains = false;
                    count.finished = 0;
                }
                count.drains || count.in_flight > 0
            });
            for instance in &service.instances {
                if instance.status == Status::Draining {
                    let key = Key::new(service.id, instance.id.clone());
                    let count = counts.entry(key).or_default();
                    is_news |= !count.drains;
                    count.drains = true;
                }
            }
        }
        if is_news {
            self.receipts.ring();
        }
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.counts.lock().retain(|key, count| {
            count.drains &= key.service != service;
            count.drains || count.in_flight > 0
        });
    }

    /// What is said about an instance; nothing before it is known to drain.
    pub(crate) fn count(&self, key: &Key) -> Option<DrainCount> {
        let counts = self.counts.lock();
        let count = counts.get(key).filter(|count| count.drains)?;
        Some(count.say(key))
    }

    /// What is said about every instance that drains, in no order.
    pub(crate) fn all(&self) -> Vec<DrainCount> {
        let counts = self.counts.lock();
        let draining = counts.iter().filter(|(_, count)| count.drains);
        draining.map(|(key, count)| count.say(key)).collect()
    }
}

// === impl Count ===

impl Count {
    fn say(&self, key: &Key) -> DrainCount {
        DrainCount {
            service: key.service,
            instance: key.instance.clone(),
            in_flight: self.in_flight,
            finished: self.finished,
        }
    }
}

// === impl Flight ===

impl Drop for Flight {
    fn drop(&mut self) {
        let drains = {
            let mut counts = self.flights.counts.lock();
            let Entry::Occupied(mut entry) = counts.entry(self.key.clone()) else {
                return;
            };
            let count = entry.get_mut();
            count.in_flight -= 1;
            let drains = count.drains;
            if drains {
                count.finished += 1;
            } else if count.in_flight == 0 {
                entry.remove();
            }
            drains
        };
        if drains {
            self.flights.receipts.ring();
        }
    }
}
