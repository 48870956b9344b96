//! `GET /snapshot`: everything that the present snapshot is made of. Two gateways that heard the same answer the same, whatever their
//! load: health, requests in flight and latency are in `/routes`.

use std::net::SocketAddr;

use catalog_api::Service;
use serde::Serialize;

use super::view::RouteView;
use crate::snapshot::{Refusal, Snapshot};

/// A snapshot, and what of the catalog is not in it.
#[derive(Serialize)]
pub(super) struct State<'a> {
    revision: u64,
    /// In the order in which they are tried.
    routes: Vec<RouteView<'a>>,
    /// As the catalog declares them, in the order of their ids.
    services: Vec<&'a Service>,
    /// What the instances have become: host names are resolved.
    endpoints: Vec<Endpoint<'a>>,
    /// Entries of the catalog that were refused. The last good state of each is among the services.
    rejected: Vec<Rejected<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    service: &'a str,
    instance: &'a str,
    address: SocketAddr,
    weight: u16,
    status: &'static str,
}

#[derive(Serialize)]
struct Rejected<'a> {
    id: Option<u64>,
    name: &'a str,
    reason: &'a str,
}

// === impl State ===

impl<'a> State<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, refused: &'a [Refusal]) -> Self {
        let routes = snapshot.routes().all().iter();
        let endpoints = snapshot.pools().flat_map(|pool| {
            pool.members().iter().map(|member| Endpoint {
                service: pool.service().as_str(),
                instance: member.instance.as_str(),
                address: member.endpoint.address(),
                weight: member.weight,
                status: member.status.as_str(),
            })
        });
        let rejected = refused.iter().map(|refusal| Rejected {
            id: refusal.id.map(|id| id.0),
            name: &refusal.name,
            reason: &refusal.reason,
        });
        Self {
            revision: snapshot.revision().0,
            routes: routes.map(|route| RouteView::of(route)).collect(),
            services: snapshot.services().map(|service| &**service).collect(),
            endpoints: endpoints.collect(),
            rejected: rejected.collect(),
        }
    }
}
