//! What a service keeps from one pool to the next.

use std::sync::{Arc, Weak};

use catalog_api::{Policy, ServiceName};
use parking_lot::Mutex;
use service_kit::retry_budget::{Allowance, RetryBudget};

use super::{Breaker, Concurrency, Pool};
use crate::metrics::ServiceMetrics;

/// What is known of a service, besides of its endpoints. Survives every change of the catalog.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Counters of the service, resolved once.
    pub metrics: Arc<ServiceMetrics>,
    /// What its retries have left.
    pub budget: Arc<RetryBudget>,
    /// Requests that are with it, where that has a limit.
    pub concurrency: Arc<Concurrency>,
    /// Whether it is asked at all; none without a policy.
    pub breaker: Option<Arc<Breaker>>,
    /// Whoever ejects an endpoint holds it, so that two do not eject one too many. Nobody waits for it.
    pub(super) ejecting: Arc<Mutex<()>>,
    /// The pool that took over last. Locked by whoever builds a snapshot, and by a request that was late to pick.
    pub(super) newest: Arc<Mutex<Weak<Pool>>>,
}

/// Retries of a service besides its share of requests.
const RETRIES: Allowance = Allowance {
    reserve: 100,
    trickle: 10,
    saved_max: 2_000,
};

// === impl Carried ===

impl Carried {
    /// What a service that has just come begins with.
    pub fn new(metrics: Arc<ServiceMetrics>) -> Self {
        Self {
            metrics,
            budget: Arc::new(RetryBudget::new(RETRIES)),
            concurrency: Arc::default(),
            breaker: None,
            ejecting: Arc::default(),
            newest: Arc::default(),
        }
    }

    /// The same under a policy. A breaker goes on unless its own policy changed.
    #[must_use]
    pub fn under(mut self, service: &ServiceName, policy: &Policy) -> Self {
        let before = self.breaker.take();
        self.breaker = policy.breaker.as_ref().map(|wanted| {
            before
                .filter(|breaker| breaker.policy() == wanted)
                .unwrap_or_else(|| {
                    let openings = self.metrics.breaker_openings().clone();
                    Arc::new(Breaker::new(service.clone(), wanted.clone(), openings))
                })
        });
        self
    }
}
