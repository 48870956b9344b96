//! Which route a request takes: a table that is data, and one `find`.
//!
//! Hosts, paths and prefixes are looked up by hash, never scanned, so a request costs the same with ten routes and ten thousand.
//! Must not know: pools, endpoints, Pingora.

mod host;
mod method;
mod path;
mod precedence;
mod table;

use std::{path::Path, sync::Arc};

use catalog_api::{
    HostPattern, PathChange, PathMatch, Redirect, RouteAction, RouteSpec, ServiceId, ServiceName,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::metrics::RouteMetrics;

pub use host::RequestHost;
pub use method::MethodSet;
pub use path::{PathError, RequestPath};
pub use precedence::Precedence;
pub use table::RouteTable;

/// A way from a request to a target, ready to be matched.
#[derive(Debug)]
pub struct Route {
    name: Arc<str>,
    host: Option<HostPattern>,
    path: PathMatch,
    change: PathChange,
    methods: MethodSet,
    headers: Box<[(HeaderName, HeaderValue)]>,
    target: Target,
    owner: Owner,
    metrics: Arc<RouteMetrics>,
}

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The endpoints of a service.
    Service(ServiceName),
    /// The gateway's own metrics.
    Metrics,
    /// Files of a folder.
    Files(Arc<Path>),
    /// Another place to ask.
    Redirect(Arc<Redirect>),
}

/// Who declared a route. The operator's file comes before every service, so that no service can take over its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// `gateway.toml`, by position in the file.
    File(usize),
    /// A service in the catalog.
    Service(ServiceId),
}

/// The parts of a request that routes look at.
#[derive(Debug)]
pub struct RequestView<'a> {
    /// Host without its port, in lower case.
    pub host: &'a str,
    /// Normalised path, without the query.
    pub path: &'a str,
    /// Method of the request line.
    pub method: &'a Method,
    /// Header fields.
    pub headers: &'a HeaderMap,
}

/// Why no route takes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No host and path fit.
    NotFound,
    /// Something fits but for the method.
    MethodNotAllowed(MethodSet),
}

// === impl Route ===

impl Route {
    /// Prepares a declared route. `name` labels metrics and logs.
    pub fn new(
        name: Arc<str>,
        spec: &RouteSpec,
        target: Target,
        owner: Owner,
        metrics: Arc<RouteMetrics>,
    ) -> Self {
        // Both halves were parsed by catalog-api to be legal header text; what http still refused could never match a request.
        let headers = spec
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
            .collect();
        Self {
            name,
            host: spec.host.clone(),
            path: spec.path.clone(),
            change: match &spec.action {
                RouteAction::Forward(change) => change.clone(),
                RouteAction::Redirect(_) => PathChange::Keep,
            },
            methods: spec.methods.iter().copied().collect(),
            headers,
            target,
            owner,
            metrics,
        }
    }

    /// Label of the route in metrics, logs and the admin API.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Host condition.
    pub fn host(&self) -> Option<&HostPattern> {
        self.host.as_ref()
    }

    /// Path condition.
    pub fn path(&self) -> &PathMatch {
        &self.path
    }

    /// What becomes of the path before the request is passed on.
    pub fn path_change(&self) -> &PathChange {
        &self.change
    }

    /// Method condition; empty = any.
    pub fn methods(&self) -> MethodSet {
        self.methods
    }

    /// Header conditions.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// What answers.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Who declared it.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Counters of this route, resolved once.
    pub fn metrics(&self) -> &RouteMetrics {
        &self.metrics
    }

    /// The order in which routes are tried; the greatest that matches wins.
    pub fn precedence(&self) -> Precedence<'_> {
        Precedence::of(self)
    }

    /// The path that the target gets, in two parts to be put together.
    pub fn upstream_path<'a>(&'a self, path: &'a str) -> (&'a str, &'a str) {
        // The final slash of the prefix stays as the first of the rest: `/api/name` → `/name`, `/api` → `/`.
        let (base, rest) = match (&self.change, &self.path) {
            (PathChange::Keep, _) => ("", path),
            (PathChange::Strip, _) => ("", self.below_prefix(path)),
            (PathChange::Rewrite(whole), PathMatch::Exact(_)) => ("", whole.as_str()),
            (PathChange::Rewrite(base), PathMatch::Prefix(_)) => {
                let base = base.as_str();
                (
                    base.strip_suffix('/').unwrap_or(base),
                    self.below_prefix(path),
                )
            }
        };
        if base.is_empty() && rest.is_empty() {
            return ("", "/");
        }
        (base, rest)
    }

    /// The prefix that is stripped, without its final slash; none when that is nothing.
    pub fn stripped_prefix(&self) -> Option<&str> {
        match (&self.change, &self.path) {
            (PathChange::Strip, PathMatch::Prefix(prefix)) => prefix
                .as_str()
                .strip_suffix('/')
                .filter(|prefix| !prefix.is_empty()),
            _ => None,
        }
    }

    /// What follows the path condition, whether it is stripped or not; empty for the prefix without its slash and for a whole path.
    pub fn below_prefix<'a>(&self, path: &'a str) -> &'a str {
        match &self.path {
            PathMatch::Prefix(prefix) => path.get(prefix.as_str().len() - 1..).unwrap_or_default(),
            PathMatch::Exact(_) => "",
        }
    }

    fn headers_match(&self, headers: &HeaderMap) -> bool {
        self.headers
            .iter()
            .all(|(name, value)| headers.get_all(name).iter().any(|present| present == value))
    }
}

// === impl Target ===

impl Target {
    /// What answers a route that a service declares.
    pub fn declared_by(service: &ServiceName, spec: &RouteSpec) -> Self {
        match &spec.action {
            RouteAction::Forward(_) => Self::Service(service.clone()),
            RouteAction::Redirect(redirect) => Self::Redirect(Arc::new(redirect.clone())),
        }
    }
}
