//! From errors of the domain to problems: the one place that knows which status they get.

use std::time::Duration;

use catalog_api::ServiceName;
use database::{Refusal, StoreError, WriteError, jobs::PutError};
use http::StatusCode;
use service_kit::problem::Problem;

use crate::{
    calls::{AttemptError, CallError},
    deferred::{DeferError, Failure, LookError},
    follower::chain,
};

/// When to come back after a queue was full.
const BUSY_RETRY: Duration = Duration::from_secs(1);

/// When to come back after the store failed.
const FAILED_RETRY: Duration = Duration::from_secs(5);

/// The answer to a write that was not carried out.
pub(crate) fn from_write(error: WriteError) -> Problem {
    match error {
        WriteError::Refused(refusal) => refused(&refusal),
        WriteError::Store(StoreError::Busy) => Problem::unavailable(
            "too many writes are waiting; send it again in a moment",
            BUSY_RETRY,
        ),
        WriteError::Store(StoreError::Closed) => Problem::unavailable(
            "the catalog is stopping; send it to another one, or again in a moment",
            BUSY_RETRY,
        ),
        WriteError::Store(error) => {
            tracing::error!(error = %chain(&error), "a write failed");
            Problem::unavailable(
                "the store cannot write at the moment, reads go on; send it again later",
                FAILED_RETRY,
            )
        }
    }
}

/// When to come back after a service had no instance. One that is restarted takes some seconds.
const NO_INSTANCE_RETRY: Duration = Duration::from_secs(2);

/// The answer to a call that was not answered by an instance.
pub(crate) fn from_call(error: &CallError, service: &ServiceName) -> Problem {
    let detail = format!("service {service}: {error}");
    match error {
        CallError::NoInstance => Problem::unavailable(detail, NO_INSTANCE_RETRY),
        CallError::Circle => Problem::new(
            StatusCode::LOOP_DETECTED,
            "loop-detected",
            "The request goes round in a circle",
        )
        .detail(detail),
        CallError::Failed(failed) => match failed {
            AttemptError::ConnectTimeout | AttemptError::Silent => Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "gateway-timeout",
                "The service did not answer in time",
            )
            .detail(detail),
            AttemptError::CallerSlow => Problem::request_timeout(detail),
            AttemptError::CallerBroke => Problem::bad_request(detail),
            AttemptError::Connect(_)
            | AttemptError::Broken(_)
            | AttemptError::Upgraded
            | AttemptError::BodyGone => Problem::new(
                StatusCode::BAD_GATEWAY,
                "bad-gateway",
                "The service gave no valid answer",
            )
            .detail(detail),
            AttemptError::Unwritable(error) => {
                tracing::error!(%error, "a call could not be written");
                Problem::internal()
            }
        },
    }
}

/// When to come back after too many calls waited. Some of them are over soon.
const DEFERRED_RETRY: Duration = Duration::from_secs(5);

/// The answer to a call that is not answered later.
pub(crate) fn from_deferral(error: &DeferError) -> Problem {
    let (detail, retry) = match error {
        DeferError::Put(PutError::Full) => (
            "too many calls wait for their turn, or too many answers are kept; send it again later, or without Prefer: respond-async",
            DEFERRED_RETRY,
        ),
        DeferError::Put(PutError::Away) => (
            "the queue of calls cannot be reached; send it again later, or without Prefer: respond-async",
            DEFERRED_RETRY,
        ),
        DeferError::Put(PutError::Unknown(error)) => {
            tracing::warn!(error = %chain(error), "a call may be in the queue or not");
            (
                "the queue of calls failed, and the call may be carried out or not; look at the service before you send it again",
                DEFERRED_RETRY,
            )
        }
        DeferError::Stopping => (
            "the catalog is stopping; send it to another one, or again in a moment",
            BUSY_RETRY,
        ),
    };
    Problem::unavailable(detail, retry)
}

/// The answer to a question about a call.
pub(crate) fn from_look(error: &LookError) -> Problem {
    match error {
        LookError::Away(error) => {
            tracing::warn!(error = %chain(error), "answers to calls cannot be reached");
            Problem::unavailable(
                "what is known of calls cannot be reached at the moment; ask again later",
                FAILED_RETRY,
            )
        }
        LookError::Unreadable => {
            tracing::error!(%error, "a call was written by another version");
            Problem::internal()
        }
    }
}

/// The answer to a question about a call of which nothing is known.
pub(crate) fn no_call(kept: Duration) -> Problem {
    let seconds = kept.as_secs_f64();
    Problem::not_found(format!(
        "no such call is known: ask with the Location of the answer to Prefer: respond-async, within {seconds} s after the call's end"
    ))
}

/// What is kept in place of an answer.
pub(crate) fn from_failure(failure: Failure, service: &ServiceName) -> Problem {
    let detail = format!("service {service}: {failure}");
    match failure {
        Failure::Gone => Problem::not_found(detail),
        Failure::Overdue => Problem::unavailable(detail, DEFERRED_RETRY),
        Failure::Unknown => Problem::new(
            StatusCode::BAD_GATEWAY,
            "outcome-unknown",
            "Whether the service did it is not known",
        )
        .detail(detail),
        Failure::TooLong | Failure::BrokeOff => Problem::new(
            StatusCode::BAD_GATEWAY,
            "bad-gateway",
            "The service gave no valid answer",
        )
        .detail(detail),
        Failure::Unreadable => Problem::internal().detail(detail),
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let detail = refusal.to_string();
    match refusal {
        Refusal::UnknownService(_) | Refusal::UnknownInstance { .. } => Problem::not_found(detail),
        Refusal::NameTaken { .. } | Refusal::TooManyInstances { .. } | Refusal::TooManyServices => {
            Problem::conflict(detail)
        }
        Refusal::RenameRefused { .. } => Problem::unprocessable(detail),
        Refusal::RevisionMismatch { current } => {
            let problem = Problem::precondition_failed(detail);
            match current {
                Some(revision) => problem.extension("revision", revision.0.into()),
                None => problem,
            }
        }
    }
}
