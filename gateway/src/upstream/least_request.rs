//! The power of two choices: draw two endpoints by weight, take the one where a request is likely to be over sooner: by requests in
//! flight for its weight, times how long its answers take.
//!
//! The cost of an endpoint is latency × (in flight × mean weight / weight + 1). The weight stands beside the requests in flight and
//! not under everything, because the draw has already used it: an idle pool is shared by weight, not by its square.
//!
//! Full least-connections would herd every request of a burst onto the same endpoint; two random choices do not, and bring most of
//! the gain (Mitzenmacher, "The power of two choices in randomized load balancing", 2001). pingora-load-balancing has neither.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use pingora_load_balancing::{
    Backend,
    selection::{BackendIter, BackendSelection},
};

use super::{
    Endpoint,
    balance::{Turns, endpoint_of},
    draw::Draw,
};

/// Draws before everyone is offered in turn. With half of a pool unusable, all draws miss once in 4⁴ picks.
const DRAWS_MAX: usize = 4;
/// Latencies below it count as equal to it: between fast endpoints the difference is noise.
const LATENCY_FLOOR: Duration = Duration::from_millis(1);
/// How many times slower an endpoint must be before that counts, for the same reason.
const LATENCY_RATIO_MIN: f64 = 2.0;

/// Backends with the running sum of their weights.
#[derive(Debug)]
pub struct LeastRequest {
    backends: Box<[Backend]>,
    draw: Draw,
    weight_mean: f64,
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
    /// Whether `a` costs less than `b`; equal cost keeps the order of the draw, so an idle pool is shared by weight.
    fn is_better(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.backends[a], &self.backends[b]);
        let (Some(endpoint_a), Some(endpoint_b)) = (endpoint_of(a), endpoint_of(b)) else {
            return false;
        };
        if Arc::ptr_eq(endpoint_a, endpoint_b) {
            return false;
        }
        let load = |backend: &Backend, endpoint: &Endpoint| {
            endpoint.in_flight() as f64 * self.weight_mean / backend.weight as f64 + 1.0
        };
        let ratio = latency_ratio(endpoint_a, endpoint_b);
        load(a, endpoint_a) * ratio < load(b, endpoint_b)
    }
}

/// How many times slower `a` answers than `b`; 1 when that is not known of both, or too little to count.
fn latency_ratio(a: &Endpoint, b: &Endpoint) -> f64 {
    let now = Instant::now();
    let (Some(a), Some(b)) = (a.latency(now), b.latency(now)) else {
        return 1.0;
    };
    let ratio = a.max(LATENCY_FLOOR).as_secs_f64() / b.max(LATENCY_FLOOR).as_secs_f64();
    if (LATENCY_RATIO_MIN.recip()..=LATENCY_RATIO_MIN).contains(&ratio) {
        1.0
    } else {
        ratio
    }
}

impl Turns for LeastRequest {}

impl BackendSelection for LeastRequest {
    type Iter = LeastRequestIter;
    type Config = ();

