//! The sequence of numbers behind `?seed=`.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
///
/// Written out here rather than taken from `rand`: what a seed gives is a promise to users, and `rand` keeps the output of its
/// standard generator only within a version. ChaCha8 is fixed too, but needs another crate and set-up time per request, for a
/// strength that names of people do not need.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64 {
    state: u64,
}

/// The golden ratio as a fraction of 2^64, made odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

// === impl SplitMix64 ===

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the items; none when there are none.
    ///
    /// By the high half of a product, without rejection (Lemire, "Fast random integer generation in an interval", 2019): the
    /// bias is below 2^-56 for lists of hundreds.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let product = u128::from(self.next()) * items.len() as u128;
        // The high half is below the length.
        items.get((product >> 64) as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_reference_implementation() {
        // prng.di.unimi.it/splitmix64.c with x = 1234567
        let mut random = SplitMix64::new(1_234_567);
        let found: Vec<u64> = (0..5).map(|_| random.next()).collect();
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_item_is_picked_about_as_often() {
        let items: Vec<usize> = (0..10).collect();
        let mut counts = [0_u32; 10];
        let mut random = SplitMix64::new(7);
        for _ in 0..100_000 {
            counts[random.pick(&items).unwrap()] += 1;
        }
        // Ten standard deviations around the mean of 10,000.
        assert!(
            counts.iter().all(|count| (9_000..11_000).contains(count)),
            "{counts:?}"
        );
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
