//! The circuit breaker of a service: while most requests fail, nobody asks, so that the service can recover and clients need not wait.
//!
//! ```text
//! closed ──(share of failures in the window)──▶ open ──(time)──▶ half-open: a few probes
//!   ▲                                             ▲                  │
//!   └────────────(all probes succeed)─────────────┼──────────────────┤
//!                                                 └──(one fails)─────┘
//! ```
//!
//! Everything is a few atomics: a request that passes a closed breaker reads one and, when it ends, adds to another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use catalog_api::ServiceName;
use prometheus::IntCounter;

/// The breaker of one service under one policy. Belongs to the service, not to a snapshot.
#[derive(Debug)]
pub struct Breaker {
    service: ServiceName,
    policy: catalog_api::Breaker,
    started: Instant,
    window: Window,
    /// 0 while closed, else the millisecond since `started` from which it is half-open.
    half_open_at: AtomicU64,
    /// Probes under way.
    probing: AtomicU32,
    /// Probes that succeeded since it opened.
    succeeded: AtomicU32,
    openings: IntCounter,
}

/// A request that the breaker let pass. Dropped without an outcome (the client left), it says nothing about the service.
#[derive(Debug)]
pub struct Passage {
    breaker: Arc<Breaker>,
    /// Which opening it probes; 0 when the breaker was closed.
    probes: u64,
}

/// Outcomes of the last while, in [`SLICES`] slices of time.
#[derive(Debug, Default)]
struct Window([AtomicU64; SLICES]);

/// Slices of the window: it forgets a tenth at a time.
const SLICES: usize = 10;
/// A slice in a word: which one (24 bits), requests and failures (20 bits each, enough for 100,000 a second in 10 s).
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const SLICE_MASK: u64 = (1 << 24) - 1;
/// When to come back while the probes are under way.
const PROBE_WAIT: Duration = Duration::from_secs(1);

// === impl Breaker ===

impl Breaker {
    /// A closed breaker. Counts in `openings` how often it opens.
    pub fn new(service: ServiceName, policy: catalog_api::Breaker, openings: IntCounter) -> Self {
        Self {
            service,
            policy,
            started: Instant::now(),
            window: Window::default(),
            half_open_at: AtomicU64::new(0),
            probing: AtomicU32::new(0),
            succeeded: AtomicU32::new(0),
            openings,
        }
    }

    /// What it was made for.
    pub fn policy(&self) -> &catalog_api::Breaker {
        &self.policy
    }

    /// Whether it lets only probes pass, or nobody.
    pub fn is_open(&self) -> bool {
        self.half_open_at.load(Ordering::Relaxed) != 0
    }

