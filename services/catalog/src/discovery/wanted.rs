//! What all sources together want to be in the catalog, service by service, as a function of what they know.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use catalog_api::{
    Address, Host, Instance, InstanceId, InstanceSpec, Invalid, Metadata, Service, ServiceName,
    ServiceRef, ServiceSpec, Source, Weight,
};

use super::{file::WatchedFile, found_ttl, instance_id, watched::WatchedName};
use crate::snapshot::Snapshot;

/// What one source wants of one service.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) source: Source,
    pub(super) service: ServiceName,
    /// How the service is declared where it is not there; none = the source no longer has it.
    pub(super) spec: Option<ServiceSpec>,
    pub(super) instances: BTreeMap<InstanceId, InstanceSpec>,
    /// Why that may not be all.
    pub(super) problems: Vec<String>,
}

/// Everything that is wanted.
pub(super) fn everything(
    names: &[WatchedName],
    file: Option<&WatchedFile>,
    snapshot: &Snapshot,
) -> Vec<Wanted> {
    let mut wanted = by_names(names, snapshot);
    if let Some(file) = file {
        wanted.extend(by_file(file, snapshot));
    }
    wanted
}

fn by_names(names: &[WatchedName], snapshot: &Snapshot) -> Vec<Wanted> {
    let mut services: BTreeMap<&ServiceName, Vec<&WatchedName>> = BTreeMap::new();
    for name in names {
        services.entry(&name.target.service).or_default().push(name);
    }
    let mut all = Vec::new();
    for (service, names) in services {
        let mut wanted = Wanted {
            source: Source::Dns,
            service: service.clone(),
            spec: Some(ServiceSpec::named(service.clone())),
            instances: BTreeMap::new(),
            problems: Vec::new(),
        };
        for name in &names {
            let problem = name.problem();
            let problem = problem.map(|problem| format!("{}: {problem}", name.target));
            wanted.problems.extend(problem);
            let found = name.addresses().filter_map(|ip| {
                let address = SocketAddr::new(ip, name.target.address.port());
                // Addresses of no single machine (0.0.0.0, multicast) are no instances.
                discovered(&address.to_string().parse().ok()?).ok()
            });
            wanted.instances.extend(found);
        }
        if let Some(entry) = snapshot.get(&ServiceRef::Name(service.clone())) {
            let kept = entry.service.instances.iter();
            let kept = kept.filter(|instance| may_have(&names, instance));
            wanted
                .instances
                .extend(kept.filter_map(|kept| discovered(&kept.address).ok()));
        }
        all.push(wanted);
    }
    all
}

/// Whether an instance that was found before may still be there, because one of the names could not be asked since the start.
fn may_have(names: &[&WatchedName], instance: &Instance) -> bool {
    let Host::Ip(ip) = *instance.address.host() else {
        return false;
    };
    let same_port = |name: &&&WatchedName| name.target.address.port() == instance.address.port();
    instance.source == Some(Source::Dns)
        && names.iter().filter(same_port).any(|name| name.may_have(ip))
}

fn discovered(address: &Address) -> Result<(InstanceId, InstanceSpec), Invalid> {
    let spec = InstanceSpec {
        address: address.clone(),
        ttl: Some(found_ttl()?),
        weight: Weight::default(),
        zone: None,
        metadata: Metadata::default(),
    };
    Ok((instance_id("dns", address)?, spec))
}

fn by_file(file: &WatchedFile, snapshot: &Snapshot) -> Vec<Wanted> {
    let declared = file.services.iter().map(|(name, declared)| Wanted {
        source: Source::File,
        service: name.clone(),
        spec: Some(declared.spec.clone()),
        instances: declared.instances.clone(),
        problems: Vec::new(),
    });
    let dropped = snapshot
        .entries()
        .map(|entry| &entry.service)
        .filter(|service| is_of_a_file(service) && !file.services.contains_key(&service.name))
        .map(|service| Wanted {
            source: Source::File,
            service: service.name.clone(),
            spec: None,
            instances: BTreeMap::new(),
            problems: Vec::new(),
        });
    declared.chain(dropped).collect()
}

fn is_of_a_file(service: &Service) -> bool {
    let of_a_file = |instance: &Instance| instance.source == Some(Source::File);
    service.source == Some(Source::File) || service.instances.iter().any(of_a_file)
}

// === impl Wanted ===

impl Wanted {
    /// What was found, without names.
    pub(super) fn addresses(&self) -> Vec<Address> {
        let addresses = self.instances.values().map(|spec| spec.address.clone());
        addresses.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
