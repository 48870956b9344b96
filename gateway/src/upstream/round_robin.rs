//! Weighted round robin without bursts: with weights 2, 1, 1 it goes a b a c, not a a b c.
//!
//! pingora-load-balancing's own round robin is weighted by repetition and bursty. This one computes the whole turn once, when the
//! pool is built, so that a pick is one atomic addition.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pingora_load_balancing::{
    Backend,
    selection::{BackendIter, BackendSelection},
};

use super::balance::{Start, Turn, Turns};

/// Longest turn. Weights that would need more are scaled down, so that a change stays cheap.
const TURN_STEPS_MAX: usize = 16_384;

/// The turn of a pool and the place where it stands.
#[derive(Debug)]
pub struct RoundRobin {
    backends: Box<[Backend]>,
    turn: Box<[u16]>,
    next: AtomicUsize,
}

/// Candidates of one pick: the one whose turn it is, its successors in the turn, then everyone once.
#[derive(Debug)]
pub struct RoundRobinIter {
    selection: Arc<RoundRobin>,
    start: usize,
    step: usize,
}

// === impl RoundRobin ===

impl BackendSelection for RoundRobin {
    type Iter = RoundRobinIter;
    type Config = ();

    fn build(backends: &BTreeSet<Backend>) -> Self {
        let backends: Box<[Backend]> = backends
            .iter()
            .take(usize::from(u16::MAX))
            .cloned()
            .collect();
        Self {
            turn: turn(&backends),
            backends,
            next: AtomicUsize::new(0),
        }
    }

    fn iter(self: &Arc<Self>, _key: &[u8]) -> RoundRobinIter {
        self.candidates(Turns::start(&**self, Turn::Take))
    }
}

impl Turns for RoundRobin {
    fn start(&self, turn: Turn) -> Start {
        Start(match turn {
            Turn::Take => self.next.fetch_add(1, Ordering::Relaxed),
            Turn::Peek => self.next.load(Ordering::Relaxed),
        })
    }

    fn candidates(self: &Arc<Self>, Start(start): Start) -> RoundRobinIter {
        RoundRobinIter {
            selection: Arc::clone(self),
            start,
            step: 0,
        }
    }
}

/// Each backend of weight w wants its steps at the times (k + ½) / w; all of them in the order of time make the turn. This is
/// stride scheduling (Waldspurger and Weihl, 1995) run once ahead of time.
fn turn(backends: &[Backend]) -> Box<[u16]> {
    let divisor = backends
        .iter()
        .fold(0, |divisor, backend| gcd(divisor, backend.weight))
        .max(1);
    let total: usize = backends
        .iter()
        .map(|backend| backend.weight / divisor)
        .sum();
    let scale = total.div_ceil(TURN_STEPS_MAX).max(1);
    let mut steps: Vec<(f64, u16)> = Vec::with_capacity(total / scale + backends.len());
    for (index, backend) in (0u16..).zip(backends) {
        let weight = (backend.weight / divisor / scale).max(1);
        steps.extend((0..weight).map(|k| ((k as f64 + 0.5) / weight as f64, index)));
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    steps.into_iter().map(|(_, index)| index).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

// === impl RoundRobinIter ===

impl BackendIter for RoundRobinIter {
    fn next(&mut self) -> Option<&Backend> {
        let RoundRobin { backends, turn, .. } = &*self.selection;
        // Successors in the turn spread the share of an unusable backend over the others; when some dominate the turn, the
        // last pass makes sure that everyone is offered.
        let successors = turn.len().min(2 * backends.len());
        let step = self.step;
        self.step += 1;
        if step < successors {
            let index = turn[self.start.wrapping_add(step) % turn.len()];
            backends.get(usize::from(index))
        } else {
            backends.get(step - successors)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn selection(weights: &[usize]) -> Arc<RoundRobin> {
        let backends = (1u16..)
            .zip(weights)
            .map(|(port, weight)| {
                Backend::new_with_weight(&format!("127.0.0.1:{port}"), *weight).unwrap()
            })
            .collect();
        Arc::new(RoundRobin::build(&backends))
    }

    fn port(backend: &Backend) -> u16 {
        backend.addr.as_inet().unwrap().port()
    }

    fn picks(selection: &Arc<RoundRobin>, count: usize) -> Vec<u16> {
        (0..count)
            .map(|_| port(selection.iter(&[]).next().unwrap()))
            .collect()
    }

    #[test]
    fn heavier_ones_are_spread_out() {
        assert_eq!(picks(&selection(&[2, 1, 1]), 8), [1, 2, 3, 1, 1, 2, 3, 1]);
        assert_eq!(picks(&selection(&[10, 10, 10]), 6), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn looking_at_the_turn_does_not_take_it() {
        let selection = selection(&[1, 1]);
        let look = || {
            let start = Turns::start(&*selection, Turn::Peek);
            port(selection.candidates(start).next().unwrap())
        };
        assert_eq!([look(), look()], [1, 1]);
        assert_eq!(picks(&selection, 1), [1]);
        assert_eq!([look(), look()], [2, 2]);
        assert_eq!(picks(&selection, 2), [2, 1]);
    }

    #[test]
    fn an_empty_pool_offers_nobody() {
        assert!(selection(&[]).iter(&[]).next().is_none());
    }

    proptest! {
        #[test]
        fn a_turn_gives_everyone_exactly_its_weight(weights in prop::collection::vec(1usize..=50, 1..12)) {
            let selection = selection(&weights);
            let total: usize = weights.iter().sum();
            let picked = picks(&selection, total);
            for (port, weight) in (1u16..).zip(&weights) {
                prop_assert_eq!(picked.iter().filter(|p| **p == port).count(), *weight);
            }
        }

        #[test]
        fn nobody_waits_longer_than_its_weight_demands(weights in prop::collection::vec(1usize..=20, 2..8)) {
            let selection = selection(&weights);
            let total: usize = weights.iter().sum();
            let picked = picks(&selection, 3 * total);
            for (port, weight) in (1u16..).zip(&weights) {
                let places: Vec<_> = picked.iter().enumerate().filter(|(_, p)| **p == port).map(|(i, _)| i).collect();
                let longest = places.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
                prop_assert!(longest <= 2 * total.div_ceil(*weight) + weights.len(), "{} in {:?}", port, picked);
            }
        }

        #[test]
        fn every_backend_is_offered_in_one_pick(weights in prop::collection::vec(1usize..=1000, 1..40)) {
            let selection = selection(&weights);
            let mut candidates = selection.iter(&[]);
            let mut seen = BTreeSet::new();
            let mut offers = 0;
            while let Some(backend) = candidates.next() {
                seen.insert(port(backend));
                offers += 1;
            }
            prop_assert_eq!(seen.len(), weights.len());
            prop_assert!(offers <= 3 * weights.len());
        }
    }
}