    /// How long it lets nobody pass; none when it does.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        let opening = self.half_open_at.load(Ordering::Acquire);
        let left = opening.saturating_sub(self.millis(now));
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Lets a request pass, or says when to come back.
    ///
    /// # Errors
    /// The time to wait.
    pub fn pass(self: &Arc<Self>, now: Instant) -> Result<Passage, Duration> {
        let opening = self.half_open_at.load(Ordering::Acquire);
        if opening != 0 {
            if let Some(left) = self.left(now) {
                return Err(left);
            }
            let most = u32::from(self.policy.probes);
            self.probing
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |under_way| {
                    (under_way < most).then_some(under_way + 1)
                })
                .map_err(|_| PROBE_WAIT)?;
        }
        Ok(Passage {
            breaker: Arc::clone(self),
            probes: opening,
        })
    }

    fn ended(&self, success: bool, now: Instant) {
        let now = self.millis(now);
        let slice = now / self.slice_millis();
        self.window.record(slice, !success);
        if success {
            return;
        }
        let (requests, failures) = self.window.sums(slice);
        let is_bad = failures * 100 >= requests * u64::from(self.policy.error_percent);
        if is_bad && requests >= u64::from(self.policy.requests_min) {
            self.open(0, now);
        }
    }

    fn probed(&self, opening: u64, success: bool, now: Instant) {
        if !success {
            return self.open(opening, self.millis(now));
        }
        if self.half_open_at.load(Ordering::Acquire) != opening {
            // Of an earlier opening.
            return;
        }
        let succeeded = self.succeeded.fetch_add(1, Ordering::AcqRel) + 1;
        if succeeded >= u32::from(self.policy.probes) {
            self.window.clear();
            let closing =
                self.half_open_at
                    .compare_exchange(opening, 0, Ordering::AcqRel, Ordering::Relaxed);
            if closing.is_ok() {
                tracing::info!(service = %self.service, "circuit closed");
            }
        }
    }

    /// Opens it, unless somebody else changed it meanwhile.
    fn open(&self, from: u64, now: u64) {
        let open = u64::try_from(self.policy.open.get().as_millis()).unwrap_or(u64::MAX);
        let until = now.saturating_add(open).max(1);
        let opened =
            self.half_open_at
                .compare_exchange(from, until, Ordering::AcqRel, Ordering::Relaxed);
        if opened.is_ok() {
            self.succeeded.store(0, Ordering::Release);
            self.openings.inc();
            tracing::warn!(service = %self.service, "circuit opened: too many requests fail");
        }
    }

    fn slice_millis(&self) -> u64 {
        let window = u64::try_from(self.policy.window.get().as_millis()).unwrap_or(u64::MAX);
        (window / SLICES as u64).max(1)
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl Passage ===

impl Passage {
    /// The request ended: the service answered it with something else than a failure, or not.
    pub fn ended(self, success: bool, now: Instant) {
        match self.probes {
            0 => self.breaker.ended(success, now),
            opening => self.breaker.probed(opening, success, now),
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if self.probes != 0 {
            self.breaker.probing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

// === impl Window ===

impl Window {
    fn record(&self, slice: u64, failed: bool) {
        let tag = slice & SLICE_MASK;
        let count = |word: u64| {
            let (requests, failures) = if word >> (2 * COUNT_BITS) == tag {
                (word >> COUNT_BITS & COUNT_MAX, word & COUNT_MAX)
            } else {
                (0, 0)
            };
            let requests = (requests + 1).min(COUNT_MAX);
            let failures = (failures + u64::from(failed)).min(COUNT_MAX);
            Some(tag << (2 * COUNT_BITS) | requests << COUNT_BITS | failures)
        };
        let word = &self.0[slice as usize % SLICES];
        // It always has a next value.
        let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
    }

    /// Requests and failures in the window that ends with a slice.
    fn sums(&self, slice: u64) -> (u64, u64) {
        let mut sums = (0, 0);
        for word in &self.0 {
            let word = word.load(Ordering::Relaxed);
            let age = slice.wrapping_sub(word >> (2 * COUNT_BITS)) & SLICE_MASK;
            if age < SLICES as u64 {
                sums.0 += word >> COUNT_BITS & COUNT_MAX;
                sums.1 += word & COUNT_MAX;
            }
        }
        sums
    }

    fn clear(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(json: &str) -> (Arc<Breaker>, Instant) {
        let policy = serde_json::from_str(json).unwrap();
        let breaker = Breaker::new(
            "s".parse().unwrap(),
            policy,
            IntCounter::new("openings", "of a test").unwrap(),
        );
        let started = breaker.started;
        (Arc::new(breaker), started)
    }

    fn ask(breaker: &Arc<Breaker>, success: bool, now: Instant) {
        breaker.pass(now).unwrap().ended(success, now);
    }

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    const POLICY: &str =
        r#"{"error_percent": 50, "window": "10s", "requests_min": 10, "open": "5s", "probes": 2}"#;

    #[test]
    fn it_opens_at_the_share_of_failures_and_not_below() {
        let (breaker, start) = breaker(POLICY);
        for _ in 0..20 {
            ask(&breaker, true, start);
        }
        for _ in 0..19 {
            ask(&breaker, false, start);
        }
        assert!(!breaker.is_open());
        ask(&breaker, false, start);
        assert!(breaker.is_open());
        assert_eq!(breaker.pass(start).unwrap_err(), Duration::from_secs(5));
    }

    #[test]
    fn few_requests_and_old_ones_are_no_verdict() {
        let (breaker, start) = breaker(POLICY);
        for second in 0..100 {
            // Nine in every window.
            for _ in 0..9 {
                ask(&breaker, false, after(start, second * 10_000));
            }
        }
        assert!(!breaker.is_open());
        ask(&breaker, false, after(start, 99 * 10_000));
        assert!(breaker.is_open());
    }

    #[test]
    fn probes_close_it_and_a_failed_one_opens_it_again() {
        let (breaker, start) = breaker(POLICY);
        for _ in 0..10 {
            ask(&breaker, false, start);
        }
        let half = after(start, 5_000);
        let probes = (breaker.pass(half).unwrap(), breaker.pass(half).unwrap());
        assert!(breaker.pass(half).is_err(), "two at once");
        // One client leaves without an outcome.
        drop(probes.0);
        probes.1.ended(false, half);
        assert!(breaker.pass(half).is_err());
        let half = after(start, 10_000);
        ask(&breaker, true, half);
        assert!(breaker.is_open());
        ask(&breaker, true, half);
        assert!(!breaker.is_open());
        // What was before is forgotten.
        for _ in 0..9 {
            ask(&breaker, false, half);
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_late_outcome_of_an_earlier_opening_changes_nothing() {
        let (breaker, start) = breaker(POLICY);
        let slow = breaker.pass(start).unwrap();
        for _ in 0..10 {
            ask(&breaker, false, start);
        }
        let half = after(start, 5_000);
        let late = breaker.pass(half).unwrap();
        ask(&breaker, false, half);
        slow.ended(false, half);
        late.ended(true, half);
        assert_eq!(breaker.pass(half).unwrap_err(), Duration::from_secs(5));
        let half = after(start, 10_000);
        ask(&breaker, true, half);
        assert!(breaker.is_open(), "the late one did not count");
    }
}
