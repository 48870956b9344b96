//! The endpoints of one service under one policy, as one snapshot has them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::{BalanceKind, InstanceId, Policy, ServiceId, ServiceName, Status};
use http::HeaderValue;
use service_kit::retry_budget::RetryBudget;

use super::{
    Affinity, Balancer, Because, Breaker, Carried, Choice, Client, Concurrency, Endpoint, Health,
    InFlight, Load, Standing, Start, Turn, affinity::Homes, panic::Panic, slow_start::SlowStart,
};
use crate::metrics::ServiceMetrics;

/// An immutable pool.
#[derive(Debug)]
pub struct Pool {
    service: ServiceName,
    id: ServiceId,
    policy: Policy,
    members: Box<[Member]>,
    /// Instances that finish what they have. One with several addresses is there several times.
    draining: Box<[(InstanceId, Arc<Load>)]>,
    /// The catalog reaches none of the members.
    is_blind: bool,
    balancer: Balancer,
    /// Only when the policy asks for sticky sessions.
    homes: Option<Homes>,
    /// Only when there may ever be a panic.
    panic: Option<Panic>,
    carried: Carried,
}

/// An instance of the catalog with the endpoint that carries its state.
#[derive(Clone, Debug)]
pub struct Member {
    /// Id of the instance in the catalog.
    pub instance: InstanceId,
    /// Share of the traffic.
    pub weight: u16,
    /// What the catalog says.
    pub status: Status,
    /// What the gateway knows.
    pub endpoint: Arc<Endpoint>,
}

/// Addresses that this request has already failed on.
#[derive(Debug, Default)]
pub struct Tried(Vec<SocketAddr>);

/// The service has nobody to send a request to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEndpoint {
    /// No instance may get requests.
    Empty,
    /// All that may are unhealthy.
    AllUnhealthy,
    /// All that are left have been tried by this request.
    AllTried,
}

// === impl Pool ===

impl Pool {
    /// A pool of members. Those that the catalog takes out of traffic are kept for the admin API but not picked; unless the catalog
    /// reaches none of them: then it may be the catalog that is cut off, and the checks made here decide.
    pub fn new(
        service: ServiceName,
        id: ServiceId,
        policy: Policy,
        members: Vec<Member>,
        carried: Carried,
    ) -> Self {
        let is_blind = !members.iter().any(Member::is_eligible);
        // Two instances on one address are one endpoint with both shares.
        let mut shares: BTreeMap<SocketAddr, (Arc<Endpoint>, usize)> = BTreeMap::new();
        for member in members.iter().filter(|member| member.is_usable(is_blind)) {
            let share = shares
                .entry(member.endpoint.address())
                .or_insert_with(|| (Arc::clone(&member.endpoint), 0));
            share.1 += usize::from(member.weight);
        }
        let eligible: Vec<_> = shares.into_values().collect();
        Self {
            balancer: Balancer::new(&policy.balance.kind, &eligible),
            homes: (policy.balance.sticky.as_ref())
                .map(|sticky| Homes::new(sticky, eligible.iter().map(|(endpoint, _)| endpoint))),
            panic: Panic::new(
                eligible.iter().map(|(endpoint, _)| Arc::clone(endpoint)),
                policy.panic_percent.get(),
            ),
            draining: members
                .iter()
                .filter(|member| member.status == Status::Draining)
                .map(|member| (member.instance.clone(), Arc::clone(member.endpoint.load())))
                .collect(),
            service,
            id,
            policy,
            members: members.into(),
            is_blind,
            carried,
        }
    }

    /// Makes this the pool of the service: from now on, whoever picks by an older one gets nobody that only drains here.
    pub fn take_over(self: &Arc<Self>) {
        *self.carried.newest.lock() = Arc::downgrade(self);
        let is_at = |load: &Arc<Load>, member: &Member| Arc::ptr_eq(member.endpoint.load(), load);
        // Of two instances on one address, one may go on.
        let goes_on = |load: &Arc<Load>| {
            let mut members = self.members.iter();
            members.any(|member| is_at(load, member) && self.may_pick(member))
        };
        let leaving: Vec<&Arc<Load>> = (self.draining.iter())
            .map(|(_, load)| load)
            .filter(|load| !goes_on(load))
            .collect();
        for member in &self.members {
            let leaves = leaving.iter().any(|load| is_at(load, member));
            member.endpoint.load().set_leaving(leaves);
        }
    }

    /// Instances that drain, with the requests at each of their addresses.
    pub fn draining(&self) -> &[(InstanceId, Arc<Load>)] {
        &self.draining
    }

