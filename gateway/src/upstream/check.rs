//! Active health checks: one small task per endpoint, so that a slow check delays nobody else's, over pingora-load-balancing's
//! probes.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use catalog_api::{HealthCheck, Probe};
use parking_lot::Mutex;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_load_balancing::{
    Backend,
    health_check::{HealthCheck as Check, HttpHealthCheck, TcpHealthCheck},
};
use rand::RngExt;
use tokio::{sync::Semaphore, time};

use super::{Endpoint, EndpointKey, Health, Transition};
use crate::metrics::GatewayMetrics;

/// Most checks under way at once, over all services.
const CHECKS_MAX: usize = 256;
/// Shortest time between two checks of one endpoint, however often it is suspected.
const CHECK_GAP_MIN: Duration = Duration::from_millis(50);
/// Largest change of an interval by jitter, in percent, so that checks of a fleet do not fall into step.
const JITTER_PERCENT: u32 = 20;

/// Runs the checks of every endpoint.
pub struct HealthChecker {
    permits: Arc<Semaphore>,
    /// One probe per service and question: a probe owns a connector, which is too much to have per endpoint.
    probes: Mutex<HashMap<ProbeId, Weak<SharedCheck>>>,
    metrics: Arc<GatewayMetrics>,
}

type SharedCheck = dyn Check + Send + Sync;

#[derive(Clone, PartialEq, Eq, Hash)]
struct ProbeId {
    key: EndpointKey,
    timeout: Duration,
}

// === impl HealthChecker ===

impl HealthChecker {
    /// A checker without endpoints.
    pub fn new(metrics: Arc<GatewayMetrics>) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(CHECKS_MAX)),
            probes: Mutex::default(),
            metrics,
        })
    }

    /// Checks an endpoint now and then in its interval, for as long as the endpoint exists. Needs a tokio runtime.
    pub fn watch(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let checker = Arc::clone(self);
        let (watched, suspicion) = (Arc::downgrade(endpoint), endpoint.suspicion());
        let task = tokio::spawn(async move {
            while let Some(interval) = checker.check(&watched).await {
                time::sleep(CHECK_GAP_MIN).await;
                let _suspected_or_due =
                    time::timeout(interval.saturating_sub(CHECK_GAP_MIN), suspicion.notified())
                        .await;
            }
        });
        endpoint.checked_by(task.abort_handle());
    }

    /// One check. Answers when the next one is due; none when the endpoint is gone.
    async fn check(&self, watched: &Weak<Endpoint>) -> Option<Duration> {
        let _permit = self.permits.acquire().await.ok()?;
        let endpoint = watched.upgrade()?;
        let check = endpoint.check();
        let probe = self.probe(endpoint.key(), &check);
        let backend = Backend {
            addr: SocketAddr::Inet(endpoint.address()),
            weight: 1,
            ext: Default::default(),
        };
        // Pingora's read timeout is per read; this one is for the whole check.
        let outcome = time::timeout(check.timeout.get(), probe.check(&backend)).await;
        let reason = match &outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.etype().as_str()),
            Err(_) => Some("no answer in time"),
        };
        endpoint.set_refuses(matches!(&outcome, Ok(Err(error)) if is_refusal(error)));
        if let Some(transition) = endpoint.observe(reason.is_none()) {
            self.report(&endpoint, transition, reason.unwrap_or("passed"));
        }
        Some(jittered(check.interval.get()))
    }

    /// Logs and counts a change of health, whoever noticed it.
    pub fn report(&self, endpoint: &Endpoint, transition: Transition, reason: &str) {
        let EndpointKey {
            service, address, ..
        } = endpoint.key();
        let Transition { from, to } = transition;
        match (from, to) {
            (Health::Healthy, Health::Unhealthy) => {
                self.metrics.ejected(service);
                tracing::warn!(%service, endpoint = %address, reason, "endpoint left the rotation");
            }
            (_, Health::Unhealthy) => {
                tracing::info!(%service, endpoint = %address, reason, "endpoint failed its first check");
            }
            (_, Health::Healthy | Health::Unknown) => {
                tracing::info!(%service, endpoint = %address, "endpoint is in rotation");
            }
        }
    }

    /// Logs and counts that an endpoint gets no requests for a while.
    pub fn report_ejection(&self, endpoint: &Endpoint, length: Duration) {
        let EndpointKey {
            service, address, ..
        } = endpoint.key();
        self.metrics.ejected(service);
        tracing::warn!(%service, endpoint = %address, seconds = length.as_secs_f64(), "endpoint ejected: requests fail on it");
    }

    fn probe(&self, key: &EndpointKey, check: &HealthCheck) -> Arc<SharedCheck> {
        let id = ProbeId {
            key: EndpointKey {
                address: ([0, 0, 0, 0], 0).into(),
                ..key.clone()
            },
            timeout: check.timeout.get(),
        };
        let mut probes = self.probes.lock();
        if let Some(probe) = probes.get(&id).and_then(Weak::upgrade) {
            return probe;
        }
        probes.retain(|_, probe| probe.strong_count() > 0);
        let probe: Arc<SharedCheck> = match &check.probe {
            Probe::Http { path } => {
                Arc::new(http_probe(key.service.as_str(), path, check.timeout.get()))
            }
            Probe::Tcp => {
                let mut probe = TcpHealthCheck::default();
                probe.peer_template.options.connection_timeout = Some(check.timeout.get());
                Arc::new(probe)
            }
        };
        probes.insert(id, Arc::downgrade(&probe));
        probe
    }
}

/// Whether an attempt to connect met nobody who listens.
pub(crate) fn is_refusal(error: &pingora_error::Error) -> bool {
    matches!(
        error.etype(),
        pingora_error::ErrorType::ConnectRefused | pingora_error::ErrorType::ConnectNoRoute
    )
}

fn http_probe(host: &str, path: &str, timeout: Duration) -> HttpHealthCheck {
    let mut probe = HttpHealthCheck::new(host, false);
    probe.peer_template.options.connection_timeout = Some(timeout);
    probe.peer_template.options.read_timeout = Some(timeout);
    if let Ok(uri) = path.parse() {
        probe.req.set_uri(uri);
    }
    probe.validator = Some(Box::new(|response| match response.status.as_u16() {
        200..=399 => Ok(()),
        status => pingora_error::Error::e_explain(
            pingora_error::ErrorType::CustomCode("unexpected status", status),
            "health check",
        ),
    }));
    probe
}

fn jittered(interval: Duration) -> Duration {
    let percent = rand::rng().random_range(100 - JITTER_PERCENT..=100);
    interval * percent / 100
}
