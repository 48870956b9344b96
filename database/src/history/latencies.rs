//! Latencies as counts in buckets that grow with them: an eighth of an octave wide, so that a quantile is off by 6 % at most,
//! whatever its size, and only buckets in use take space.

use std::{collections::BTreeMap, time::Duration};

/// Bits of a latency below its highest that choose the bucket.
const DETAIL_BITS: u32 = 3;

/// Counts by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latencies(BTreeMap<u16, u64>);

// === impl Latencies ===

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.add_count(bucket(latency), 1);
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add_count(&mut self, bucket: u16, count: u64) {
        let sum = self.0.entry(bucket).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Counts by bucket.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (u16, u64)> {
        self.0.iter().map(|(bucket, count)| (*bucket, *count))
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in other.counts() {
            self.add_count(bucket, count);
        }
    }

    /// The latency that `percent` of the calls did not exceed; none when there were none.
    pub(crate) fn quantile(&self, percent: u64) -> Option<Duration> {
        let count: u64 = self.0.values().sum();
        let rank = (count * percent).div_ceil(100).max(1);
        let mut passed = 0;
        self.0
            .iter()
            .find(|(_, count)| {
                passed += **count;
                passed >= rank
            })
            .map(|(bucket, _)| middle(*bucket))
    }
}

fn bucket(latency: Duration) -> u16 {
    // Some hundred thousand years fit; the rest is one bucket.
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let highest = micros.checked_ilog2().unwrap_or(0);
    if highest < DETAIL_BITS {
        return micros as u16;
    }
    let shift = highest - DETAIL_BITS;
    // The highest bit counts one more eighth, so that buckets follow each other without a gap. At most 496.
    ((u64::from(shift) << DETAIL_BITS) + (micros >> shift)) as u16
}

fn middle(bucket: u16) -> Duration {
    let bucket = u64::from(bucket);
    let exact = 1 << DETAIL_BITS;
    if bucket < 2 * exact {
        return Duration::from_micros(bucket);
    }
    let shift = (bucket >> DETAIL_BITS) - 1;
    let lowest = ((bucket & (exact - 1)) + exact) << shift;
    Duration::from_micros(lowest + (1 << shift) / 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_a_known_series() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(50), None);
        for millis in 1..=100 {
            latencies.add(Duration::from_millis(millis));
        }
        for (percent, millis) in [(50, 50.0), (90, 90.0), (99, 99.0), (100, 100.0)] {
            let found = latencies.quantile(percent).unwrap().as_secs_f64() * 1_000.0;
            assert!(
                (found - millis).abs() <= millis * 0.07,
                "{percent}: {found}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_bucket_is_narrow_and_buckets_are_in_order(micros in 0..u64::MAX / 2, more in 0..1_000_000u64) {
            let latency = Duration::from_micros(micros);
            let found = middle(bucket(latency)).as_micros() as f64;
            prop_assert!((found - micros as f64).abs() <= micros as f64 * 0.0626, "{found}");
            prop_assert!(bucket(latency) <= bucket(Duration::from_micros(micros + more)));
        }
    }
}
