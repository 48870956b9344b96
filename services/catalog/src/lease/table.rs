//! The table of leases: pure bookkeeping over given times.

use std::collections::{BTreeMap, HashMap};

use catalog_api::{InstanceId, Service, ServiceId, Status};
use database::LeaseTerms;
use tokio::time::Instant;

use super::{Due, Key};

/// Leases by instance and by deadline.
#[derive(Default)]
pub(super) struct Table {
    leases: HashMap<ServiceId, HashMap<InstanceId, Lease>>,
    /// Generations are unique, so they tell equal deadlines apart.
    due: BTreeMap<(Instant, u64), Key>,
    generation: u64,
    count: usize,
}

struct Lease {
    terms: LeaseTerms,
    generation: u64,
    /// When it needs a look; none while somebody looks.
    due: Option<Instant>,
    suspect: bool,
}

// === impl Table ===

impl Table {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn follow(&mut self, service: &Service, now: Instant) {
        let gone: Vec<InstanceId> = self
            .leases
            .get(&service.id)
            .into_iter()
            .flat_map(HashMap::keys)
            .filter(|id| {
                let place = service
                    .instances
                    .binary_search_by(|instance| instance.id.cmp(id));
                place.map_or(true, |index| service.instances[index].ttl.is_none())
            })
            .cloned()
            .collect();
        for id in gone {
            self.remove(&Key::new(service.id, id));
        }
        for instance in &service.instances {
            let key = Key::new(service.id, instance.id.clone());
            let terms = LeaseTerms::of(instance);
            // A suspect one that passes again renewed with another catalog, or is about to be held here anyway.
            let passes = instance.status == Status::Passing;
            let as_known = |lease: &Lease| lease.terms == terms && !(lease.suspect && passes);
            if terms.ttl.is_some() && !self.get(&key).is_some_and(as_known) {
                self.hold(&key, terms, now);
            }
        }
    }

    pub(super) fn forget(&mut self, service: ServiceId) {
        for lease in self
            .leases
            .remove(&service)
            .unwrap_or_default()
            .into_values()
        {
            self.count -= 1;
            if let Some(at) = lease.due {
                self.due.remove(&(at, lease.generation));
            }
        }
    }

    pub(super) fn renew(&mut self, key: &Key, terms: &LeaseTerms, now: Instant) -> bool {
        let known = self.get(key).is_some_and(|lease| lease.terms == *terms);
        if known {
            self.hold(key, terms.clone(), now);
        }
        known
    }

    pub(super) fn hold(&mut self, key: &Key, terms: LeaseTerms, now: Instant) {
        self.remove(key);
        let Some(ttl) = terms.ttl else {
            return;
        };
        self.generation += 1;
        let at = now + ttl.get();
        let lease = Lease {
            terms,
            generation: self.generation,
            due: Some(at),
            suspect: false,
        };
        self.due.insert((at, lease.generation), key.clone());
        self.leases
            .entry(key.service)
            .or_default()
            .insert(key.instance.clone(), lease);
        self.count += 1;
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Due> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first_entry()
            && first.key().0 <= now
        {
            let ((_, generation), key) = first.remove_entry();
            if let Some(lease) = self.get_mut(&key) {
                lease.due = None;
                taken.push(Due {
                    expired: !lease.suspect,
                    generation,
                    key,
                });
            }
        }
        taken
    }

    pub(super) fn terms(&self, due: &Due) -> Option<LeaseTerms> {
        self.get(&due.key)
            .filter(|lease| lease.generation == due.generation)
            .map(|lease| lease.terms.clone())
    }

    pub(super) fn look_again(&mut self, due: &Due, at: Instant) {
        if let Some(lease) = self.get_mut(&due.key)
            && lease.generation == due.generation
            && lease.due.is_none()
        {
            lease.suspect = true;
            lease.due = Some(at);
            self.due.insert((at, due.generation), due.key.clone());
        }
    }

    pub(super) fn extend(&mut self, due: &Due, at: Instant) {
        self.look_again(due, at);
        if let Some(lease) = self.get_mut(&due.key)
            && lease.generation == due.generation
        {
            lease.suspect = false;
        }
    }

    /// Gives every lease its full time. Who looks at one now finds that it is another.
    pub(super) fn start_over(&mut self, now: Instant) {
        let all: Vec<(Key, LeaseTerms)> = self
            .leases
            .iter()
            .flat_map(|(service, instances)| {
                let key = |id: &InstanceId| Key::new(*service, id.clone());
                instances
                    .iter()
                    .map(move |(id, lease)| (key(id), lease.terms.clone()))
            })
            .collect();
        for (key, terms) in all {
            self.hold(&key, terms, now);
        }
    }

    pub(super) fn end(&mut self, due: &Due) {
        if self.terms(due).is_some() {
            self.remove(&due.key);
        }
    }

    fn get(&self, key: &Key) -> Option<&Lease> {
        self.leases.get(&key.service)?.get(&key.instance)
    }

    fn get_mut(&mut self, key: &Key) -> Option<&mut Lease> {
        self.leases.get_mut(&key.service)?.get_mut(&key.instance)
    }

