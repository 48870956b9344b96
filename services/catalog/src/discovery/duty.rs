//! Which catalog asks an instance how it is.
//!
//! Of several catalogs on one store one is to ask: two that can reach different parts of the network would call the same instance
//! `passing` and `critical` in turn. Everybody finds out alone who that is, from the list of catalogs in the catalog, by rendezvous
//! hashing: one that comes or goes moves only its own share. The list is the same everywhere but for moments, in which an instance
//! is asked twice or by nobody.

use std::hash::Hasher as _;

use catalog_api::{InstanceId, ServiceName, ServiceRef, Status};
use siphasher::sip::SipHasher13;

use crate::{lease::Key, snapshot::Snapshot};

/// Who this catalog is.
#[derive(Clone, Debug)]
pub(crate) struct Duty {
    pub(super) service: ServiceName,
    pub(super) own: InstanceId,
}

// === impl Duty ===

impl Duty {
    pub(crate) fn new(service: ServiceName, own: InstanceId) -> Self {
        Self { service, own }
    }

    /// Whether this catalog is the one.
    pub(super) fn has(&self, key: &Key, snapshot: &Snapshot) -> bool {
        let entry = snapshot.get(&ServiceRef::Name(self.service.clone()));
        let instances = entry.map_or(&[][..], |entry| &entry.service.instances);
        // Catalogs renew leases; whatever else somebody put there asks nobody.
        let catalogs = instances
            .iter()
            .filter(|instance| instance.ttl.is_some() && instance.status == Status::Passing)
            .map(|instance| &instance.id);
        // Where no catalog is known, this one is the only one there is.
        let elected = catalogs.max_by_key(|catalog| weight(catalog, key));
        elected.is_none_or(|elected| *elected == self.own)
    }
}

/// The same in every process, whatever it was compiled with.
fn weight(catalog: &InstanceId, key: &Key) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(catalog.as_str().as_bytes());
    hasher.write_u64(key.service.0);
    hasher.write(key.instance.as_str().as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use catalog_api::{Revision, Service, ServiceId, ServiceSpec, Timestamp};
    use serde_json::json;

    use super::*;

    fn snapshot(catalogs: &[(&str, &str, Option<&str>)]) -> Snapshot {
        let spec = ServiceSpec::named("service-catalog".parse().unwrap());
        let mut service = Service::new(ServiceId(2), spec, Revision(1), Timestamp::now());
        for (id, status, ttl) in catalogs {
            let json = json!({ "id": id, "address": "10.0.0.1:1", "status": status, "ttl": ttl });
            service
                .instances
                .push(serde_json::from_value(json).unwrap());
        }
        Snapshot::new(catalog_api::Snapshot {
            revision: Revision(1),
            services: vec![service],
        })
    }

    fn on_duty(snapshot: &Snapshot, catalogs: &[&str], instance: usize) -> Vec<String> {
        let key = Key::new(ServiceId(7), format!("i{instance}").parse().unwrap());
        let has = |catalog: &&&str| {
            let service = "service-catalog".parse().unwrap();
            Duty::new(service, catalog.parse().unwrap()).has(&key, snapshot)
        };
        catalogs
            .iter()
            .filter(has)
            .map(|&catalog| catalog.to_owned())
            .collect()
    }

    #[test]
    fn one_of_them_has_it_and_another_one_when_that_is_gone() {
        let all = ["a", "b", "c"];
        let three = snapshot(&all.map(|id| (id, "passing", Some("10s"))));
        let two = snapshot(&[("a", "passing", Some("10s")), ("b", "passing", Some("10s"))]);
        let mut moved = 0;
        for instance in 0..300 {
            let before = on_duty(&three, &all, instance);
            let after = on_duty(&two, &["a", "b"], instance);
            assert_eq!((before.len(), after.len()), (1, 1));
            match before[0].as_str() {
                "c" => moved += 1,
                _ => assert_eq!(before, after),
            }
        }
        assert!((50..150).contains(&moved), "{moved} of 300");
    }

    #[test]
    fn who_cannot_be_a_catalog_has_no_duty() {
        let strangers = [("a", "passing", None), ("b", "suspect", Some("10s"))];
        assert_eq!(on_duty(&snapshot(&strangers), &["z"], 1), ["z"]);
        let with = [("a", "passing", None), ("z", "passing", Some("10s"))];
        assert_eq!(on_duty(&snapshot(&with), &["a", "z"], 1), ["z"]);
    }
}
