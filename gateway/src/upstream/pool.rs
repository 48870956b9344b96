//! The endpoints of one service under one policy, as one snapshot has them.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Instant};

use catalog_api::{BalanceKind, InstanceId, Policy, ServiceId, ServiceName, Status};
use http::HeaderValue;

use super::{
    Affinity, Balancer, Client, Endpoint, Health, InFlight, RetryBudget, affinity::Homes,
    slow_start::SlowStart,
};
use crate::metrics::ServiceMetrics;

/// An immutable pool.
#[derive(Debug)]
pub struct Pool {
    service: ServiceName,
    id: ServiceId,
    policy: Policy,
    members: Box<[Member]>,
    balancer: Balancer,
    /// Only when the policy asks for sticky sessions.
    homes: Option<Homes>,
    carried: Carried,
}

/// What a service keeps from one pool to the next.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Counters of the service, resolved once.
    pub metrics: Arc<ServiceMetrics>,
    /// What its retries have left.
    pub budget: Arc<RetryBudget>,
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
    /// A pool of members. Those that the catalog takes out of traffic are kept for the admin API but never picked.
    pub fn new(
        service: ServiceName,
        id: ServiceId,
        policy: Policy,
        members: Vec<Member>,
        carried: Carried,
    ) -> Self {
        // Two instances on one address are one endpoint with both shares.
        let mut shares: BTreeMap<SocketAddr, (Arc<Endpoint>, usize)> = BTreeMap::new();
        for member in members.iter().filter(|member| member.is_eligible()) {
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
            service,
            id,
            policy,
            members: members.into(),
            carried,
        }
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
    /// Healthy ones first. When there is none, one that was never probed is better than an error: its first check is under way
    /// and a failed connection is retried.
    ///
    /// # Errors
    /// [`NoEndpoint`] says why there is nobody.
    pub fn pick_for(&self, affinity: &Affinity, tried: &Tried) -> Result<InFlight, NoEndpoint> {
        let untried = |health: Health| {
            move |endpoint: &Endpoint| {
                endpoint.health() == health && !tried.contains(endpoint.address())
            }
        };
        (affinity.home.as_ref())
            .filter(|home| untried(Health::Healthy)(home))
            .map(Arc::clone)
            .or_else(|| self.warm(untried(Health::Healthy)))
            .or_else(|| (self.balancer).first(affinity.hash, untried(Health::Healthy)))
            .or_else(|| (self.balancer).first(affinity.hash, untried(Health::Unknown)))
            .map(|endpoint| endpoint.enter())
            .ok_or_else(|| self.why_nobody())
    }

    /// With a slow start, the first candidate that takes the request; when all of them decline, the start is over for this one.
    fn warm(&self, usable: impl Fn(&Endpoint) -> bool) -> Option<Arc<Endpoint>> {
        let slow_start = SlowStart {
            length: self.policy.balance.slow_start?.get(),
            now: Instant::now(),
        };
        // Never together with a consistent hash, so there is no key.
        self.balancer.first(None, |endpoint| {
            usable(endpoint) && endpoint.takes(slow_start)
        })
    }

    fn why_nobody(&self) -> NoEndpoint {
        let mut eligible = self
            .members
            .iter()
            .filter(|member| member.is_eligible())
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
