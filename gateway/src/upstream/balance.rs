//! The seam between a pool and the way it chooses, on pingora-load-balancing's own selection traits.
//!
//! Its `LoadBalancer::select` is not used: it hashes and clones a backend per request and keeps health per (address, weight),
//! so that a change of weight would forget it. Here a selection yields candidates in its order and the pool takes the first
//! one that may be used.

use std::{collections::BTreeSet, sync::Arc};

use catalog_api::BalanceKind;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_load_balancing::{
    Backend, Extensions,
    selection::{BackendIter, BackendSelection},
};

use super::{Endpoint, LeastRequest, RoundRobin, random::Random, rendezvous::Rendezvous};

/// A way of choosing, fixed when the pool is built.
pub struct Balancer(Box<dyn Candidates>);

/// Whether a choice is followed by a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is: whose turn it was, has had it.
    Take,
    /// It is only looked at.
    Peek,
}

/// Where one pick begins. The same for every pass over the candidates, so that a pick is one turn, whatever is asked for in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Start(pub(super) usize);

/// One object-safe face for every way, also for each [`BackendSelection`], so that the policy is matched once and not at each use.
pub(super) trait Candidates: Send + Sync {
    /// Where the next pick begins. Only ways with turns tell starts apart.
    fn start(&self, _turn: Turn) -> Start {
        Start::default()
    }

    /// The first candidate that may be used, in the order of the request's key where keys matter.
    fn first(
        &self,
        start: Start,
        hash: Option<u64>,
        usable: &dyn Fn(&Endpoint) -> bool,
    ) -> Option<Arc<Endpoint>>;
}

/// A selection whose turns can be told from its candidates. The default is for those without turns.
pub(super) trait Turns: BackendSelection<Iter: BackendIter> {
    /// Whose turn it is.
    fn start(&self, _turn: Turn) -> Start {
        Start::default()
    }

    /// The candidates from there on.
    fn candidates(self: &Arc<Self>, _start: Start) -> Self::Iter {
        self.iter(&[])
    }
}

// === impl Balancer ===

impl Balancer {
    /// Prepares the choice among endpoints with their weights (1 and more). Addresses must be distinct.
    pub fn new(kind: &BalanceKind, endpoints: &[(Arc<Endpoint>, usize)]) -> Self {
        let backends = || -> BTreeSet<Backend> {
            endpoints
                .iter()
                .map(|(endpoint, weight)| backend(endpoint, *weight))
                .collect()
        };
        Self(match kind {
            BalanceKind::RoundRobin => Box::new(Arc::new(RoundRobin::build(&backends()))),
            BalanceKind::LeastRequest => Box::new(Arc::new(LeastRequest::build(&backends()))),
            BalanceKind::Random => Box::new(Random::new(endpoints)),
            BalanceKind::ConsistentHash(_) => Box::new(Rendezvous::new(endpoints)),
        })
    }

    /// Where a pick begins.
    pub fn start(&self, turn: Turn) -> Start {
        self.0.start(turn)
    }

    /// The first candidate that may be used. `hash` is the key of the request in a consistent hash.
    pub fn first(
        &self,
        start: Start,
        hash: Option<u64>,
        usable: impl Fn(&Endpoint) -> bool,
    ) -> Option<Arc<Endpoint>> {
        self.0.first(start, hash, &usable)
    }
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Balancer")
    }
}

// === impl Candidates ===

impl<S> Candidates for Arc<S>
where
    S: Turns + Send + Sync,
{
    fn start(&self, turn: Turn) -> Start {
        Turns::start(&**self, turn)
    }

    fn first(
        &self,
        start: Start,
        _hash: Option<u64>,
        usable: &dyn Fn(&Endpoint) -> bool,
    ) -> Option<Arc<Endpoint>> {
        let mut candidates = self.candidates(start);
        while let Some(candidate) = candidates.next() {
            if let Some(endpoint) = endpoint_of(candidate)
                && usable(endpoint)
            {
                return Some(Arc::clone(endpoint));
            }
        }
        None
    }
}

fn backend(endpoint: &Arc<Endpoint>, weight: usize) -> Backend {
    let mut ext = Extensions::new();
    ext.insert(Arc::clone(endpoint));
    Backend {
        addr: SocketAddr::Inet(endpoint.address()),
        weight,
        ext,
    }
}

/// The endpoint that a backend stands for.
pub(super) fn endpoint_of(backend: &Backend) -> Option<&Arc<Endpoint>> {
    backend.ext.get()
}
