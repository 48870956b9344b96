//! Calls, those that are answered at once and those that are answered later, with what they share.

use std::sync::Arc;

use database::{
    cache::{MemoryCache, TOTAL_BYTES_MAX},
    jobs::{JobLimits, MemoryJobs},
};
use service_kit::{metrics::Metrics, secret::Secret, shutdown::Shutdown};

use super::{core::Core, shared::Sharing};
use crate::{
    answers::Answers,
    calls::Calls,
    deferred::{Deferred, DeferredMetrics, Runner},
    history::History,
};

/// Everything about calls.
pub(super) struct Calling {
    pub(super) history: Arc<History>,
    pub(super) calls: Arc<Calls>,
    pub(super) deferred: Arc<Deferred>,
    /// Carries out what is answered later.
    pub(super) runner: Runner,
}

// === impl Calling ===

impl Calling {
    /// `sharing`: what catalogs share, if they do.
    pub(super) fn new(
        core: &Core,
        sharing: Option<&Sharing>,
        token: Secret,
        jobs: JobLimits,
        metrics: &Metrics,
        stopped: &Shutdown,
    ) -> Self {
        let live = &core.registry.live;
        let history = Arc::new(History::new(sharing.map(Sharing::history)));
        let answers = Answers::new(sharing.map_or_else(
            || Arc::new(MemoryCache::new(TOTAL_BYTES_MAX)) as _,
            Sharing::answers,
        ));
        let calls = Arc::new(Calls::new(
            Arc::clone(live),
            Arc::clone(core.witnesses.flights()),
            token,
            Arc::clone(&core.metrics),
            Arc::clone(&history),
            answers,
        ));
        let queue = match sharing {
            Some(sharing) => sharing.jobs(jobs.clone()),
            None => Arc::new(MemoryJobs::new(jobs.clone())),
        };
        let deferred = Arc::new(Deferred::new(
            queue,
            jobs,
            DeferredMetrics::new(metrics),
            stopped.clone(),
        ));
        let runner = Runner::new(
            Arc::clone(&deferred),
            Arc::clone(&calls),
            Arc::clone(&history),
            Arc::clone(live),
        );
        Self {
            history,
            calls,
            deferred,
            runner,
        }
    }
}