    /// Name of the service.
    pub fn service(&self) -> &ServiceName {
        &self.service
    }

    /// Id of the service.
    pub fn id(&self) -> ServiceId {
        self.id
    }

    /// Rules of the service.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Every instance, also those out of traffic.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a member may be picked when it is healthy.
    pub fn may_pick(&self, member: &Member) -> bool {
        member.is_usable(self.is_blind)
    }

    /// What outlives this pool.
    pub fn carried(&self) -> &Carried {
        &self.carried
    }

    /// Counters of the service.
    pub fn metrics(&self) -> &ServiceMetrics {
        &self.carried.metrics
    }

    /// What its retries have left.
    pub fn budget(&self) -> &RetryBudget {
        &self.carried.budget
    }

    /// Requests that are with it, where that has a limit.
    pub fn concurrency(&self) -> &Arc<Concurrency> {
        &self.carried.concurrency
    }

    /// Whether it is asked at all; none without a policy.
    pub fn breaker(&self) -> Option<&Arc<Breaker>> {
        self.carried.breaker.as_ref()
    }

    /// What ties a request to one of the endpoints.
    pub fn affinity(&self, client: &Client<'_>) -> Affinity {
        Affinity {
            hash: match &self.policy.balance.kind {
                BalanceKind::ConsistentHash(by) => Affinity::hash(by, client),
                _ => None,
            },
            home: self.homes.as_ref().and_then(|homes| homes.home(client)),
        }
    }

    /// The `Set-Cookie` by which the client stays at this endpoint. None when it is there already or when nobody stays.
    pub fn set_cookie(
        &self,
        affinity: &Affinity,
        endpoint: &Arc<Endpoint>,
    ) -> Option<&HeaderValue> {
        let at_home = |home: &Arc<Endpoint>| Arc::ptr_eq(home, endpoint);
        let homes = self.homes.as_ref()?;
        match &affinity.home {
            Some(home) if at_home(home) => None,
            _ => homes.set_cookie(endpoint),
        }
    }

    /// Chooses an endpoint for a request without ties and counts the request on it.
    ///
    /// # Errors
    /// As [`Pool::pick_for`].
    pub fn pick(&self, tried: &Tried) -> Result<InFlight, NoEndpoint> {
        self.pick_for(&Affinity::default(), tried)
    }

    /// Chooses an endpoint and counts the request on it. Where the client stays comes first, as long as it is healthy.
    ///
    /// Healthy ones first, in panic all that may be alive, but not for another attempt. When there is none, one that was never probed
    /// is better than an error: its first check is under way and a failed connection is retried. So is one that is only ejected.
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is nobody.
    pub fn pick_for(&self, affinity: &Affinity, tried: &Tried) -> Result<InFlight, NoEndpoint> {
        let endpoint = self.choose(affinity, tried, Turn::Take)?.endpoint;
        let entered = endpoint.try_enter();
        // Where it leaves, the request has an older pool: it waited, or this is another attempt.
        let entered = entered.or_else(|| self.pick_from_newest(affinity, tried));
        // Where everybody leaves, one that leaves is better than an error.
        Ok(entered.unwrap_or_else(|| endpoint.enter()))
    }

    fn pick_from_newest(&self, affinity: &Affinity, tried: &Tried) -> Option<InFlight> {
        let newest = self.carried.newest.lock().upgrade()?;
        let affinity = Affinity {
            hash: affinity.hash,
            home: None,
        };
        let choice = newest.choose(&affinity, tried, Turn::Take).ok()?;
        choice.endpoint.try_enter()
    }

    /// What [`Pool::pick_for`] would choose next, without choosing: nothing is counted and nobody's turn is taken. Where chance decides,
    /// another call may answer another one.
    ///
    /// # Errors
    /// As [`Pool::pick_for`].
    pub fn peek(&self, affinity: &Affinity) -> Result<Choice, NoEndpoint> {
        self.choose(affinity, &Tried::default(), Turn::Peek)
    }

