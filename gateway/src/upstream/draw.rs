//! A random index by weight, in the time of a binary search.

use rand::RngExt;

/// The running sum of weights.
#[derive(Debug)]
pub(super) struct Draw(Box<[usize]>);

// === impl Draw ===

impl Draw {
    pub(super) fn new(weights: impl Iterator<Item = usize>) -> Self {
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self(sums.collect())
    }

    /// An index; 0 when there is none.
    pub(super) fn index(&self) -> usize {
        let total = self.0.last().copied().unwrap_or(0);
        if total == 0 {
            return 0;
        }
        let point = rand::rng().random_range(0..total);
        self.0.partition_point(|sum| *sum <= point)
    }
}
