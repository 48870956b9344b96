//! One address of one service: what is known about it, whoever configures it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use catalog_api::{HealthCheck, Probe, ServiceName};
use tokio::{sync::Notify, task::AbortHandle};

use super::{
    Alias,
    ejection::Ejection,
    idle::IdleConnections,
    latency::Latency,
    load::Load,
    slow_start::{Entry, SlowStart},
};

/// What makes two mentions of an endpoint the same one. Weight, zone, thresholds and intervals are not part of it: changing them
/// must not forget what is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointKey {
    /// The service it belongs to.
    pub service: ServiceName,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its health check asks; a different question has a different answer.
    pub probe: ProbeKey,
}

/// A [`Probe`] as a hash key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProbeKey {
    /// `GET` of this path.
    Http(String),
    /// A connection.
    Tcp,
}

/// Health, load and identity of one address.
#[derive(Debug)]
pub struct Endpoint {
    key: EndpointKey,
    alias: Alias,
    check: ArcSwap<HealthCheck>,
    /// [`Health`] in the low byte, length of the streak that speaks against it above.
    judgement: AtomicU32,
    load: Arc<Load>,
    latency: Latency,
    ejection: Ejection,
    /// Nobody listened at the last attempt to connect.
    refuses: AtomicBool,
    entry: Entry,
    idle: Arc<IdleConnections>,
    suspicion: Arc<Notify>,
    checker: OnceLock<AbortHandle>,
}

/// Whether an endpoint may get requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not probed yet.
    Unknown,
    /// In rotation.
    Healthy,
    /// Out of rotation.
    Unhealthy,
}

/// A change of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Health before.
    pub from: Health,
    /// Health now.
    pub to: Health,
}

/// A request on its way to an endpoint. Dropping it is what ends the count, so it cannot be forgotten.
#[derive(Debug)]
pub struct InFlight(Arc<Endpoint>);

const STREAK_SHIFT: u32 = 8;
const HEALTH_MASK: u32 = 0xff;

// === impl Endpoint ===

impl Endpoint {
    /// An endpoint nobody has probed yet. Its requests are counted in `load`.
    pub fn new(key: EndpointKey, alias: Alias, check: HealthCheck, load: Arc<Load>) -> Self {
        let now = Instant::now();
        Self {
            key,
            alias,
            check: ArcSwap::from_pointee(check),
            judgement: AtomicU32::new(Health::Unknown as u32),
            load,
            latency: Latency::new(now),
            ejection: Ejection::new(now),
            refuses: AtomicBool::new(false),
            entry: Entry::new(now),
            idle: Arc::default(),
            suspicion: Arc::default(),
            checker: OnceLock::new(),
        }
    }

    /// Its identity.
    pub fn key(&self) -> &EndpointKey {
        &self.key
    }

    /// What stands for it in cookies.
    pub fn alias(&self) -> Alias {
        self.alias
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.key.address
    }

    /// How it is to be checked now.
    pub fn check(&self) -> Arc<HealthCheck> {
        self.check.load_full()
    }

    /// Changes how it is checked; what is known stays.
    pub fn set_check(&self, check: &HealthCheck) {
        if **self.check.load() != *check {
            self.check.store(Arc::new(check.clone()));
        }
    }

    /// Current health.
    pub fn health(&self) -> Health {
        Health::of(self.judgement.load(Ordering::Relaxed))
    }

    /// Whether it may get requests as far as is known: it is healthy and not ejected.
    pub fn is_usable(&self) -> bool {
        self.health() == Health::Healthy && !self.is_ejected()
    }

    /// Whether it gets no requests for a while because some failed on it.
    pub fn is_ejected(&self) -> bool {
        self.ejection.is_on()
    }

    /// Whether nobody listened there at the last attempt to connect.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Takes in whether somebody listens there.
    pub fn set_refuses(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// Takes in how a request ended. Answers how many have failed in a row.
    pub(super) fn judged(&self, success: bool) -> u32 {
        if success {
            self.ejection.succeeded();
            return 0;
        }
        self.ejection.failed()
    }

    /// Gives it no requests for a while; answers for how long. Its slow start begins afterwards. Callers take turns.
    pub(super) fn eject(&self, policy: &catalog_api::Ejection, now: Instant) -> Duration {
        let length = self.ejection.begin(policy, now);
        self.enter_rotation(now + length);
        length
    }

    /// Requests that are with its address now.
    pub fn in_flight(&self) -> u64 {
        self.load.in_flight()
    }

    /// The requests that are with its address.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// The same as [`Endpoint::enter`], unless it leaves.
    pub(super) fn try_enter(self: &Arc<Self>) -> Option<InFlight> {
        self.load.try_enter().then(|| InFlight(Arc::clone(self)))
    }

    /// Counts a request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.load.enter();
        InFlight(Arc::clone(self))
    }

