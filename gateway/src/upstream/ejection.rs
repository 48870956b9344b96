//! Passive ejection: what requests say about an endpoint, besides its health checks.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Failures in a row and ejections of one endpoint. Part of the endpoint, so it survives every change of the configuration.
#[derive(Debug)]
pub(super) struct Ejection {
    known_since: Instant,
    /// Failures in a row.
    streak: AtomicU32,
    /// Millisecond since `known_since` at which the last ejection ends; 0 = there was none.
    ends_at: AtomicU64,
    /// Ejections in close succession.
    times: AtomicU32,
}

// === impl Ejection ===

impl Ejection {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known_since: now,
            streak: AtomicU32::new(0),
            ends_at: AtomicU64::new(0),
            times: AtomicU32::new(0),
        }
    }

    /// Whether it lasts.
    pub(super) fn is_on(&self) -> bool {
        // Hardly any endpoint was ever ejected: no look at the clock for those.
        let ends_at = self.ends_at.load(Ordering::Relaxed);
        ends_at != 0 && self.millis(Instant::now()) < ends_at
    }

    /// A request succeeded.
    pub(super) fn succeeded(&self) {
        // Written only when it changes something: success is the common case and the line is shared by all cores.
        if self.streak.load(Ordering::Relaxed) != 0 {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed. Answers how many have in a row.
    pub(super) fn failed(&self) -> u32 {
        self.streak
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1)
    }

    /// Begins one. Answers how long it lasts. Callers take turns.
    pub(super) fn begin(&self, policy: &catalog_api::Ejection, now: Instant) -> Duration {
        let (time, time_max) = (policy.time.get(), policy.time_max.get());
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let now = self.millis(now);
        let last_end = self.ends_at.load(Ordering::Relaxed);
        let is_new = now.saturating_sub(last_end) > millis(time_max);
        let times = if is_new {
            1
        } else {
            self.times.load(Ordering::Relaxed).saturating_add(1)
        };
        let length = time.saturating_mul(times).min(time_max);
        self.times.store(times, Ordering::Relaxed);
        self.streak.store(0, Ordering::Relaxed);
        let ends_at = now.saturating_add(millis(length)).max(1);
        self.ends_at.store(ends_at, Ordering::Relaxed);
        length
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.known_since);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_longer_each_time_and_begins_anew_after_a_good_while() {
        let start = Instant::now();
        let ejection = Ejection::new(start);
        let policy = serde_json::from_str(r#"{"time": "1s", "time_max": "3s"}"#).unwrap();
        let mut now = start;
        for seconds in [1, 2, 3, 3] {
            let length = ejection.begin(&policy, now);
            assert_eq!(length, Duration::from_secs(seconds));
            now += length + Duration::from_secs(1);
        }
        now += Duration::from_secs(3);
        assert_eq!(ejection.begin(&policy, now), Duration::from_secs(1));
    }

    #[test]
    fn a_success_ends_a_row_of_failures() {
        let ejection = Ejection::new(Instant::now());
        assert_eq!((ejection.failed(), ejection.failed()), (1, 2));
        ejection.succeeded();
        assert_eq!(ejection.failed(), 1);
        assert!(!ejection.is_on());
    }
}
