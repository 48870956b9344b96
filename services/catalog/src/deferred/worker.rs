//! Carries out one call: as any other one, but that nobody waits, so that the answer is collected.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use catalog_api::{Service, ServiceRef};
use database::jobs::{Held, JobId};
use futures_util::FutureExt as _;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use service_kit::{
    backoff::Backoff,
    http::{Response, body},
};
use tokio::time::Instant;

use super::{ANSWER_BYTES_MAX, Deferred, Failure, KeptCall, Label, Outcome, metrics::Event};
use crate::{
    calls::{Calls, Inbound},
    follower::chain,
    history::{Ended, History},
    problem,
    state::Live,
};

/// Pauses before an outcome is offered again that the queue did not take.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// For how long an outcome waits for the queue.
const OUTCOME_WAIT_MAX: Duration = Duration::from_secs(10 * 60);

/// What workers need.
pub(super) struct Worker {
    pub(super) deferred: Arc<Deferred>,
    pub(super) calls: Arc<Calls>,
    pub(super) history: Arc<History>,
    pub(super) live: Arc<Live>,
}

// === impl Worker ===

impl Worker {
    /// Carries a call out and has its outcome kept.
    pub(super) async fn work(&self, held: &Held) {
        self.deferred.metrics.happened(Event::Begun);
        let outcome = self.outcome(held).await;
        self.finish(held.hold.job, &outcome).await;
    }

    async fn outcome(&self, held: &Held) -> Outcome {
        let Some(label) = Label::read(&held.label) else {
            tracing::error!("a call that is to be answered later has no label");
            return Outcome::problem(&service_kit::problem::Problem::internal(), "");
        };
        let fail = |failure| Outcome::failure(failure, &label.service, &label.request_id);
        let Some(call) = KeptCall::read(&held.work) else {
            tracing::error!(
                request.id = label.request_id,
                "a call that is to be answered later cannot be read"
            );
            self.takes_down(&label, held.run, Failure::Unreadable);
            return fail(Failure::Unreadable);
        };
        let snapshot = self.live.load();
        // The name as well: in a catalog that was restored the id may be another service's.
        let entry = snapshot.get(&ServiceRef::Id(call.service));
        let entry = entry.filter(|entry| entry.service.name == label.service);
        let Some(entry) = entry.cloned() else {
            self.takes_down(&label, held.run, Failure::Gone);
            return fail(Failure::Gone);
        };
        // The call may take long, and a snapshot is large.
        drop(snapshot);
        match self.answer(&entry.service, call, held.run).await {
            Ok(response) => match collect(response).await {
                Ok(outcome) => outcome,
                Err(failure) => fail(failure),
            },
            Err(problem) => Outcome::problem(&problem, &label.request_id),
        }
    }

    async fn answer(
        &self,
        service: &Service,
        call: KeptCall,
        run: u32,
    ) -> Result<Response, service_kit::problem::Problem> {
        let KeptCall {
            head,
            body: bytes,
            credentials,
            ..
        } = call;
        let path = head.target.path();
        let mut ticket = self
            .calls
            .ticket(service, &head.method, path, &head.request_id);
        ticket.is_run(run);
        let passed = match credentials.admit(service.policy.call) {
            Ok(()) => {
                let inbound = Inbound {
                    head,
                    body: body::full(bytes),
                };
                let passed = self.calls.pass(service, inbound, &mut ticket).await;
                passed.map_err(|error| problem::from_call(&error, &service.name))
            }
            Err(refused) => Err(refused),
        };
        match passed {
            Ok(passed) => Ok(self.calls.answered(service, passed, ticket)),
            Err(problem) => {
                self.calls.refused(service, problem.status(), ticket);
                Err(problem)
            }
        }
    }

    /// Has an outcome kept. It is worth some patience: without it a call is carried out again, or nobody knows what became of it.
    async fn finish(&self, job: JobId, outcome: &Outcome) {
        let bytes = outcome.to_bytes();
        let end = Instant::now() + OUTCOME_WAIT_MAX;
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            match self.deferred.queue.finish(job, bytes.clone()).await {
                Ok(is_first) => {
                    if is_first {
                        self.counts(outcome);
                    }
                    return;
                }
                Err(error) if Instant::now() >= end => {
                    tracing::error!(error = %chain(&error), "the answer to a call is lost");
                    return;
                }
                Err(error) => {
                    tracing::debug!(error = %chain(&error), "an answer to a call has to wait");
                    tokio::time::sleep(backoff.next_delay()).await;
                }
            }
        }
    }

    pub(super) fn counts(&self, outcome: &Outcome) {
        self.deferred.metrics.happened(match outcome.is_answer() {
            true => Event::Answered,
            false => Event::Failed,
        });
    }

    /// Takes a call down that failed without an instance.
    pub(super) fn takes_down(&self, label: &Label, run: u32, failure: Failure) {
        let ended = match failure {
            Failure::Unknown => Ended::Abandoned,
            _ => Ended::Complete,
        };
        let status: StatusCode = problem::from_failure(failure, &label.service).status();
        let record = label.record(run, ended, Some(status));
        self.history.record(record, &self.live.load());
    }
}

async fn collect(response: Response) -> Result<Outcome, Failure> {
    let (parts, body) = response.into_parts();
    // Boxed, because the compiler does not see in a larger future that the error of the body may be sent.
    let collecting = Limited::new(body, ANSWER_BYTES_MAX).collect().boxed();
    match collecting.await {
        Ok(collected) => {
            let content: Bytes = collected.to_bytes();
            Ok(Outcome::answer(&parts, content))
        }
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong),
        Err(error) => {
            tracing::debug!(error, "an answer that is to be kept broke off");
            Err(Failure::BrokeOff)
        }
    }
}
