//! The order of routes, as an order of values.

use std::cmp::{Ordering, Reverse};

use catalog_api::{HostPattern, PathMatch};

use super::{Owner, Route};

/// Of two routes that match, the greater one wins: exact host, longer wildcard, any host; then a whole path, the longer prefix; then a
/// method condition; then more header conditions; then the operator's file in its order, then the lowest service id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Precedence<'a> {
    host: HostRank,
    path: PathRank,
    names_methods: bool,
    header_conditions: usize,
    owner: Reverse<Owner>,
    // Two routes of one owner may differ only in what they demand; the name makes the order total.
    name: Reverse<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Any,
    Wildcard { suffix_bytes: usize },
    Exact,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Prefix { bytes: usize },
    Exact,
}

// === impl Precedence ===

impl<'a> Precedence<'a> {
    pub(super) fn of(route: &'a Route) -> Self {
        Self {
            host: match &route.host {
                Some(HostPattern::Exact(_)) => HostRank::Exact,
                Some(HostPattern::Wildcard(suffix)) => HostRank::Wildcard {
                    suffix_bytes: suffix.len(),
                },
                None => HostRank::Any,
            },
            path: match &route.path {
                PathMatch::Exact(_) => PathRank::Exact,
                PathMatch::Prefix(prefix) => PathRank::Prefix {
                    bytes: prefix.as_str().len(),
                },
            },
            names_methods: !route.methods.is_any(),
            header_conditions: route.headers.len(),
            owner: Reverse(route.owner),
            name: Reverse(&route.name),
        }
    }
}

/// Orders routes so that the first match is the right one.
pub(super) fn first_wins(a: &Route, b: &Route) -> Ordering {
    b.precedence().cmp(&a.precedence())
}
