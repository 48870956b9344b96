//! From errors of the domain to problems: the one place that knows which status they get.

use std::time::Duration;

use catalog_api::ServiceName;
use database::{Refusal, StoreError, WriteError};
use http::StatusCode;
use service_kit::problem::Problem;

use crate::{
    calls::{AttemptError, CallError},
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