    fn remove(&mut self, key: &Key) {
        let Some(instances) = self.leases.get_mut(&key.service) else {
            return;
        };
        let removed = instances.remove(&key.instance);
        if instances.is_empty() {
            self.leases.remove(&key.service);
        }
        if let Some(lease) = removed {
            self.count -= 1;
            if let Some(at) = lease.due {
                self.due.remove(&(at, lease.generation));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use catalog_api::{Instance, Revision, ServiceSpec, Timestamp};

    use super::*;

    fn terms(port: u16, ttl: Option<&str>) -> LeaseTerms {
        LeaseTerms {
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            ttl: ttl.map(|ttl| ttl.parse().unwrap()),
            source: None,
        }
    }

    fn key(id: &str) -> Key {
        Key::new(ServiceId(1), id.parse().unwrap())
    }

    fn service(instances: &[(&str, u16, Option<&str>)]) -> Service {
        let spec = ServiceSpec::named("s".parse().unwrap());
        let mut service = Service::new(ServiceId(1), spec, Revision(1), Timestamp::now());
        for (id, port, ttl) in instances {
            let LeaseTerms { address, ttl, .. } = terms(*port, *ttl);
            let json = serde_json::json!({ "id": id, "address": address, "ttl": ttl });
            let instance: Instance = serde_json::from_value(json).unwrap();
            service.instances.push(instance);
        }
        service
    }

    fn taken(table: &mut Table, now: Instant) -> Vec<(String, bool)> {
        let due = table.take_due(now).into_iter();
        due.map(|due| (due.key.instance.to_string(), due.expired))
            .collect()
    }

    #[test]
    fn a_lease_is_given_out_once_and_again_only_as_suspect() {
        let (mut table, start) = (Table::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        table.hold(&key("a"), terms(1, Some("5s")), start);
        assert!(taken(&mut table, later(4)).is_empty());
        let due = table.take_due(later(5)).remove(0);
        assert!(due.expired && table.take_due(later(60)).is_empty());
        table.look_again(&due, later(7));
        assert_eq!(taken(&mut table, later(7)), [("a".to_owned(), false)]);
    }

    #[test]
    fn a_renewal_makes_an_older_look_void() {
        let (mut table, start) = (Table::default(), Instant::now());
        table.hold(&key("a"), terms(1, Some("5s")), start);
        let due = table.take_due(start + Duration::from_secs(5)).remove(0);
        assert!(table.terms(&due).is_some());
        assert!(table.renew(&key("a"), &terms(1, Some("5s")), start));
        assert!(table.terms(&due).is_none());
        table.end(&due);
        table.look_again(&due, start);
        assert_eq!((table.len(), table.due.len()), (1, 1));
        assert!(!table.renew(&key("a"), &terms(2, Some("5s")), start));
        assert!(!table.renew(&key("b"), &terms(1, Some("5s")), start));
    }

    #[test]
    fn following_keeps_known_leases_and_drops_what_is_gone() {
        let (mut table, start) = (Table::default(), Instant::now());
        let later = start + Duration::from_secs(3);
        let first = [("a", 1, Some("5s")), ("b", 2, Some("5s")), ("c", 3, None)];
        table.follow(&service(&first), start);
        assert_eq!(table.len(), 2);
        // "a" is as it was, "b" moved, "c" got a lease.
        let second = [
            ("a", 1, Some("5s")),
            ("b", 9, Some("5s")),
            ("c", 3, Some("5s")),
        ];
        table.follow(&service(&second), later);
        let expired = taken(&mut table, start + Duration::from_secs(5));
        assert_eq!(expired, [("a".to_owned(), true)]);
        table.follow(&service(&[("b", 9, None)]), later);
        assert_eq!((table.len(), table.due.len()), (0, 0));
        table.follow(&service(&second), later);
        table.forget(ServiceId(1));
        assert_eq!((table.len(), table.due.len()), (0, 0));
    }

    #[test]
    fn more_time_makes_a_lease_one_that_did_not_run_out() {
        let (mut table, start) = (Table::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        table.hold(&key("a"), terms(1, Some("5s")), start);
        let due = table.take_due(later(5)).remove(0);
        table.look_again(&due, later(6));
        let due = table.take_due(later(6)).remove(0);
        table.extend(&due, later(9));
        assert!(taken(&mut table, later(8)).is_empty());
        assert_eq!(taken(&mut table, later(9)), [("a".to_owned(), true)]);
    }

    #[test]
    fn starting_over_gives_full_time_and_makes_looks_void() {
        let (mut table, start) = (Table::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        table.hold(&key("a"), terms(1, Some("5s")), start);
        table.hold(&key("b"), terms(2, Some("9s")), start);
        let due = table.take_due(later(5)).remove(0);
        table.start_over(later(8));
        assert!(table.terms(&due).is_none());
        assert!(taken(&mut table, later(12)).is_empty());
        assert_eq!(taken(&mut table, later(17)).len(), 2);
    }

    #[test]
    fn who_passes_again_elsewhere_has_a_full_lease_here() {
        let (mut table, start) = (Table::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        let passing = service(&[("a", 1, Some("5s"))]);
        let mut suspect = passing.clone();
        suspect.instances[0].status = Status::Suspect;
        table.follow(&passing, start);
        let due = table.take_due(later(5)).remove(0);
        table.look_again(&due, later(6));
        table.follow(&suspect, later(5));
        assert_eq!(taken(&mut table, later(6)), [("a".to_owned(), false)]);
        table.follow(&passing, later(7));
        assert!(taken(&mut table, later(11)).is_empty());
        assert_eq!(taken(&mut table, later(12)), [("a".to_owned(), true)]);
    }
}
