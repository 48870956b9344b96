//! Rate limits per client and route, in bounded memory and without locks.
//!
//! The generic cell rate algorithm (ITU-T I.371, as in "leaky bucket as a meter"): of each client only the time is kept at which its
//! bucket will be full again. A request pushes that time on by the interval of the rate and is refused when it would lie further ahead
//! than the burst. It is exact, also over the edges of windows.
//!
//! The times of all limits of all services lie in one table of words, eight to a cache line. A client's line is chosen by a keyed hash
//! and its word by 24 more bits of it, so that two clients are taken for one with a chance of one in two million, and nobody can look
//! for such a pair. (A count-min sketch, as in pingora-limits, adds up everyone who shares a cell.) When a line is full, the client
//! whose bucket is fullest is forgotten: at worst that client gets a new burst, nobody is refused for somebody else's requests.

use std::{
    hash::{BuildHasher, Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use ahash::RandomState;
use catalog_api::{Rate, RateBy};
use http::HeaderMap;
use service_kit::shutdown::Shutdown;
use tokio::time;

use crate::upstream::Turn;

/// Counts the requests of clients. One per gateway; outlives every change of the configuration.
pub struct RateLimiter {
    lines: Box<[Line]>,
    hasher: RandomState,
    started: Instant,
}

/// A cache line of words, so that a look at all of them costs one miss.
#[repr(align(64))]
#[derive(Default)]
struct Line([AtomicU64; WORDS]);

/// Whose requests count together.
#[derive(Hash)]
enum Counted<'a> {
    Address(IpAddr),
    Header(&'a [u8]),
    Everyone,
}

/// Clients that are remembered at once: 2 MiB. More have to be ones who still owe something; see above what happens then.
const CLIENTS_MAX: usize = 1 << 18;
/// How often is swept; far below the time after which times wrap around.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

const WORDS: usize = 8;
/// A word: who (24 bits, never 0), and when the bucket is full (40 bits, in ticks, which wrap around after 76 hours). What has been full
/// for long is swept out, so a time is never taken for one of the next round.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
const TICK_NANOS: u128 = 250;

// === impl RateLimiter ===

impl Default for RateLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl RateLimiter {
    /// One that is swept until shutdown. Needs a tokio runtime.
    pub fn start(shutdown: Shutdown) -> Arc<Self> {
        let limiter = Arc::new(Self::new());
        let swept = Arc::clone(&limiter);
        tokio::spawn(async move {
            let sweeping = async {
                loop {
                    time::sleep(SWEEP_INTERVAL).await;
                    swept.sweep(Instant::now());
                }
            };
            tokio::select! {
                () = shutdown.requested() => {}
                () = sweeping => {}
            }
        });
        limiter
    }

    /// Remembers nobody yet, and is not swept.
    pub fn new() -> Self {
        Self {
            lines: (0..CLIENTS_MAX / WORDS).map(|_| Line::default()).collect(),
            hasher: RandomState::with_seeds(
                rand::random(),
                rand::random(),
                rand::random(),
                rand::random(),
            ),
            started: Instant::now(),
        }
    }

    /// Counts a request of a client on a route of a service.
    ///
    /// # Errors
    /// The time after which the next one would pass.
    pub fn take(
        &self,
        rate: &Rate,
        (service, route): (u64, &str),
        address: Option<IpAddr>,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<(), Duration> {
        self.ask(Turn::Take, rate, (service, route), address, headers, now)
    }

    /// What [`RateLimiter::take`] would say, without counting.
    ///
    /// # Errors
    /// As of [`RateLimiter::take`].
    pub fn peek(
        &self,
        rate: &Rate,
        (service, route): (u64, &str),
        address: Option<IpAddr>,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<(), Duration> {
        self.ask(Turn::Peek, rate, (service, route), address, headers, now)
    }

    fn ask(
        &self,
        turn: Turn,
        rate: &Rate,
        (service, route): (u64, &str),
        address: Option<IpAddr>,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut hasher = self.hasher.build_hasher();
        (service, route).hash(&mut hasher);
        Counted::of(&rate.by, address, headers).hash(&mut hasher);
        let hash = hasher.finish();
        let line = &self.lines[hash as usize % self.lines.len()];
        let tag = (hash >> TIME_BITS).max(1);
        let now = self.ticks(now);
        let interval = rate.per.get().as_nanos() / TICK_NANOS / u128::from(rate.requests);
        let interval = u64::try_from(interval).unwrap_or(TIME_MASK).max(1);
        let ahead_max = interval * u64::from(rate.burst);
        line.ask(turn, tag, now, interval, ahead_max)
            .map_err(|wait| Duration::from_nanos(wait.saturating_mul(TICK_NANOS as u64)))
    }

    /// Forgets whoever owes nothing.
    fn sweep(&self, now: Instant) {
        let now = self.ticks(now);
        for word in self.lines.iter().flat_map(|line| &line.0) {
            let known = word.load(Ordering::Relaxed);
            if known != 0 && ahead(known, now) == 0 {
                // Whoever changed it meanwhile owes something.
                let _ = word.compare_exchange(known, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    fn ticks(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started).as_nanos();
        (since / TICK_NANOS) as u64 & TIME_MASK
    }
}

// === impl Line ===

impl Line {
    /// One request of `tag`, counted or only looked at. Answers the ticks to wait when it is one too many.
    fn ask(
        &self,
        turn: Turn,
        tag: u64,
        now: u64,
        interval: u64,
        ahead_max: u64,
    ) -> Result<(), u64> {
        loop {
            let (word, known) = self.find(tag, now);
            let is_known = known >> TIME_BITS == tag;
            // More than the whole burst is of a limit that was higher; its debts are not carried on.
            let owed = if is_known { ahead(known, now) } else { 0 }.min(ahead_max);
            if owed + interval > ahead_max {
                return Err(owed + interval - ahead_max);
            }
            if turn == Turn::Peek {
                return Ok(());
            }
            let next = tag << TIME_BITS | (now + owed + interval) & TIME_MASK;
            let written =
                word.compare_exchange_weak(known, next, Ordering::Relaxed, Ordering::Relaxed);
            if written.is_ok() {
                return Ok(());
            }
        }
    }

    /// The word of `tag`, or the one to put it into: of whoever owes least.
    fn find(&self, tag: u64, now: u64) -> (&AtomicU64, u64) {
        let mut least = (&self.0[0], self.0[0].load(Ordering::Relaxed));
        for word in &self.0 {
            let known = word.load(Ordering::Relaxed);
            if known >> TIME_BITS == tag {
                return (word, known);
            }
            if owed(known, now) < owed(least.1, now) {
                least = (word, known);
            }
        }
        least
    }
}

/// For comparison: an empty word owes less than anybody.
fn owed(word: u64, now: u64) -> u64 {
    if word == 0 { 0 } else { ahead(word, now) + 1 }
}

/// How far ahead of `now` the time of a word lies; 0 when it has passed.
fn ahead(word: u64, now: u64) -> u64 {
    let distance = (word & TIME_MASK).wrapping_sub(now) & TIME_MASK;
    // The farther half is the past.
    if distance > TIME_MASK / 2 {
        0
    } else {
        distance
    }
}

// === impl Counted ===

impl<'a> Counted<'a> {
    fn of(by: &RateBy, address: Option<IpAddr>, headers: &'a HeaderMap) -> Self {
        let header = match by {
            RateBy::Route => return Self::Everyone,
            RateBy::ClientAddress => None,
            RateBy::Header(name) => headers.get(name.get()),
        };
        match (header, address.map(|address| address.to_canonical())) {
            (Some(value), _) => Self::Header(value.as_bytes()),
            (None, Some(IpAddr::V6(address))) => Self::Address(network(address).into()),
            (None, Some(address)) => Self::Address(address),
            (None, None) => Self::Everyone,
        }
    }
}

/// The /64 of an address.
fn network(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(json: &str) -> Rate {
        serde_json::from_str(json).unwrap()
    }

    fn client(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    fn passed(limiter: &RateLimiter, rate: &Rate, address: Option<IpAddr>, now: Instant) -> usize {
        (0..1_000)
            .filter(|_| {
                let asked = limiter.take(rate, (1, "r"), address, &HeaderMap::new(), now);
                asked.is_ok()
            })
            .count()
    }

    #[test]
    fn a_burst_at_once_and_then_one_per_interval() {
        let limiter = RateLimiter::new();
        let rate = rate(r#"{"requests": 10, "per": "1s", "burst": 5}"#);
        let start = limiter.started;
        assert_eq!(passed(&limiter, &rate, client(1), start), 5);
        assert_eq!(passed(&limiter, &rate, client(2), start), 5);
        let wait = limiter.take(&rate, (1, "r"), client(1), &HeaderMap::new(), start);
        assert_eq!(wait, Err(Duration::from_millis(100)));
        for (millis, expected) in [(100, 1), (250, 1), (300, 1), (10_000, 5)] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(
                passed(&limiter, &rate, client(1), now),
                expected,
                "{millis}"
            );
        }
        let elsewhere = limiter.take(&rate, (1, "other"), client(1), &HeaderMap::new(), start);
        assert!(elsewhere.is_ok(), "every route counts for itself");
    }

    #[test]
    fn clients_are_told_apart_as_the_policy_says() {
        let limiter = RateLimiter::new();
        let ask = |by: &str, address: &str, key: Option<&str>| {
            let rate = rate(&format!(r#"{{"requests": 1, "per": "1h", "by": {by}}}"#));
            let mut headers = HeaderMap::new();
            if let Some(key) = key {
                headers.insert("x-key", key.parse().unwrap());
            }
            let address = Some(address.parse().unwrap());
            let asked = limiter.take(&rate, (1, by), address, &headers, limiter.started);
            asked.is_ok()
        };
        let by = r#""client_address""#;
        assert!(ask(by, "10.0.0.1", None));
        assert!(!ask(by, "::ffff:10.0.0.1", None));
        assert!(ask(by, "2001:db8::1", None));
        assert!(!ask(by, "2001:db8::2", None));
        assert!(ask(by, "2001:db8:0:1::1", None));
        let by = r#"{"header": "x-key"}"#;
        assert!(ask(by, "10.0.0.1", Some("a")));
        assert!(!ask(by, "10.0.0.2", Some("a")));
        assert!(ask(by, "10.0.0.1", Some("b")));
        assert!(ask(by, "10.0.0.1", None));
        assert!(!ask(by, "10.0.0.1", None));
        let by = r#""route""#;
        assert!(ask(by, "10.0.0.1", None));
        assert!(!ask(by, "10.0.0.2", None));
    }

    #[test]
    fn a_crowd_does_not_make_anyone_pay_for_others() {
        let limiter = RateLimiter::new();
        let rate = rate(r#"{"requests": 2, "per": "1h"}"#);
        let now = limiter.started;
        let refused = (0..2 * CLIENTS_MAX as u32)
            .filter(|client| {
                let address = Some(IpAddr::from(client.to_be_bytes()));
                let asked = limiter.take(&rate, (1, "r"), address, &HeaderMap::new(), now);
                asked.is_err()
            })
            .count();
        // Half a million first requests, each with room for a second one.
        assert_eq!(refused, 0);
    }

    #[test]
    fn times_wrap_around_without_a_trace() {
        let limiter = RateLimiter::new();
        let rate = rate(r#"{"requests": 1, "per": "1h"}"#);
        let round = Duration::from_nanos((TICK_NANOS as u64) << TIME_BITS);
        let mut now = limiter.started + round - Duration::from_secs(1_800);
        assert_eq!(passed(&limiter, &rate, client(1), now), 1);
        now += Duration::from_secs(3_000);
        assert_eq!(passed(&limiter, &rate, client(1), now), 0);
        now += Duration::from_secs(600);
        assert_eq!(passed(&limiter, &rate, client(1), now), 1);
        limiter.sweep(now + Duration::from_secs(3_601));
        let known = limiter.lines.iter().flat_map(|line| &line.0);
        assert_eq!(
            known
                .filter(|word| word.load(Ordering::Relaxed) != 0)
                .count(),
            0
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a bucket that is refilled drop by drop.
        #[test]
        fn it_does_what_a_token_bucket_does(
            requests in 1u32..50, burst in 1u32..50, gaps in prop::collection::vec(0u64..500, 1..200),
        ) {
            let limiter = RateLimiter::new();
            let rate = rate(&format!(r#"{{"requests": {requests}, "per": "1s", "burst": {burst}}}"#));
            // In ticks, as the limiter counts.
            let interval = 4_000_000 / u64::from(requests);
            let (mut full_at, mut millis) = (0u64, 0u64);
            for gap in gaps {
                millis += gap;
                let now = millis * 4_000;
                let debt = full_at.saturating_sub(now);
                let passes = debt + interval <= interval * u64::from(burst);
                if passes {
                    full_at = now + debt + interval;
                }
                let at = limiter.started + Duration::from_millis(millis);
                let asked = limiter.take(&rate, (1, "r"), client(1), &HeaderMap::new(), at);
                prop_assert_eq!(asked.is_ok(), passes);
            }
        }
    }
}
