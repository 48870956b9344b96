//! Endpoints by identity, so that a new snapshot finds the ones that are already known.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use catalog_api::{HealthCheck, ServiceName};
use tokio::sync::Notify;

use super::{AliasKey, Endpoint, EndpointKey, HealthChecker, Load};

/// Every endpoint that some pool or request still holds. Owned by the one task that builds snapshots, so it needs no lock.
pub struct Endpoints {
    known: HashMap<EndpointKey, Weak<Endpoint>>,
    /// An endpoint of another question at the same address shares its load.
    loads: HashMap<(ServiceName, SocketAddr), Weak<Load>>,
    bell: Arc<Notify>,
    checker: Option<Arc<HealthChecker>>,
    names: AliasKey,
    /// Size at which dead entries are swept out next.
    sweep_at: usize,
}

/// Fewest entries worth a sweep.
const SWEEP_MIN: usize = 64;

// === impl Endpoints ===

impl Endpoints {
    /// An empty registry. Without a checker, endpoints keep the health they are told (for tests of pure parts).
    pub fn new(checker: Option<Arc<HealthChecker>>) -> Self {
        Self {
            known: HashMap::new(),
            loads: HashMap::new(),
            bell: Arc::default(),
            checker,
            names: AliasKey::random(),
            sweep_at: SWEEP_MIN,
        }
    }

    /// The same, with aliases under this key instead of one that ends with the process.
    #[must_use]
    pub fn naming(mut self, names: AliasKey) -> Self {
        self.names = names;
        self
    }

    /// Rings when requests of a draining endpoint come or go.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// The endpoint of this identity, with everything known about it, or a new one whose first check starts now.
    pub fn intern(&mut self, key: EndpointKey, check: &HealthCheck) -> Arc<Endpoint> {
        if let Some(endpoint) = self.known.get(&key).and_then(Weak::upgrade) {
            endpoint.set_check(check);
            return endpoint;
        }
        let endpoint = Arc::new(Endpoint::new(
            key.clone(),
            self.names.alias(&key),
            check.clone(),
            self.load(&key),
        ));
        if let Some(checker) = &self.checker {
            checker.watch(&endpoint);
        }
        self.known.insert(key, Arc::downgrade(&endpoint));
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, endpoint| endpoint.strong_count() > 0);
            self.loads.retain(|_, load| load.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.known.len());
        }
        endpoint
    }

    fn load(&mut self, key: &EndpointKey) -> Arc<Load> {
        let known = self.loads.entry((key.service.clone(), key.address));
        let known = known.or_default();
        known.upgrade().unwrap_or_else(|| {
            let load = Arc::new(Load::new(Arc::clone(&self.bell)));
            *known = Arc::downgrade(&load);
            load
        })
    }
}
