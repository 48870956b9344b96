//! Answer of `GET /services/calls/{call}`.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use catalog_api::{ServiceName, Timestamp};
use database::jobs::JobId;
use serde::Serialize;
use serde_json::Value;

use super::{
    fields::Fields,
    label::Label,
    outcome::{Line, Outcome, What},
};

/// What is known of a call.
#[derive(Serialize)]
pub(crate) struct Report {
    id: String,
    status: Status,
    service: ServiceName,
    method: String,
    request_id: String,
    accepted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    /// From then on nothing is known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
    #[serde(skip)]
    is_guarded: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It waits, or is carried out.
    Pending,
    /// An instance answered, whatever it said.
    Done,
    /// No instance answered, or nobody knows.
    Failed,
}

#[derive(Serialize)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, Vec<String>>,
    /// The content when it is UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The content when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

// === impl Report ===

impl Report {
    pub(super) fn pending(id: JobId, label: Label) -> Self {
        Self {
            id: id.to_string(),
            status: Status::Pending,
            service: label.service,
            method: label.method,
            request_id: label.request_id,
            accepted_at: label.accepted_at,
            finished_at: None,
            expires_at: None,
            answer: None,
            problem: None,
            is_guarded: label.is_guarded,
        }
    }

    pub(super) fn finished(id: JobId, label: Label, outcome: Outcome, kept: Duration) -> Self {
        let Outcome { line, content } = outcome;
        let Line { finished_at, what } = line;
        let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
        let expires = finished_at.unix_millis().saturating_add(kept);
        let (status, answer, problem) = match what {
            What::Answer { status, fields } => {
                let answer = Answer::new(status, fields, &content);
                (Status::Done, Some(answer), None)
            }
            What::Problem(problem) => (Status::Failed, None, Some(problem)),
        };
        Self {
            status,
            finished_at: Some(finished_at),
            expires_at: Some(Timestamp::from_unix_millis(expires)),
            answer,
            problem,
            ..Self::pending(id, label)
        }
    }

    /// Where it is.
    pub(crate) fn location(&self) -> String {
        format!("/services/calls/{}", self.id)
    }

    /// Whether there will be more to say.
    pub(crate) fn is_pending(&self) -> bool {
        self.status == Status::Pending
    }

    /// Whether it is only for who has the token.
    pub(crate) fn is_guarded(&self) -> bool {
        self.is_guarded
    }
}

// === impl Answer ===

impl Answer {
    fn new(status: u16, fields: Fields, content: &Bytes) -> Self {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in fields {
            headers.entry(name).or_default().push(value);
        }
        let text = std::str::from_utf8(content).ok().map(str::to_owned);
        let base64 = text.is_none().then(|| BASE64_STANDARD.encode(content));
        Self {
            status,
            headers,
            text,
            base64,
        }
    }
}
