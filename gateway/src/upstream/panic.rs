//! Panic mode: when too few endpoints are left, the load of all would crush the rest.
//!
//! Then the unhealthy ones share it, too: health checks may be wrong, or too strict for a service under load, and what they can take
//! is better than what the last healthy one cannot. Two things stay as they are. An endpoint that refuses connections is no endpoint;
//! sending requests there would only cost retries. And when nobody is healthy there is nobody to protect: the answer is a 503 at
//! once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use super::{Endpoint, Health};

/// Whether a pool is in panic, counted now and then.
#[derive(Debug)]
pub(super) struct Panic {
    endpoints: Box<[Arc<Endpoint>]>,
    percent: usize,
    since: Instant,
    /// Millisecond since `since` until which the last count holds.
    counted_until: AtomicU64,
    is_on: AtomicBool,
}

/// How old a count may be: large pools are not counted for every request.
const COUNT_MILLIS: u64 = 50;

// === impl Panic ===

impl Panic {
    /// For endpoints that the catalog lets have requests. None when there never can be a panic.
    pub(super) fn new(endpoints: impl Iterator<Item = Arc<Endpoint>>, percent: u8) -> Option<Self> {
        let endpoints: Box<[_]> = endpoints.collect();
        (percent > 0 && endpoints.len() > 1).then(|| Self {
            endpoints,
            percent: percent.into(),
            since: Instant::now(),
            counted_until: AtomicU64::new(0),
            is_on: AtomicBool::new(false),
        })
    }

    /// Whether fewer than the share of the policy, but at least one, are healthy.
    pub(super) fn is_on(&self) -> bool {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now >= self.counted_until.load(Ordering::Relaxed) {
            let healthy = self.endpoints.iter().filter(|known| known.is_usable());
            let healthy = healthy.count();
            let is_on = healthy > 0 && healthy * 100 < self.endpoints.len() * self.percent;
            self.is_on.store(is_on, Ordering::Relaxed);
            self.counted_until
                .store(now + COUNT_MILLIS, Ordering::Relaxed);
        }
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether an endpoint takes part. One that was never checked does not: it is about to be.
    pub(super) fn takes(endpoint: &Endpoint) -> bool {
        endpoint.health() != Health::Unknown && !endpoint.refuses()
    }
}
