//! Consistent hashing as weighted rendezvous: every endpoint bids for a key, the highest bid has it.
//!
//! When an endpoint goes, only its keys move; when one comes or gains weight, keys move to it only. Rings and Maglev tables answer in
//! constant time and reach this only roughly; pingora-load-balancing's ring also needs 160 points per unit of weight, which with
//! weights up to 1000 is too much to build at a change. A bid costs some 10 ns, so this is for pools of up to some hundred endpoints.
//! (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998; weights by Schindelhauer and Schomaker, 2005.)

use std::sync::Arc;

use super::{
    Endpoint,
    affinity::stable_hash,
    balance::{Candidates, Start},
};

/// The bidders.
#[derive(Debug)]
pub(super) struct Rendezvous(Box<[Bidder]>);

#[derive(Debug)]
struct Bidder {
    endpoint: Arc<Endpoint>,
    /// Of the address alone, so that every gateway makes the same bids.
    seed: u64,
    weight: f64,
}

// === impl Rendezvous ===

impl Rendezvous {
    pub(super) fn new(endpoints: &[(Arc<Endpoint>, usize)]) -> Self {
        let bidder = |(endpoint, weight): &(Arc<Endpoint>, usize)| Bidder {
            seed: stable_hash(endpoint.address().to_string().as_bytes()),
            endpoint: Arc::clone(endpoint),
            weight: *weight as f64,
        };
        Self(endpoints.iter().map(bidder).collect())
    }
}

impl Candidates for Rendezvous {
    fn first(
        &self,
        _start: Start,
        hash: Option<u64>,
        usable: &dyn Fn(&Endpoint) -> bool,
    ) -> Option<Arc<Endpoint>> {
        // A request without a key is nobody's: a random key shares such requests by weight.
        let key = hash.unwrap_or_else(rand::random);
        self.0
            .iter()
            .filter(|bidder| usable(&bidder.endpoint))
            .max_by(|a, b| a.bid(key).total_cmp(&b.bid(key)))
            .map(|bidder| Arc::clone(&bidder.endpoint))
    }
}

// === impl Bidder ===

impl Bidder {
    /// With a uniform u in (0, 1), the highest of all -w / ln u belongs to each endpoint with probability w / Σw.
    fn bid(&self, key: u64) -> f64 {
        const FRACTION_BITS: u32 = 53;
        let uniform = ((mix(self.seed ^ key) >> (u64::BITS - FRACTION_BITS)) as f64 + 0.5)
            / (1u64 << FRACTION_BITS) as f64;
        -self.weight / uniform.ln()
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half of the output's.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::least_request::tests::endpoints, *};

    const KEYS: u64 = 500;

    /// The port that each key goes to.
    fn homes(endpoints: &[(Arc<Endpoint>, usize)], usable: impl Fn(u16) -> bool) -> Vec<u16> {
        let rendezvous = Rendezvous::new(endpoints);
        let usable = |endpoint: &Endpoint| usable(endpoint.address().port());
        (0..KEYS)
            .map(|key| {
                let hash = stable_hash(&key.to_be_bytes());
                let home = rendezvous
                    .first(Start::default(), Some(hash), &usable)
                    .unwrap();
                home.address().port()
            })
            .collect()
    }

    #[test]
    fn keys_and_requests_without_one_are_shared_by_weight() {
        let endpoints = endpoints(&[1, 2, 5]);
        let rendezvous = Rendezvous::new(&endpoints);
        for keyed in [true, false] {
            let mut counts = [0u32; 3];
            for key in 0..40_000u64 {
                let hash = keyed.then(|| stable_hash(&key.to_be_bytes()));
                let home = rendezvous.first(Start::default(), hash, &|_| true).unwrap();
                counts[usize::from(home.address().port()) - 1] += 1;
            }
            for (count, expected) in counts.iter().zip([5_000f64, 10_000.0, 25_000.0]) {
                let off = (f64::from(*count) - expected).abs();
                assert!(off < 0.08 * expected, "{counts:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn only_the_keys_of_a_lost_endpoint_move(weights in prop::collection::vec(1usize..=1000, 2..12), lost in any::<prop::sample::Index>()) {
            let all = endpoints(&weights);
            let lost = lost.get(&all).0.address().port();
            let before = homes(&all, |_| true);
            let unhealthy = homes(&all, |port| port != lost);
            let rest: Vec<_> = all.iter().filter(|(endpoint, _)| endpoint.address().port() != lost).cloned().collect();
            // Out of rotation and out of the catalog are the same to a key.
            prop_assert_eq!(&homes(&rest, |_| true), &unhealthy);
            for (before, after) in before.iter().zip(&unhealthy) {
                prop_assert!(before == after || *before == lost);
            }
        }

        #[test]
        fn keys_move_only_to_an_endpoint_that_gains_weight(weights in prop::collection::vec(1usize..=500, 2..12), gain in 1usize..=500, heavier in any::<prop::sample::Index>()) {
            let heavier = heavier.index(weights.len());
            let mut after = weights.clone();
            after[heavier] += gain;
            let port = u16::try_from(heavier + 1).unwrap();
            let (before, after) = (homes(&endpoints(&weights), |_| true), homes(&endpoints(&after), |_| true));
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before == after || *after == port);
            }
        }
    }
}
