//! What has to be done so that a service has the instances that a source found, as a pure function of both.

use std::collections::BTreeMap;

use catalog_api::{Address, Instance, InstanceId, InstanceSpec, Service, Source, Status};
use database::{LeaseTerms, found::outranks};

/// The way from what there is to what was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be there, or to stay there.
    pub(super) put: Vec<(InstanceId, InstanceSpec)>,
    /// To go, because the source no longer has them. Other catalogs may see more.
    pub(super) gone: Vec<(InstanceId, LeaseTerms)>,
    /// To go, because somebody else has put the same address there.
    pub(super) doubled: Vec<(InstanceId, LeaseTerms)>,
    /// Found, but put there by somebody else.
    pub(super) elsewhere: Vec<Address>,
}

// === impl Plan ===

impl Plan {
    /// `wanted` is all that the source has of this service.
    pub(super) fn new(
        service: &Service,
        source: Source,
        wanted: BTreeMap<InstanceId, InstanceSpec>,
    ) -> Self {
        let others: BTreeMap<&Address, &InstanceId> = service
            .instances
            .iter()
            .filter(|instance| outranks(instance.source, source))
            .map(|instance| (&instance.address, &instance.id))
            .collect();
        let mut plan = Self::default();
        for instance in &service.instances {
            // One that drains was told to go by somebody, and goes when its time is over.
            let is_mine = instance.source == Some(source) && instance.status != Status::Draining;
            if is_mine && others.contains_key(&instance.address) {
                plan.doubled.push(named(instance));
            } else if is_mine && !wanted.contains_key(&instance.id) {
                plan.gone.push(named(instance));
            }
        }
        for (id, spec) in wanted {
            let there = service.instances.iter().find(|instance| instance.id == id);
            let is_taken = there.is_some_and(|there| there.source != Some(source));
            if is_taken || others.contains_key(&spec.address) {
                plan.elsewhere.push(spec.address);
            } else {
                plan.put.push((id, spec));
            }
        }
        plan
    }
}

fn named(instance: &Instance) -> (InstanceId, LeaseTerms) {
    (instance.id.clone(), LeaseTerms::of(instance))
}

#[cfg(test)]
mod tests {
    use catalog_api::{Revision, ServiceId, ServiceSpec, Timestamp};
    use serde_json::json;

    use super::*;

    /// Instances as `id port source status`.
    fn service(instances: &[(&str, u16, Option<&str>, &str)]) -> Service {
        let spec = ServiceSpec::named("hold".parse().unwrap());
        let mut service = Service::new(ServiceId(7), spec, Revision(1), Timestamp::now());
        for (id, port, source, status) in instances {
            let address = format!("10.0.0.1:{port}");
            let json = json!({ "id": id, "address": address, "source": source, "status": status });
            service
                .instances
                .push(serde_json::from_value(json).unwrap());
        }
        service
    }

    fn plan(source: Source, service: &Service, wanted: &[(&str, u16)]) -> [Vec<String>; 4] {
        let wanted = wanted.iter().map(|(id, port)| {
            let json = json!({ "address": format!("10.0.0.1:{port}") });
            (id.parse().unwrap(), serde_json::from_value(json).unwrap())
        });
        let plan = Plan::new(service, source, wanted.collect());
        let ids =
            |list: &[(InstanceId, LeaseTerms)]| list.iter().map(|(id, _)| id.to_string()).collect();
        [
            plan.put.iter().map(|(id, _)| id.to_string()).collect(),
            ids(&plan.gone),
            ids(&plan.doubled),
            plan.elsewhere
                .iter()
                .map(|address| address.port().to_string())
                .collect(),
        ]
    }

    fn expected(lists: [&[&str]; 4]) -> [Vec<String>; 4] {
        lists.map(|list| list.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn a_source_looks_after_its_own_and_after_nobody_else() {
        let service = service(&[
            ("by-hand", 1, None, "passing"),
            ("d2", 2, Some("dns"), "passing"),
            ("d3", 3, Some("dns"), "critical"),
            ("d4", 4, Some("dns"), "draining"),
            ("f5", 5, Some("file"), "passing"),
        ]);
        let dns = plan(Source::Dns, &service, &[("d2", 2), ("d6", 6)]);
        assert_eq!(dns, expected([&["d2", "d6"], &["d3"], &[], &[]]));
        let file = plan(Source::File, &service, &[]);
        assert_eq!(file, expected([&[], &["f5"], &[], &[]]));
    }

    #[test]
    fn what_was_registered_stands_before_what_is_found() {
        let service = service(&[
            ("by-hand", 1, None, "passing"),
            ("d1", 1, Some("dns"), "passing"),
            ("d5", 5, Some("dns"), "passing"),
            ("f1", 1, Some("file"), "passing"),
            ("f5", 5, Some("file"), "passing"),
        ]);
        let dns = plan(
            Source::Dns,
            &service,
            &[("d1", 1), ("d5", 5), ("by-hand", 9)],
        );
        assert_eq!(dns, expected([&[], &[], &["d1", "d5"], &["9", "1", "5"]]));
        let file = plan(Source::File, &service, &[("f1", 1), ("f5", 5)]);
        assert_eq!(file, expected([&["f5"], &[], &["f1"], &["1"]]));
    }
}
