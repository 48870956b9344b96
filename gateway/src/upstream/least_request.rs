//! The power of two choices: draw two endpoints by weight, take the one with fewer requests in flight for its weight.
//!
//! Full least-connections would herd every request of a burst onto the same endpoint; two random choices do not, and bring most of
//! the gain (Mitzenmacher, "The power of two choices in randomized load balancing", 2001). pingora-load-balancing has neither.

use std::{collections::BTreeSet, sync::Arc};

use super::{balance::endpoint_of, draw::Draw};
use pingora_load_balancing::{
    Backend,
    selection::{BackendIter, BackendSelection},
};

/// Draws before everyone is offered in turn. With half of a pool unusable, all draws miss once in 4⁴ picks.
const DRAWS_MAX: usize = 4;

/// Backends with the running sum of their weights.
#[derive(Debug)]
pub struct LeastRequest {
    backends: Box<[Backend]>,
    draw: Draw,
}

/// Candidates of one pick: the better of two draws and the other, a few times, then everyone from a random start.
#[derive(Debug)]
pub struct LeastRequestIter {
    selection: Arc<LeastRequest>,
    step: usize,
    /// The worse of the current draw, offered next.
    other: usize,
    start: usize,
}

// === impl LeastRequest ===

impl LeastRequest {
    /// Whether `a` has less to do for its weight than `b`; equal load keeps the order of the draw, so an idle pool is
    /// shared by weight.
    fn is_better(&self, a: usize, b: usize) -> bool {
        let load = |index: usize| {
            let backend = &self.backends[index];
            let in_flight = endpoint_of(backend).map_or(0, |endpoint| endpoint.in_flight());
            (u64::from(in_flight), backend.weight as u64)
        };
        let ((load_a, weight_a), (load_b, weight_b)) = (load(a), load(b));
        load_a * weight_b < load_b * weight_a
    }
}

impl BackendSelection for LeastRequest {
    type Iter = LeastRequestIter;
    type Config = ();

    fn build(backends: &BTreeSet<Backend>) -> Self {
        let backends: Box<[Backend]> = backends.iter().cloned().collect();
        let draw = Draw::new(backends.iter().map(|backend| backend.weight));
        Self { backends, draw }
    }

    fn iter(self: &Arc<Self>, _key: &[u8]) -> LeastRequestIter {
        LeastRequestIter {
            selection: Arc::clone(self),
            step: 0,
            other: 0,
            start: 0,
        }
    }
}

// === impl LeastRequestIter ===

impl BackendIter for LeastRequestIter {
    fn next(&mut self) -> Option<&Backend> {
        let selection = &self.selection;
        let count = selection.backends.len();
        let step = self.step;
        self.step += 1;
        let index = match step {
            _ if count < 2 => step,
            drawn if drawn < 2 * DRAWS_MAX && drawn % 2 == 0 => {
                let (first, second) = (selection.draw.index(), selection.draw.index());
                let (better, other) = if selection.is_better(second, first) {
                    (second, first)
                } else {
                    (first, second)
                };
                self.other = other;
                better
            }
            drawn if drawn < 2 * DRAWS_MAX => self.other,
            offered => {
                if offered == 2 * DRAWS_MAX {
                    self.start = selection.draw.index();
                }
                let offset = offered - 2 * DRAWS_MAX;
                if offset >= count {
                    return None;
                }
                (self.start + offset) % count
            }
        };
        selection.backends.get(index)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use catalog_api::{BalanceKind, HashBy, HealthCheck};
    use proptest::prelude::*;

    use super::{
        super::{AliasKey, Balancer, Endpoint, EndpointKey},
        *,
    };

    /// Endpoints on the ports 1, 2, 3 and so on.
    pub(in crate::upstream) fn endpoints(weights: &[usize]) -> Vec<(Arc<Endpoint>, usize)> {
        let check = HealthCheck::default();
        let names = AliasKey::random();
        (1u16..)
            .zip(weights)
            .map(|(port, weight)| {
                let key = EndpointKey::new(
                    "s".parse().unwrap(),
                    ([127, 0, 0, 1], port).into(),
                    &check.probe,
                );
                let alias = names.alias(&key);
                (Arc::new(Endpoint::new(key, alias, check.clone())), *weight)
            })
            .collect()
    }

    #[test]
    fn an_idle_pool_is_shared_by_weight() {
        let endpoints = endpoints(&[1, 2, 5]);
        let balancer = Balancer::new(&BalanceKind::LeastRequest, &endpoints);
        let mut counts = [0u32; 3];
        for _ in 0..40_000 {
            let picked = balancer.first(None, |_| true).unwrap();
            counts[usize::from(picked.address().port()) - 1] += 1;
        }
        for (count, expected) in counts.iter().zip([5_000f64, 10_000.0, 25_000.0]) {
            assert!(
                (f64::from(*count) - expected).abs() < 0.08 * expected,
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_busy_endpoint_is_spared() {
        let endpoints = endpoints(&[1, 1, 1]);
        let balancer = Balancer::new(&BalanceKind::LeastRequest, &endpoints);
        let _busy: Vec<_> = (0..50).map(|_| endpoints[0].0.enter()).collect();
        let on_busy = (0..3_000)
            .filter(|_| balancer.first(None, |_| true).unwrap().address().port() == 1)
            .count();
        // Only a draw of the same endpoint twice can pick it: 1 in 9.
        assert!((200..=500).contains(&on_busy), "{on_busy}");
    }

    proptest! {
        #[test]
        fn whoever_is_usable_is_found(weights in prop::collection::vec(1usize..=1000, 1..30), usable in any::<prop::sample::Index>(), kind in 0usize..4) {
            let endpoints = endpoints(&weights);
            let only = usable.get(&endpoints).0.address();
            let kinds = [BalanceKind::RoundRobin, BalanceKind::LeastRequest, BalanceKind::Random, BalanceKind::ConsistentHash(HashBy::ClientAddress)];
            let balancer = Balancer::new(&kinds[kind], &endpoints);
            let picked = balancer.first(Some(7), |endpoint| endpoint.address() == only);
            prop_assert_eq!(picked.map(|endpoint| endpoint.address()), Some(only));
            prop_assert!(balancer.first(None, |_| false).is_none());
        }
    }
}