    fn build(backends: &BTreeSet<Backend>) -> Self {
        let backends: Box<[Backend]> = backends.iter().cloned().collect();
        let draw = Draw::new(backends.iter().map(|backend| backend.weight));
        let sum: usize = backends.iter().map(|backend| backend.weight).sum();
        Self {
            weight_mean: sum as f64 / backends.len().max(1) as f64,
            backends,
            draw,
        }
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
        super::{AliasKey, Balancer, Endpoint, EndpointKey, Start},
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
                (
                    Arc::new(Endpoint::new(key, alias, check.clone(), Arc::default())),
                    *weight,
                )
            })
            .collect()
    }

    #[test]
    fn an_idle_pool_is_shared_by_weight() {
        let endpoints = endpoints(&[1, 2, 5]);
        let balancer = Balancer::new(&BalanceKind::LeastRequest, &endpoints);
        let mut counts = [0u32; 3];
        for _ in 0..40_000 {
            let picked = balancer.first(Start::default(), None, |_| true).unwrap();
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
            .filter(|_| {
                balancer
                    .first(Start::default(), None, |_| true)
                    .unwrap()
                    .address()
                    .port()
                    == 1
            })
            .count();
        // Only a draw of the same endpoint twice can pick it: 1 in 9.
        assert!((200..=500).contains(&on_busy), "{on_busy}");
    }

    fn share_of_first(endpoints: &[(Arc<Endpoint>, usize)]) -> usize {
        let balancer = Balancer::new(&BalanceKind::LeastRequest, endpoints);
        (0..3_000)
            .filter(|_| {
                balancer
                    .first(Start::default(), None, |_| true)
                    .unwrap()
                    .address()
                    .port()
                    == 1
            })
            .count()
    }

    #[test]
    fn a_slow_endpoint_is_spared_until_others_have_much_more_to_do() {
        let endpoints = endpoints(&[1, 1, 1]);
        let now = Instant::now();
        endpoints[0].0.answered(Duration::from_millis(100), now);
        for (fast, _) in &endpoints[1..] {
            fast.answered(Duration::from_millis(10), now);
        }
        // Only a draw of the same endpoint twice can pick it: 1 in 9.
        let spared = share_of_first(&endpoints);
        assert!((200..=500).contains(&spared), "{spared}");
        let _busy: Vec<_> = endpoints[1..]
            .iter()
            .flat_map(|(endpoint, _)| (0..20).map(|_| endpoint.enter()))
            .collect();
        // Ten times slower and twenty times less to do: 5 of 9 draws have it.
        let sought = share_of_first(&endpoints);
        assert!((1_450..=1_900).contains(&sought), "{sought}");
    }

    #[test]
    fn small_differences_and_new_endpoints_do_not_count() {
        let millis = Duration::from_millis;
        for (first, others) in [
            (Some(millis(19)), Some(millis(10))),
            (
                Some(Duration::from_micros(900)),
                Some(Duration::from_micros(10)),
            ),
            (None, Some(millis(500))),
            (Some(millis(500)), None),
        ] {
            let endpoints = endpoints(&[1, 1, 1]);
            let now = Instant::now();
            for (index, (endpoint, _)) in endpoints.iter().enumerate() {
                let latency = if index == 0 { first } else { others };
                latency
                    .into_iter()
                    .for_each(|latency| endpoint.answered(latency, now));
            }
            let share = share_of_first(&endpoints);
            assert!((850..=1_150).contains(&share), "{share}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn idle_endpoints_share_by_any_weights(weights in prop::collection::vec(1usize..=20, 2..6), by_chance in any::<bool>()) {
            const DRAWS: f64 = 8_000.0;
            let endpoints = endpoints(&weights);
            let kind = if by_chance { BalanceKind::Random } else { BalanceKind::LeastRequest };
            let balancer = Balancer::new(&kind, &endpoints);
            let mut counts = vec![0f64; weights.len()];
            for _ in 0..DRAWS as usize {
                let picked = balancer.first(Start::default(), None, |_| true).unwrap();
                counts[usize::from(picked.address().port()) - 1] += 1.0;
            }
            let whole = weights.iter().sum::<usize>() as f64;
            for (count, weight) in counts.iter().zip(&weights) {
                let share = *weight as f64 / whole;
                // Six standard deviations of a binomial distribution.
                let width = 6.0 * (DRAWS * share * (1.0 - share)).sqrt();
                prop_assert!((count - DRAWS * share).abs() <= width, "{counts:?} for {weights:?}");
            }
        }

        #[test]
        fn whoever_is_usable_is_found(weights in prop::collection::vec(1usize..=1000, 1..30), usable in any::<prop::sample::Index>(), kind in 0usize..4) {
            let endpoints = endpoints(&weights);
            let only = usable.get(&endpoints).0.address();
            let kinds = [BalanceKind::RoundRobin, BalanceKind::LeastRequest, BalanceKind::Random, BalanceKind::ConsistentHash(HashBy::ClientAddress)];
            let balancer = Balancer::new(&kinds[kind], &endpoints);
            let picked = balancer.first(Start::default(), Some(7), |endpoint| endpoint.address() == only);
            prop_assert_eq!(picked.map(|endpoint| endpoint.address()), Some(only));
            prop_assert!(balancer.first(Start::default(), None, |_| false).is_none());
        }
    }
}
