//! The operators' listener: what is routed where, and how the endpoints are.

mod purge;

use std::{sync::Arc, time::Instant};

use catalog_api::{PathChange, PathMatch, Redirect};
use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use service_kit::{
    VERSION,
    http::{Application, Call, Response, body},
    problem::Problem,
    readiness::Readiness,
};

use crate::{
    cache::Cache,
    metrics::GatewayMetrics,
    proxy::Exchanges,
    route::{Owner, Route, Target},
    snapshot::Live,
    upstream::Pool,
};

/// Answers on the admin listener.
pub struct Admin {
    /// The current view.
    pub live: Arc<Live>,
    /// For the state of the connection to the catalog.
    pub metrics: Arc<GatewayMetrics>,
    /// Requests under way.
    pub exchanges: Exchanges,
    /// Whether the gateway can serve.
    pub readiness: Readiness,
    /// Kept answers.
    pub cache: Option<&'static Cache>,
}

/// Endpoints of the admin API besides those that every program has.
#[derive(Clone, Copy, Debug)]
pub enum Endpoint {
    /// What there is.
    Information,
    /// The live table.
    Routes,
    /// Removes kept answers.
    Purge,
}

#[derive(Serialize)]
struct Table<'a> {
    revision: u64,
    /// In the order in which they are tried.
    routes: Vec<RouteView<'a>>,
    services: Vec<PoolView<'a>>,
}

#[derive(Serialize)]
struct RouteView<'a> {
    name: &'a str,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect: Option<&'a Redirect>,
    declared_by: &'static str,
}

#[derive(Serialize)]
struct PoolView<'a> {
    id: u64,
    name: &'a str,
    balance: &'static str,
    in_flight: u32,
    endpoints: Vec<EndpointView<'a>>,
}

#[derive(Serialize)]
struct EndpointView<'a> {
    instance: &'a str,
    address: String,
    weight: u16,
    status: &'static str,
    health: &'static str,
    in_flight: u32,
    /// Moving average of the time until an answer begins; none before the first.
    latency_ms: Option<f64>,
}

impl Application for Admin {
    type Endpoint = Endpoint;

    fn routes() -> Vec<(Method, &'static str, Endpoint)> {
        vec![
            (Method::GET, "/", Endpoint::Information),
            (Method::GET, "/routes", Endpoint::Routes),
            (Method::POST, "/cache/purge", Endpoint::Purge),
        ]
    }

    async fn respond(&self, call: Call<Endpoint>) -> Result<Response, Problem> {
        match call.endpoint {
            Endpoint::Information => Ok(body::json(StatusCode::OK, &information())),
            Endpoint::Routes => Ok(self.table()),
            Endpoint::Purge => purge::respond(self, call).await,
        }
    }

    fn health(&self) -> serde_json::Value {
        json!({
            "status": if self.readiness.is_ready() { "ok" } else { "starting" },
            "version": VERSION,
            "revision": self.live.load().revision(),
            "catalog_connected": self.metrics.is_catalog_connected(),
            "in_flight": self.exchanges.count(),
        })
    }
}

// === impl Admin ===

impl Admin {
    fn table(&self) -> Response {
        let snapshot = self.live.load_full();
        let table = Table {
            revision: snapshot.revision().0,
            routes: snapshot
                .routes()
                .all()
                .iter()
                .map(|route| route_view(route))
                .collect(),
            services: snapshot.pools().map(|pool| pool_view(pool)).collect(),
        };
        body::json(StatusCode::OK, &table)
    }
}

fn information() -> serde_json::Value {
    json!({
        "name": "gateway",
        "version": VERSION,
        "endpoints": ["/routes", "POST /cache/purge", "/health", "/livez", "/readyz?verbose", "/metrics"],
    })
}

fn route_view(route: &Route) -> RouteView<'_> {
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
    RouteView {
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
        redirect,
        declared_by: match route.owner() {
            Owner::File(_) => "file",
            Owner::Service(_) => "service",
        },
    }
}

fn pool_view(pool: &Pool) -> PoolView<'_> {
    let now = Instant::now();
    let endpoints: Vec<_> = pool
        .members()
        .iter()
        .map(|member| EndpointView {
            instance: member.instance.as_str(),
            address: member.endpoint.address().to_string(),
            weight: member.weight,
            status: member.status.as_str(),
            health: member.endpoint.health().as_str(),
            in_flight: member.endpoint.in_flight(),
            latency_ms: (member.endpoint.latency(now)).map(|latency| latency.as_secs_f64() * 1e3),
        })
        .collect();
    PoolView {
        id: pool.id().0,
        name: pool.service().as_str(),
        balance: pool.policy().balance.as_str(),
        in_flight: endpoints.iter().map(|endpoint| endpoint.in_flight).sum(),
        endpoints,
    }
}
