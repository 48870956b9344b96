//! From errors of the domain to problems: the one place that knows which status they get.

use std::time::Duration;

use database::{Refusal, StoreError, WriteError};
use service_kit::problem::Problem;

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
        WriteError::Store(StoreError::Failed(cause)) => {
            tracing::error!(error = %cause, "a write failed");
            Problem::unavailable(
                "the store cannot write at the moment, reads go on; send it again later",
                FAILED_RETRY,
            )
        }
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