    fn choose(&self, affinity: &Affinity, tried: &Tried, turn: Turn) -> Result<Choice, NoEndpoint> {
        let untried = |endpoint: &Endpoint| !tried.contains(endpoint.address());
        let panics = tried.count() == 0 && self.panics();
        let usable = |endpoint: &Endpoint| {
            let may = endpoint.is_usable() || panics && Panic::takes(endpoint);
            may && untried(endpoint)
        };
        let by = |because: Because| move |endpoint| Choice { endpoint, because };
        if let Some(home) = &affinity.home
            && usable(home)
        {
            return Ok(by(Because::StickyCookie)(Arc::clone(home)));
        }
        let start = self.balancer.start(turn);
        let of_health = |health| {
            let wanted = |endpoint: &Endpoint| endpoint.health() == health && untried(endpoint);
            self.balancer.first(start, affinity.hash, wanted)
        };
        let balanced = if panics {
            Because::Panic
        } else {
            Because::Balance
        };
        self.warm(start, usable)
            .or_else(|| self.balancer.first(start, affinity.hash, usable))
            .map(by(balanced))
            .or_else(|| of_health(Health::Unknown).map(by(Because::NotYetProbed)))
            .or_else(|| of_health(Health::Healthy).map(by(Because::Ejected)))
            .ok_or_else(|| self.why_nobody())
    }

    /// Whether too few endpoints are healthy.
    fn panics(&self) -> bool {
        self.panic.as_ref().is_some_and(Panic::is_on)
    }

    /// Takes in how a request ended on an endpoint. Answers for how long it is ejected when that was one failure too many.
    pub fn judge(&self, endpoint: &Endpoint, success: bool) -> Option<Duration> {
        let policy = self.policy.ejection.as_ref()?;
        if endpoint.judged(success) < policy.failures.into() {
            return None;
        }
        // When somebody else is just ejecting one, the next failure will do.
        let _alone = self.carried.ejecting.try_lock()?;
        if endpoint.is_ejected() {
            return None;
        }
        let members = || self.members.iter().filter(|member| self.may_pick(member));
        let is_out = |member: &&Member| member.endpoint.is_ejected();
        let (all, out) = (members().count(), members().filter(is_out).count());
        let most = (all * usize::from(policy.percent_max) / 100).max(1);
        // The last one stays: a service that fails is better left alone by a breaker, which says so to clients.
        (out < most.min(all.saturating_sub(1))).then(|| endpoint.eject(policy, Instant::now()))
    }

    /// With a slow start, the first candidate that takes the request; when all of them decline, the start is over for this one.
    fn warm(&self, start: Start, usable: impl Fn(&Endpoint) -> bool) -> Option<Arc<Endpoint>> {
        let slow_start = SlowStart {
            length: self.policy.balance.slow_start?.get(),
            now: Instant::now(),
        };
        // Never together with a consistent hash, so there is no key.
        self.balancer.first(start, None, |endpoint| {
            usable(endpoint) && endpoint.takes(slow_start)
        })
    }

    /// How an instance of this pool stands now.
    pub fn standing(&self, member: &Member) -> Standing {
        let is_healthy =
            |member: &Member| member.is_eligible() && member.endpoint.health() == Health::Healthy;
        match (member.is_eligible(), member.endpoint.health()) {
            (false, _) => Standing::OutOfTraffic,
            (true, Health::Healthy) if !member.endpoint.is_ejected() => Standing::InRotation,
            (true, Health::Healthy | Health::Unhealthy)
                if self.panics() && Panic::takes(&member.endpoint) =>
            {
                Standing::Panic
            }
            (true, Health::Healthy) => Standing::Ejected,
            (true, Health::Unhealthy) => Standing::Unhealthy,
            (true, Health::Unknown) if self.members.iter().any(is_healthy) => {
                Standing::NotYetProbed
            }
            (true, Health::Unknown) => Standing::LastResort,
        }
    }

    fn why_nobody(&self) -> NoEndpoint {
        let mut eligible = self
            .members
            .iter()
            .filter(|member| self.may_pick(member))
            .peekable();
        if eligible.peek().is_none() {
            NoEndpoint::Empty
        } else if eligible.all(|member| member.endpoint.health() == Health::Unhealthy) {
            NoEndpoint::AllUnhealthy
        } else {
            NoEndpoint::AllTried
        }
    }
}

// === impl Member ===

impl Member {
    /// Whether the catalog lets it have requests.
    pub fn is_eligible(&self) -> bool {
        matches!(self.status, Status::Passing | Status::Suspect)
    }

    fn is_usable(&self, is_blind: bool) -> bool {
        self.is_eligible() || (is_blind && self.status == Status::Critical)
    }
}

// === impl Tried ===

impl Tried {
    /// Remembers a failure.
    pub fn add(&mut self, address: SocketAddr) {
        self.0.push(address);
    }

    /// How many attempts have failed.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn contains(&self, address: SocketAddr) -> bool {
        self.0.contains(&address)
    }
}
