//! What a snapshot is made of besides the catalog's data: known endpoints, resolved names, the operator's routes, metric handles.

use std::{net::SocketAddr, sync::Arc};

use catalog_api::{Address, Host, Instance, RouteSpec, Service};

use super::resolver::HostAddresses;
use crate::{
    metrics::GatewayMetrics,
    route::{Owner, Route, RouteTable, Target},
    upstream::{Carried, EndpointKey, Endpoints, Member, Pool},
};

/// Owned by the one task that builds snapshots.
pub struct Materials {
    /// Endpoints by identity.
    pub endpoints: Endpoints,
    /// Addresses of host names, as far as they are known.
    pub hosts: HostAddresses,
    /// Routes of `gateway.toml`, in its order.
    pub file_routes: Vec<FileRoute>,
    /// Where handles come from.
    pub metrics: Arc<GatewayMetrics>,
}

/// A route of `gateway.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRoute {
    /// Label in metrics and logs.
    pub name: Arc<str>,
    /// What it matches.
    pub spec: RouteSpec,
    /// What answers.
    pub target: Target,
}

// === impl Materials ===

impl Materials {
    /// The pool of a service. Instances whose host name has no known address yet are left out; they come with the address.
    pub fn pool(&mut self, service: &Service, carried: Option<&Carried>) -> Pool {
        let members = service
            .instances
            .iter()
            .flat_map(|instance| {
                self.addresses(&instance.address)
                    .into_iter()
                    .map(move |address| (instance, address))
            })
            .collect::<Vec<(&Instance, SocketAddr)>>()
            .into_iter()
            .map(|(instance, address)| {
                let check = &service.policy.health;
                let key = EndpointKey::new(service.name.clone(), address, &check.probe);
                Member {
                    instance: instance.id.clone(),
                    weight: instance.weight.get(),
                    status: instance.status,
                    endpoint: self.endpoints.intern(key, check),
                }
            })
            .collect();
        let carried = carried
            .cloned()
            .unwrap_or_else(|| Carried::new(self.metrics.service(&service.name)))
            .under(&service.name, &service.policy);
        Pool::new(
            service.name.clone(),
            service.id,
            service.policy.clone(),
            members,
            carried,
        )
    }

    /// The table of the operator's routes and of those that services declare.
    pub fn routes<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) -> RouteTable {
        let from_file = self
            .file_routes
            .iter()
            .enumerate()
            .map(|(position, route)| {
                let name = Arc::clone(&route.name);
                let metrics = self.metrics.route(&name);
                Arc::new(Route::new(
                    name,
                    &route.spec,
                    route.target.clone(),
                    Owner::File(position),
                    metrics,
                ))
            });
        let from_services = services.flat_map(|service| {
            service.routes.iter().map(|spec| {
                let name: Arc<str> = label(service, spec).into();
                let metrics = self.metrics.route(&name);
                let target = Target::declared_by(&service.name, spec);
                Arc::new(Route::new(
                    name,
                    spec,
                    target,
                    Owner::Service(service.id),
                    metrics,
                ))
            })
        });
        RouteTable::new(from_file.chain(from_services).collect())
    }

    fn addresses(&self, address: &Address) -> Vec<SocketAddr> {
        match address.host() {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, address.port())],
            Host::Name(name) => self
                .hosts
                .get(name)
                .iter()
                .map(|ip| SocketAddr::new(*ip, address.port()))
                .collect(),
        }
    }
}

/// A name that a person recognises, and that two routes of one service share only when they match the same host and path.
fn label(service: &Service, spec: &RouteSpec) -> String {
    match &spec.host {
        Some(host) => format!("{}:{host}{}", service.name, spec.path),
        None => format!("{}:{}", service.name, spec.path),
    }
}