    /// Average time until its answers begin; none before the first answer.
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        self.latency.get(now)
    }

    /// Takes in that an answer began so long after the request was sent.
    pub fn answered(&self, after: Duration, now: Instant) {
        self.latency.record(after, now);
    }

    /// Takes in that a request failed after so long.
    pub fn failed(&self, after: Duration, now: Instant) {
        self.latency.record_failure(after, now);
    }

    /// Its connections that wait for a request.
    pub(crate) fn idle(&self) -> &Arc<IdleConnections> {
        &self.idle
    }

    /// Begins its slow start. A check that brings it into the rotation does so by itself.
    pub fn enter_rotation(&self, now: Instant) {
        self.entry.set(now);
    }

    /// Whether it takes a request during its slow start.
    pub(super) fn takes(&self, slow_start: SlowStart) -> bool {
        self.entry.takes(slow_start)
    }

    /// Takes in the outcome of a check. The first one decides at once; later ones need as many in a row as the policy says.
    pub fn observe(&self, success: bool) -> Option<Transition> {
        let check = self.check.load();
        let judge = |judgement: u32| {
            let (health, streak) = (Health::of(judgement), judgement >> STREAK_SHIFT);
            let (verdict, needed) = match success {
                true => (Health::Healthy, u32::from(check.healthy_after)),
                false => (Health::Unhealthy, u32::from(check.unhealthy_after)),
            };
            if health == verdict {
                health as u32
            } else if health == Health::Unknown || streak + 1 >= needed {
                verdict as u32
            } else {
                health as u32 | (streak + 1) << STREAK_SHIFT
            }
        };
        let before =
            match self
                .judgement
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |judgement| {
                    Some(judge(judgement))
                }) {
                Ok(before) | Err(before) => before,
            };
        let (from, to) = (Health::of(before), Health::of(judge(before)));
        if from != to && to == Health::Healthy {
            self.enter_rotation(Instant::now());
        }
        (from != to).then_some(Transition { from, to })
    }

    /// Tells that a request failed on it: counts as a failed check, and the next check runs now instead of in its turn.
    pub fn suspect(&self) -> Option<Transition> {
        let transition = self.observe(false);
        self.suspicion.notify_one();
        transition
    }

    /// What [`Endpoint::suspect`] rings. Shared, so that whoever waits for it does not keep the endpoint alive.
    pub fn suspicion(&self) -> Arc<Notify> {
        Arc::clone(&self.suspicion)
    }

    /// Ties the task that checks this endpoint to its life.
    pub fn checked_by(&self, task: AbortHandle) {
        if let Err(second) = self.checker.set(task) {
            second.abort();
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(task) = self.checker.get() {
            task.abort();
        }
    }
}

// === impl EndpointKey ===

impl EndpointKey {
    /// The identity of an address of a service under a probe.
    pub fn new(service: ServiceName, address: SocketAddr, probe: &Probe) -> Self {
        let probe = match probe {
            Probe::Http { path } => ProbeKey::Http(path.clone()),
            Probe::Tcp => ProbeKey::Tcp,
        };
        Self {
            service,
            address,
            probe,
        }
    }
}

// === impl Health ===

impl Health {
    fn of(judgement: u32) -> Self {
        match judgement & HEALTH_MASK {
            1 => Self::Healthy,
            2 => Self::Unhealthy,
            _ => Self::Unknown,
        }
    }

    /// The word in logs and on the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

// === impl InFlight ===

impl InFlight {
    /// The endpoint that has the request.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.load.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::AliasKey, *};

    fn endpoint(healthy_after: u8, unhealthy_after: u8) -> Endpoint {
        let check = HealthCheck {
            healthy_after,
            unhealthy_after,
            ..HealthCheck::default()
        };
        let key = EndpointKey::new(
            "s".parse().unwrap(),
            "127.0.0.1:1".parse().unwrap(),
            &check.probe,
        );
        let alias = AliasKey::random().alias(&key);
        Endpoint::new(key, alias, check, Arc::default())
    }

    #[test]
    fn the_first_check_decides_and_later_ones_need_a_streak() {
        let endpoint = endpoint(2, 3);
        assert_eq!(endpoint.health(), Health::Unknown);
        assert_eq!(endpoint.observe(true).map(|t| t.to), Some(Health::Healthy));
        for success in [false, false, true, false, false] {
            assert_eq!(endpoint.observe(success), None);
        }
        assert_eq!(
            endpoint.observe(false).map(|t| t.to),
            Some(Health::Unhealthy)
        );
        assert_eq!(endpoint.observe(true), None);
        assert_eq!(endpoint.observe(true).map(|t| t.to), Some(Health::Healthy));
    }

    #[test]
    fn changing_thresholds_keeps_what_is_known() {
        let endpoint = endpoint(1, 3);
        endpoint.observe(true);
        endpoint.observe(false);
        let stricter = HealthCheck {
            unhealthy_after: 2,
            ..(*endpoint.check()).clone()
        };
        endpoint.set_check(&stricter);
        assert_eq!(endpoint.health(), Health::Healthy);
        assert_eq!(
            endpoint.observe(false).map(|t| t.to),
            Some(Health::Unhealthy)
        );
    }

    #[test]
    fn a_request_counts_until_its_guard_is_gone() {
        let endpoint = Arc::new(endpoint(1, 1));
        let guards: Vec<_> = (0..3).map(|_| endpoint.enter()).collect();
        assert_eq!(endpoint.in_flight(), 3);
        drop(guards);
        assert_eq!(endpoint.in_flight(), 0);
    }
}
