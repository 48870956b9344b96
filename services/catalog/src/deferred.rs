//! Calls that are answered later (`Prefer: respond-async`, RFC 7240 §4.1): taken in whole, carried out by a bounded number of workers in
//! the same way as any other call, and their answers kept for a while for whoever comes and asks.
//!
//! They wait in a queue of this process, which is lost with it, or in one that all catalogs on a Redis share: then any of them carries a
//! call out and knows the answer, and when one dies, the others go on. While Redis is away a caller gets the answer itself. How often a call is begun follows from its method: an idempotent one
//! (RFC 9110 §9.2.2) again when a worker fell silent, any other one once, and then nobody can say what became of it. A call has
//! its limits as any other one while it is carried out; its time begins when it is begun.
//!
//! What is in the queue has no token of the catalog's in it, but credentials for the service itself.

mod call;
mod fields;
mod label;
mod metrics;
mod outcome;
mod report;
mod runner;
mod worker;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use catalog_api::Service;
use database::jobs::{Job, JobId, JobLimits, JobQueue, PutError};
use service_kit::shutdown::Shutdown;
use tokio::sync::Notify;

use self::{call::KeptCall, label::Label, outcome::Outcome};
pub(crate) use self::{metrics::DeferredMetrics, outcome::Failure, report::Report, runner::Runner};
use crate::{auth::Credentials, calls::Head};

/// Longest content of a call that is answered later, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Longest content of an answer that is kept, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// When a caller should come back for an answer.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Calls on their way, and their answers.
pub(crate) struct Deferred {
    queue: Arc<dyn JobQueue>,
    limits: JobLimits,
    /// Rings when there is something to do.
    arrived: Notify,
    metrics: DeferredMetrics,
    stopped: Shutdown,
}

/// Why a call is not answered later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeferError {
    /// See [`PutError`].
    #[error(transparent)]
    Put(#[from] PutError),
    /// This process stops, and what it has is lost with it.
    #[error("the catalog is stopping")]
    Stopping,
}

/// Why nothing can be said about a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// The queue cannot be reached.
    #[error(transparent)]
    Away(#[from] database::SharedError),
    /// It is not what this version writes.
    #[error("what is kept cannot be read")]
    Unreadable,
}

// === impl Deferred ===

impl Deferred {
    /// `limits` are those of the queue. `stopped`: what comes after it is refused where it would be lost.
    pub(crate) fn new(
        queue: Arc<dyn JobQueue>,
        limits: JobLimits,
        metrics: DeferredMetrics,
        stopped: Shutdown,
    ) -> Self {
        Self {
            queue,
            limits,
            arrived: Notify::new(),
            metrics,
            stopped,
        }
    }

    /// Takes a call in. The answer tells under which name it can be asked for.
    pub(crate) async fn put(
        &self,
        service: &Service,
        head: &Head,
        body: &Bytes,
        credentials: Credentials,
    ) -> Result<Report, DeferError> {
        if !self.queue.is_shared() && self.stopped.is_requested() {
            return Err(DeferError::Stopping);
        }
        let label = Label::new(service, head);
        let work = KeptCall::write(service.id, head, body, credentials);
        let job = Job {
            id: JobId::random(),
            label: label.to_bytes(),
            work,
            is_repeatable: label.is_repeatable(),
        };
        let id = job.id;
        let put = self.queue.put(job).await;
        self.metrics.put(&put);
        put?;
        self.arrived.notify_one();
        Ok(Report::pending(id, label))
    }

    /// What is known of a call; none when it never was, or is forgotten.
    pub(crate) async fn look(&self, id: JobId) -> Result<Option<Report>, LookError> {
        let Some(seen) = self.queue.look(id).await? else {
            return Ok(None);
        };
        let label = Label::read(&seen.label).ok_or(LookError::Unreadable)?;
        let Some(outcome) = seen.outcome else {
            return Ok(Some(Report::pending(id, label)));
        };
        let outcome = Outcome::read(&outcome).ok_or(LookError::Unreadable)?;
        Ok(Some(Report::finished(id, label, outcome, self.limits.kept)))
    }

    /// For how long answers are kept.
    pub(crate) fn kept(&self) -> Duration {
        self.limits.kept
    }
}
