//! Every route, laid out for look-up: host by hash, then path prefixes by hash from the longest to `/`.

use std::sync::Arc;

use ahash::AHashMap;
use catalog_api::HostPattern;

use super::{MethodSet, NoRoute, RequestView, Route, precedence::first_wins};

/// An immutable set of routes.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: AHashMap<Box<str>, PrefixTable>,
    wildcard: AHashMap<Box<str>, PrefixTable>,
    any: PrefixTable,
    all: Vec<Arc<Route>>,
}

#[derive(Debug, Default)]
struct PrefixTable {
    /// Key: the prefix without its final slash. Value: in order of precedence.
    by_prefix: AHashMap<Box<str>, Vec<Arc<Route>>>,
    /// Most slashes in a key. A path is cut there first, so that its length does not count.
    slashes_max: usize,
}

// === impl RouteTable ===

impl RouteTable {
    /// Lays out routes.
    pub fn new(mut routes: Vec<Arc<Route>>) -> Self {
        routes.sort_by(|a, b| first_wins(a, b));
        let mut table = Self::default();
        for route in &routes {
            let prefixes = match route.host() {
                Some(HostPattern::Exact(name)) => {
                    table.exact.entry(name.as_str().into()).or_default()
                }
                Some(HostPattern::Wildcard(suffix)) => {
                    table.wildcard.entry(suffix.as_str().into()).or_default()
                }
                None => &mut table.any,
            };
            prefixes.insert(Arc::clone(route));
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
        let mut refused = MethodSet::default();
        let found = self
            .tables_for(request.host)
            .find_map(|table| table.find(request, &mut refused));
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
    ) -> impl Iterator<Item = &'t PrefixTable> + use<'t, 'h> {
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

// === impl PrefixTable ===

impl PrefixTable {
    fn insert(&mut self, route: Arc<Route>) {
        let prefix = route.prefix().as_str();
        let key = &prefix[..prefix.len() - 1];
        self.slashes_max = self.slashes_max.max(key.matches('/').count());
        self.by_prefix.entry(key.into()).or_default().push(route);
    }

    fn find<'t>(
        &'t self,
        request: &RequestView<'_>,
        refused: &mut MethodSet,
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
            for route in self.by_prefix.get(&path[..end]).into_iter().flatten() {
                if !route.headers_match(request.headers) {
                    continue;
                }
                if route.methods().allows(request.method) {
                    return Some(route);
                }
                *refused = refused.union(route.methods());
            }
            if end == 0 {
                return None;
            }
            end = path[..end].rfind('/').unwrap_or(0);
        }
    }
}
