//! By chance, by weight: shares exactly as round robin does in the long run, and gateways do not fall into step with each other.

use std::sync::Arc;

use rand::RngExt;

use super::{
    Endpoint,
    balance::{Candidates, Start},
    draw::Draw,
};

/// Endpoints with their weights.
#[derive(Debug)]
pub(super) struct Random {
    endpoints: Box<[(Arc<Endpoint>, usize)]>,
    draw: Draw,
}

// === impl Random ===

impl Random {
    pub(super) fn new(endpoints: &[(Arc<Endpoint>, usize)]) -> Self {
        Self {
            draw: Draw::new(endpoints.iter().map(|(_, weight)| *weight)),
            endpoints: endpoints.into(),
        }
    }
}

impl Candidates for Random {
    fn first(
        &self,
        _start: Start,
        _hash: Option<u64>,
        usable: &dyn Fn(&Endpoint) -> bool,
    ) -> Option<Arc<Endpoint>> {
        let (drawn, _) = self.endpoints.get(self.draw.index())?;
        if usable(drawn) {
            return Some(Arc::clone(drawn));
        }
        // One pass over the usable ones, each replacing the choice with its share of the weight so far: their weights decide,
        // however few they are. Its cost is paid only when the draw has missed.
        let mut rng = rand::rng();
        let (mut chosen, mut total) = (None, 0);
        for (endpoint, weight) in &self.endpoints {
            if usable(endpoint) {
                total += weight;
                if rng.random_range(0..total) < *weight {
                    chosen = Some(endpoint);
                }
            }
        }
        chosen.map(Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::least_request::tests::endpoints, *};

    #[test]
    fn the_usable_ones_share_by_weight() {
        let random = Random::new(&endpoints(&[1, 2, 5, 8]));
        for (usable, expected) in [
            (
                [true, true, true, true],
                [2_500f64, 5_000.0, 12_500.0, 20_000.0],
            ),
            (
                [true, true, true, false],
                [5_000.0, 10_000.0, 25_000.0, 0.0],
            ),
            ([true, false, false, false], [40_000.0, 0.0, 0.0, 0.0]),
        ] {
            let place = |endpoint: &Endpoint| usize::from(endpoint.address().port()) - 1;
            let mut counts = [0u32; 4];
            for _ in 0..40_000 {
                let picked =
                    random.first(Start::default(), None, &|endpoint| usable[place(endpoint)]);
                counts[place(&picked.unwrap())] += 1;
            }
            for (count, expected) in counts.iter().zip(expected) {
                let off = (f64::from(*count) - expected).abs();
                assert!(off <= 0.08 * expected, "{counts:?}");
            }
        }
        assert!(random.first(Start::default(), None, &|_| false).is_none());
    }
}
