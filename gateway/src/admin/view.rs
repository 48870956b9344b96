//! Routes and pools as operators see them, in every answer alike.

use std::{path::Path, time::Instant};

use catalog_api::{PathChange, PathMatch, Redirect};
use serde::Serialize;

use crate::{
    route::{Owner, Route, Target},
    upstream::Pool,
};

/// A route.
#[derive(Debug, Serialize)]
pub struct RouteView<'a> {
    /// Its label in metrics and logs.
    pub name: &'a str,
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    strip_prefix: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewrite: Option<&'a str>,
    methods: Vec<&'static str>,
    headers: Vec<(&'a str, &'a str)>,
    service: Option<&'a str>,
    answer: Option<&'static str>,
    /// Of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<&'a Redirect>,
    declared_by: &'static str,
}

/// The endpoints of a service.
#[derive(Debug, Serialize)]
pub struct PoolView<'a> {
    id: u64,
    name: &'a str,
    balance: &'static str,
    in_flight: u64,
    endpoints: Vec<EndpointView<'a>>,
}

#[derive(Debug, Serialize)]
struct EndpointView<'a> {
    instance: &'a str,
    address: String,
    weight: u16,
    status: &'static str,
    health: &'static str,
    /// Whether requests may go there now.
    gets_requests: bool,
    /// Why, or why not.
    because: &'static str,
    in_flight: u64,
    /// Moving average of the time until an answer begins; none before the first.
    latency_ms: Option<f64>,
}

// === impl RouteView ===

impl<'a> RouteView<'a> {
    pub(super) fn of(route: &'a Route) -> Self {
        let (service, answer, redirect) = match route.target() {
            Target::Service(service) => (Some(service.as_str()), None, None),
            Target::Metrics => (None, Some("metrics"), None),
            Target::Files(_) => (None, Some("files"), None),
            Target::Redirect(redirect) => (None, Some("redirect"), Some(&**redirect)),
        };
        let (path_prefix, path) = match route.path() {
            PathMatch::Prefix(prefix) => (Some(prefix.as_str()), None),
            PathMatch::Exact(path) => (None, Some(path.as_str())),
        };
        let change = route.path_change();
        Self {
            name: route.name(),
            host: route.host().map(ToString::to_string),
            path_prefix,
            path,
            strip_prefix: *change == PathChange::Strip,
            rewrite: match change {
                PathChange::Rewrite(path) => Some(path.as_str()),
                PathChange::Keep | PathChange::Strip => None,
            },
            methods: route.methods().names().collect(),
            headers: route
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
                .collect(),
            service,
            answer,
            folder: match route.target() {
                Target::Files(folder) => Some(folder),
                _ => None,
            },
            redirect,
            declared_by: match route.owner() {
                Owner::File(_) => "file",
                Owner::Service(_) => "service",
            },
        }
    }
}

// === impl PoolView ===

impl<'a> PoolView<'a> {
    pub(super) fn of(pool: &'a Pool) -> Self {
        let now = Instant::now();
        let endpoint = |member: &'a crate::upstream::Member| {
            let standing = pool.standing(member);
            let endpoint = &member.endpoint;
            EndpointView {
                instance: member.instance.as_str(),
                address: endpoint.address().to_string(),
                weight: member.weight,
                status: member.status.as_str(),
                health: endpoint.health().as_str(),
                gets_requests: standing.gets_requests(),
                because: standing.as_str(),
                in_flight: endpoint.in_flight(),
                latency_ms: (endpoint.latency(now)).map(|latency| latency.as_secs_f64() * 1e3),
            }
        };
        let endpoints: Vec<_> = pool.members().iter().map(endpoint).collect();
        Self {
            id: pool.id().0,
            name: pool.service().as_str(),
            balance: pool.policy().balance.as_str(),
            in_flight: endpoints.iter().map(|endpoint| endpoint.in_flight).sum(),
            endpoints,
        }
    }
}
