//! Instances that leave slowly: nobody sends them anything new, they finish what they have, and when their time is over they are
//! taken out.
//!
//! That an instance drains is in the store; until when is not. A catalog that was restarted, or another one on the same store, gives
//! every draining instance the longest time there is, because the catalog that knows may be gone: an entry that stays too long
//! gets no requests, while one that goes too early cuts some off.

use std::{collections::HashMap, sync::Arc, time::Duration};

use catalog_api::{Service, ServiceId, ServiceRef, Status};
use database::{Command, Expect, WriteError};
use parking_lot::Mutex;
use service_kit::shutdown::Shutdown;
use tokio::{sync::Notify, time::Instant};

use crate::{follower::chain, lease::Key, registry::Registry};

/// Longest drain.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(10 * 60);

/// Pause before another try, after the service changed while its instance was taken out, and after the store could not be written.
const CHANGED_RETRY: Duration = Duration::from_millis(20);
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Until when each draining instance has.
#[derive(Default)]
pub(crate) struct Drains {
    ends: Mutex<Ends>,
    /// Rings when there is another end.
    changed: Notify,
}

#[derive(Default)]
struct Ends(HashMap<Key, Instant>);

/// Takes instances out when their time is over, until the stop is asked for.
pub(crate) async fn run(registry: Arc<Registry>, shutdown: Shutdown) {
    let drains = &registry.drains;
    loop {
        let over = drains.ends.lock().over(Instant::now());
        for (key, end) in over {
            let again = take_out(&registry, &key).await;
            let again = again.map(|pause| Instant::now() + pause);
            drains.ends.lock().settle(&key, end, again);
        }
        let changed = drains.changed.notified();
        let next = drains.ends.lock().next();
        let wait = async {
            match next {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown.requested() => return,
            () = wait => {}
            () = changed => {}
        }
    }
}

/// Takes an instance out if it still drains. When that has to be tried again, says after which pause.
async fn take_out(registry: &Registry, key: &Key) -> Option<Duration> {
    let by_id = ServiceRef::Id(key.service);
    let snapshot = registry.live.load();
    let service = &snapshot.get(&by_id)?.service;
    if !drains(service, key) {
        return None;
    }
    let command = Command::DeleteInstance {
        service: by_id,
        id: key.instance.clone(),
        // As it was looked at: it may be registered anew just now.
        expect: Expect::OneOf(vec![service.revision]),
    };
    match registry.write(command).await {
        Ok(committed) => {
            tracing::info!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                revision = committed.revision.0,
                "a drained instance is taken out"
            );
            None
        }
        Err(WriteError::Refused(_)) => Some(CHANGED_RETRY),
        Err(error) => {
            tracing::warn!(
                service = service.name.as_str(),
                instance = key.instance.as_str(),
                error = %chain(&error),
                "cannot take a drained instance out yet"
            );
            Some(STORE_RETRY)
        }
    }
}

fn drains(service: &Service, key: &Key) -> bool {
    let place = service
        .instances
        .binary_search_by(|instance| instance.id.cmp(&key.instance));
    place.is_ok_and(|index| service.instances[index].status == Status::Draining)
}

// === impl Drains ===

impl Drains {
    /// Gives a draining instance so much time from now on.
    pub(crate) fn schedule(&self, key: &Key, time: Duration) {
        self.ends
            .lock()
            .0
            .insert(key.clone(), Instant::now() + time);
        self.changed.notify_one();
    }

    /// Brings the ends in line with a service's instances.
    pub(crate) fn follow(&self, service: &Service) {
        if self.ends.lock().follow(service, Instant::now()) {
            self.changed.notify_one();
        }
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.ends.lock().0.retain(|key, _| key.service != service);
    }
}

// === impl Ends ===

impl Ends {
    /// True when there is a new one.
    fn follow(&mut self, service: &Service, now: Instant) -> bool {
        self.0
            .retain(|key, _| key.service != service.id || drains(service, key));
        let before = self.0.len();
        for instance in &service.instances {
            if instance.status == Status::Draining {
                let key = Key::new(service.id, instance.id.clone());
                self.0.entry(key).or_insert(now + DRAIN_MAX);
            }
        }
        self.0.len() > before
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().min().copied()
    }

    /// Whose time is over. They stay here while they are taken out: to a change in between, one without an end would be one that is
    /// found draining.
    fn over(&self, now: Instant) -> Vec<(Key, Instant)> {
        let over = self.0.iter().filter(|(_, end)| **end <= now);
        over.map(|(key, end)| (key.clone(), *end)).collect()
    }

    /// After an attempt to take out whose time was over at `end`: there is another one, or nothing is left to do; unless somebody gave
    /// more time meanwhile.
    fn settle(&mut self, key: &Key, end: Instant, again: Option<Instant>) {
        if self.0.get(key) != Some(&end) {
            return;
        }
        match again {
            Some(again) => self.0.insert(key.clone(), again),
            None => self.0.remove(key),
        };
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::{Instance, Revision, ServiceSpec, Timestamp};

    use super::*;

    fn service(instances: &[(&str, &str)]) -> Service {
        let spec = ServiceSpec::named("s".parse().unwrap());
        let mut service = Service::new(ServiceId(1), spec, Revision(1), Timestamp::now());
        for (id, status) in instances {
            let json = serde_json::json!({"id": id, "address": "127.0.0.1:1", "status": status});
            let instance: Instance = serde_json::from_value(json).unwrap();
            service.instances.push(instance);
        }
        service
    }

    fn key(id: &str) -> Key {
        Key::new(ServiceId(1), id.parse().unwrap())
    }

    #[test]
    fn whoever_is_found_draining_gets_the_longest_time() {
        let (mut ends, start) = (Ends::default(), Instant::now());
        ends.0.insert(key("a"), start);
        let draining = service(&[("a", "draining"), ("b", "draining"), ("c", "passing")]);
        assert!(ends.follow(&draining, start));
        assert!(!ends.follow(&draining, start + Duration::from_secs(60)));
        assert_eq!(ends.next(), Some(start));
        assert_eq!(ends.over(start), [(key("a"), start)]);
        ends.settle(&key("a"), start, None);
        assert!(ends.over(start + DRAIN_MAX / 2).is_empty());
        let end = start + DRAIN_MAX;
        assert_eq!(ends.over(end), [(key("b"), end)]);
    }

    #[test]
    fn a_change_while_one_is_taken_out_gives_no_more_time() {
        let (mut ends, start) = (Ends::default(), Instant::now());
        ends.0.insert(key("a"), start);
        let draining = service(&[("a", "draining")]);
        assert_eq!(ends.over(start), [(key("a"), start)]);
        assert!(!ends.follow(&draining, start));
        let again = start + CHANGED_RETRY;
        ends.settle(&key("a"), start, Some(again));
        assert_eq!(ends.next(), Some(again));
        // Somebody does.
        ends.0.insert(key("a"), start + DRAIN_MAX);
        ends.settle(&key("a"), again, None);
        assert_eq!(ends.next(), Some(start + DRAIN_MAX));
    }

    #[test]
    fn whoever_drains_no_longer_is_left_alone() {
        let (mut ends, start) = (Ends::default(), Instant::now());
        ends.follow(&service(&[("a", "draining"), ("b", "draining")]), start);
        ends.follow(&service(&[("a", "passing")]), start);
        assert_eq!(ends.next(), None);
    }
}
