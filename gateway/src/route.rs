//! Which route a request takes: a table that is data, and one `find`.
//!
//! Hosts, paths and prefixes are looked up by hash, never scanned, so a request costs the same with ten routes and ten thousand.
//! Must not know: pools, endpoints, Pingora.

mod host;
mod method;
mod path;
mod precedence;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
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
pub use table::{RouteTable, Witness};

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

/// The first condition of a route that a request does not meet, in the order in which they are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The host is another one.
    Host,
    /// The path is another one, or not below the prefix.
    Path,
    /// A header is absent or has another value; with its place among the conditions of the route.
    Header(usize),
    /// The method is not among those of the route.
    Method,
}

// === impl Mismatch ===

impl Mismatch {
    /// Kind of the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Path => "path",
            Self::Header(_) => "header",
            Self::Method => "method",
        }
    }

    /// What the route demands there.
    pub fn demand(self, route: &Route) -> String {
        match self {
            Self::Host => route.host.as_ref().map(ToString::to_string),
            Self::Path => Some(route.path.to_string()),
            Self::Header(place) => route.headers.get(place).map(|(name, value)| {
                // Conditions are printable ASCII.
                format!("{name}: {}", value.to_str().unwrap_or_default())
            }),
            Self::Method => Some(route.methods.names().collect::<Vec<_>>().join(", ")),
        }
        .unwrap_or_default()
    }
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

    /// The service that answers; none where the gateway does itself.
    pub fn service(&self) -> Option<&ServiceName> {
        match &self.target {
            Target::Service(service) => Some(service),
            _ => None,
        }
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

    /// Why the route does not take a request; none when it would, if none before it did. The table asks for host and path by hash
    /// instead, and leaves the rest to the same function as this does.
    pub fn mismatch(&self, request: &RequestView<'_>) -> Option<Mismatch> {
        if !self.fits_host(request.host) {
            return Some(Mismatch::Host);
        }
        if !self.fits_path(request.path) {
            return Some(Mismatch::Path);
        }
        self.mismatch_beyond_path(request)
    }

    fn mismatch_beyond_path(&self, request: &RequestView<'_>) -> Option<Mismatch> {
        let is_absent = |(name, value): &(HeaderName, HeaderValue)| {
            let mut present = request.headers.get_all(name).iter();
            !present.any(|present| present == value)
        };
        match self.headers.iter().position(is_absent) {
            Some(place) => Some(Mismatch::Header(place)),
            None => (!self.methods.allows(request.method)).then_some(Mismatch::Method),
        }
    }

    fn fits_host(&self, host: &str) -> bool {
        match &self.host {
            None => true,
            Some(HostPattern::Exact(name)) => name == host,
            Some(HostPattern::Wildcard(suffix)) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|below| below.ends_with('.')),
        }
    }

    fn fits_path(&self, path: &str) -> bool {
        match &self.path {
            PathMatch::Exact(whole) => whole.as_str() == path,
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.as_str();
                path.starts_with(prefix) || prefix.strip_suffix('/') == Some(path)
            }
        }
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
