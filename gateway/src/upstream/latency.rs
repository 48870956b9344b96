//! How long an endpoint takes to answer, as a moving average that believes bad news at once (peak EWMA).
//!
//! A slower answer than the average replaces it; faster ones bring it down over [`DECAY`], and so does silence, so that an endpoint
//! that was slow once is tried again. The clock is the caller's: nothing here waits or reads it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Time in which all but a third of the past is forgotten.
const DECAY: Duration = Duration::from_secs(10);
/// Microseconds are in the high half, the time of the last change in the low one.
const MICROS_SHIFT: u32 = 32;

/// One word, so that a sample is one atomic exchange and a reader never sees half of it.
#[derive(Debug)]
pub(super) struct Latency {
    /// Start of the milliseconds in `word`.
    since: Instant,
    /// 0 = no sample yet.
    word: AtomicU64,
}

// === impl Latency ===

impl Latency {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            word: AtomicU64::new(0),
        }
    }

    /// The average now; none before the first sample.
    pub(super) fn get(&self, now: Instant) -> Option<Duration> {
        let word = self.word.load(Ordering::Relaxed);
        let micros = word >> MICROS_SHIFT;
        (word != 0).then(|| Duration::from_micros(micros).mul_f64(self.kept(word, now)))
    }

    /// Takes in a sample.
    pub(super) fn record(&self, sample: Duration, now: Instant) {
        self.update(now, |average, kept| {
            let sample = sample.as_micros() as f64;
            match average {
                Some(average) if sample < average => average * kept + sample * (1.0 - kept),
                _ => sample,
            }
        });
    }

    /// Takes in how long a failure took: it can only make the endpoint look slower, or failing fast would attract requests.
    pub(super) fn record_failure(&self, sample: Duration, now: Instant) {
        if self.get(now).is_some_and(|average| sample > average) {
            self.record(sample, now);
        }
    }

    fn update(&self, now: Instant, next: impl Fn(Option<f64>, f64) -> f64) {
        let stamp = u64::from(self.stamp(now));
        let step = |word: u64| {
            let average = (word != 0).then_some((word >> MICROS_SHIFT) as f64);
            // At least 1, or the word could be 0. The conversion saturates at 71 minutes, above every timeout that makes sense.
            let micros = (next(average, self.kept(word, now)) as u32).max(1);
            Some(u64::from(micros) << MICROS_SHIFT | stamp)
        };
        // A step that always answers cannot fail.
        let _ = (self.word).fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }

    /// How much of the average is left since its last change.
    fn kept(&self, word: u64, now: Instant) -> f64 {
        // Stamps wrap after 49 days; between two of them there is less. A reader may be a moment older than the last change.
        let elapsed = self.stamp(now).wrapping_sub(word as u32);
        let elapsed = if elapsed > u32::MAX / 2 { 0 } else { elapsed };
        (-f64::from(elapsed) / DECAY.as_millis() as f64).exp()
    }

    fn stamp(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.since).as_millis() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten_slowly() {
        let start = Instant::now();
        let latency = Latency::new(start);
        assert_eq!(latency.get(start), None);
        latency.record(10 * MS, start);
        assert_eq!(latency.get(start), Some(10 * MS));
        latency.record(400 * MS, start);
        assert_eq!(latency.get(start), Some(400 * MS));
        // A fast answer in the same moment says little against it.
        latency.record(10 * MS, start);
        assert_eq!(latency.get(start), Some(400 * MS));
        let later = start + DECAY;
        latency.record(10 * MS, later);
        let average = latency.get(later).unwrap();
        assert!((150 * MS..156 * MS).contains(&average), "{average:?}");
    }

    #[test]
    fn silence_forgets_too() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.record(1_000 * MS, start);
        let average = latency.get(start + 3 * DECAY).unwrap();
        assert!((49 * MS..51 * MS).contains(&average), "{average:?}");
        assert_eq!(latency.get(start + 1_000 * DECAY), Some(Duration::ZERO));
    }

    #[test]
    fn a_failure_never_makes_an_endpoint_look_faster() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.record_failure(MS, start);
        assert_eq!(latency.get(start), None);
        latency.record(20 * MS, start);
        latency.record_failure(MS, start);
        assert_eq!(latency.get(start), Some(20 * MS));
        latency.record_failure(90 * MS, start);
        assert_eq!(latency.get(start), Some(90 * MS));
    }

    #[test]
    fn nothing_breaks_at_the_ends_of_the_ranges() {
        let start = Instant::now();
        let latency = Latency::new(start);
        latency.record(Duration::ZERO, start);
        assert_eq!(latency.get(start), Some(Duration::from_micros(1)));
        latency.record(Duration::from_secs(1 << 40), start);
        assert_eq!(
            latency.get(start),
            Some(Duration::from_micros(u32::MAX.into()))
        );
        // Fifty days, after which the stamps have wrapped.
        let wrapped = start + Duration::from_secs(50 * 24 * 3600);
        latency.record(7 * MS, wrapped);
        latency.record(8 * MS, wrapped);
        assert!(latency.get(wrapped).unwrap() >= 8 * MS);
    }
}
