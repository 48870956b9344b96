//! What became of a call, as it is kept: one line of JSON, then the content of the answer as it is.

use bytes::Bytes;
use catalog_api::{ServiceName, Timestamp};
use http::response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::problem::Problem;

use super::{
    ANSWER_BYTES_MAX,
    fields::{self, Fields},
};
use crate::problem;

/// An answer or a failure.
pub(super) struct Outcome {
    pub(super) line: Line,
    pub(super) content: Bytes,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) finished_at: Timestamp,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Answer { status: u16, fields: Fields },
    Problem(Value),
}

/// Why there is no answer, besides what happens to any call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The service was removed.
    #[error("it was removed before the call was begun")]
    Gone,
    /// The queue was too long.
    #[error("the call waited too long and was not begun; send it again")]
    Overdue,
    /// Whoever carried it out is gone.
    #[error(
        "the catalog that carried the call out died or stopped; the service may have done it, wholly or in part, or not. Look there before \
         you send it again"
    )]
    Unknown,
    /// Answers have a limit.
    #[error(
        "the answer is longer than {ANSWER_BYTES_MAX} bytes; the service has done what it was asked for. Send such calls without Prefer: \
         respond-async"
    )]
    TooLong,
    /// The answer has no end.
    #[error("the instance broke off within its answer")]
    BrokeOff,
    /// It was written by another version.
    #[error("the call cannot be read by this version of the catalog; send it again")]
    Unreadable,
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn answer(parts: &response::Parts, content: Bytes) -> Self {
        Self::new(
            What::Answer {
                status: parts.status.as_u16(),
                fields: fields::to_text(&parts.headers),
            },
            content,
        )
    }

    pub(super) fn problem(problem: &Problem, request_id: &str) -> Self {
        let problem = problem.clone().instance(request_id);
        let json = serde_json::to_value(&problem).unwrap_or_default();
        Self::new(What::Problem(json), Bytes::new())
    }

    pub(super) fn failure(failure: Failure, service: &ServiceName, request_id: &str) -> Self {
        Self::problem(&problem::from_failure(failure, service), request_id)
    }

    fn new(what: What, content: Bytes) -> Self {
        Self {
            line: Line {
                finished_at: Timestamp::now(),
                what,
            },
            content,
        }
    }

    pub(super) fn is_answer(&self) -> bool {
        matches!(self.line.what, What::Answer { .. })
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        // Text, numbers and lists of them can always be written.
        let mut bytes = serde_json::to_vec(&self.line).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.content);
        bytes.into()
    }

    pub(super) fn read(bytes: &Bytes) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        Some(Self {
            line: serde_json::from_slice(&bytes[..end]).ok()?,
            content: bytes.slice(end + 1..),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_as_it_was_written() {
        let answer = http::Response::builder().status(418).header("x", "1");
        let (parts, ()) = answer.body(()).unwrap().into_parts();
        let content = Bytes::from_static(b"a\nb\0\xff");
        let read = Outcome::read(&Outcome::answer(&parts, content.clone()).to_bytes()).unwrap();
        assert!(read.is_answer() && read.content == content);
        let What::Answer { status, fields } = read.line.what else {
            panic!("a problem");
        };
        assert_eq!(
            (status, fields),
            (418, vec![("x".to_owned(), "1".to_owned())])
        );

        let service = "web".parse().unwrap();
        let failure = Outcome::failure(Failure::Unknown, &service, "r-1");
        let read = Outcome::read(&failure.to_bytes()).unwrap();
        let What::Problem(problem) = read.line.what else {
            panic!("an answer");
        };
        assert_eq!(problem["type"], "urn:problem:outcome-unknown");
        assert_eq!(problem["instance"], "r-1");
        assert!(Outcome::read(&Bytes::from_static(b"{}\n")).is_none());
    }
}
