//! Every route, laid out for look-up: host by hash, then the whole path by hash, then its prefixes by hash from the longest to `/`.

use std::sync::Arc;

use ahash::AHashMap;
use catalog_api::{HostPattern, PathMatch};

use super::{MethodSet, Mismatch, NoRoute, RequestView, Route, precedence::first_wins};

/// An immutable set of routes.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: AHashMap<Box<str>, PathTable>,
    wildcard: AHashMap<Box<str>, PathTable>,
    any: PathTable,
    all: Vec<Arc<Route>>,
}

#[derive(Debug, Default)]
struct PathTable {
    /// Routes of one whole path, in order of precedence.
    by_path: AHashMap<Box<str>, Vec<Arc<Route>>>,
    /// Key: the prefix without its final slash. Value: in order of precedence.
    by_prefix: AHashMap<Box<str>, Vec<Arc<Route>>>,
    /// Most slashes in a key. A path is cut there first, so that its length does not count.
    slashes_max: usize,
}

/// Told of every route that a look-up comes by and does not take. `()` listens to nothing, which costs nothing.
pub trait Witness {
    /// What is looked up, in the form in which routes know it.
    fn looks_up(&mut self, request: &RequestView<'_>);

    /// The first condition that failed.
    fn passed_by(&mut self, route: &Arc<Route>, because: Mismatch);
}

impl Witness for () {
    fn looks_up(&mut self, _request: &RequestView<'_>) {}

    fn passed_by(&mut self, _route: &Arc<Route>, _because: Mismatch) {}
}

// === impl RouteTable ===

impl RouteTable {
    /// Lays out routes.
    pub fn new(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by(|a, b| first_wins(a, b));
        let mut table = Self::default();
        for route in &routes {
            let paths = match route.host() {
                Some(HostPattern::Exact(name)) => {
                    table.exact.entry(name.as_str().into()).or_default()
                }
                Some(HostPattern::Wildcard(suffix)) => {
                    table.wildcard.entry(suffix.as_str().into()).or_default()
                }
                None => &mut table.any,
            };
            paths.insert(Arc::clone(route));
        }
        table.all = routes;
        table
    }

    /// All routes in the order of precedence.
    pub fn all(&self) -> &[Arc<Route>] {
        &self.all
    }

    /// The route of a request.
    ///
    /// # Errors
    /// [`NoRoute`] tells a wrong path from a wrong method.
    pub fn find(&self, request: &RequestView<'_>) -> Result<&Arc<Route>, NoRoute> {
        self.find_before(&mut (), request)
    }

    /// The same, before a witness. Routes that differ in host or path are never come by, and so not told of.
    ///
    /// # Errors
    /// As [`RouteTable::find`].
    pub fn find_before(
        &self,
        witness: &mut impl Witness,
        request: &RequestView<'_>,
    ) -> Result<&Arc<Route>, NoRoute> {
        witness.looks_up(request);
        let mut refused = MethodSet::default();
        let found = self
            .tables_for(request.host)
            .find_map(|table| table.find(request, &mut refused, witness));
        match found {
            Some(route) => Ok(route),
            None if refused.is_any() => Err(NoRoute::NotFound),
            None => Err(NoRoute::MethodNotAllowed(refused)),
        }
    }

    /// Tables whose host condition holds, in the order of precedence: `a.b.c` asks `a.b.c`, `*.b.c`, `*.c`, any.
    fn tables_for<'t, 'h>(
        &'t self,
        host: &'h str,
    ) -> impl Iterator<Item = &'t PathTable> + use<'t, 'h> {
        let suffixes = if self.wildcard.is_empty() { "" } else { host };
        let wildcards = suffixes
            .match_indices('.')
            .filter_map(move |(dot, _)| self.wildcard.get(&suffixes[dot + 1..]));
        self.exact
            .get(host)
            .into_iter()
            .chain(wildcards)
            .chain([&self.any])
    }
}

// === impl PathTable ===

impl PathTable {
    fn insert(&mut self, route: Arc<Route>) {
        let routes = match route.path() {
            PathMatch::Exact(path) => self.by_path.entry(path.as_str().into()),
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.as_str();
                let key = &prefix[..prefix.len() - 1];
                self.slashes_max = self.slashes_max.max(key.matches('/').count());
                self.by_prefix.entry(key.into())
            }
        };
        routes.or_default().push(route);
    }

    fn find<'t>(
        &'t self,
        request: &RequestView<'_>,
        refused: &mut MethodSet,
        witness: &mut impl Witness,
    ) -> Option<&'t Arc<Route>> {
        // Empty maps answer without a hash.
        self.by_path
            .get(request.path)
            .and_then(|routes| first_fitting(routes, request, refused, witness))
            .or_else(|| self.find_by_prefix(request, refused, witness))
    }

    fn find_by_prefix<'t>(
        &'t self,
        request: &RequestView<'_>,
        refused: &mut MethodSet,
        witness: &mut impl Witness,
    ) -> Option<&'t Arc<Route>> {
        if self.by_prefix.is_empty() {
            return None;
        }
        let path = request.path;
        let mut end = path
            .match_indices('/')
            .nth(self.slashes_max + 1)
            .map_or(path.len(), |(slash, _)| slash);
        loop {
            let found = self
                .by_prefix
                .get(&path[..end])
                .and_then(|routes| first_fitting(routes, request, refused, witness));
            if found.is_some() || end == 0 {
                return found;
            }
            end = path[..end].rfind('/').unwrap_or(0);
        }
    }
}

/// The first route whose other conditions hold. Methods of those that fit but for the method are added to `refused`.
fn first_fitting<'t>(
    routes: &'t [Arc<Route>],
    request: &RequestView<'_>,
    refused: &mut MethodSet,
    witness: &mut impl Witness,
) -> Option<&'t Arc<Route>> {
    routes.iter().find(|route| {
        let Some(mismatch) = route.mismatch_beyond_path(request) else {
            return true;
        };
        if mismatch == Mismatch::Method {
            *refused = refused.union(route.methods());
        }
        witness.passed_by(route, mismatch);
        false
    })
}
