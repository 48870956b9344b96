//! A kept answer as bytes: one line of JSON with status and header, then the body as it is.

use std::time::Duration;

use bytes::Bytes;
use catalog_api::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};
use serde::{Deserialize, Serialize};

use super::{freshness, say};

/// By how much another catalog's clock may be ahead.
const CLOCKS_DIFFER_MAX_MILLIS: u64 = 60_000;

/// An answer out of the cache.
pub(crate) struct Kept {
    answer: response::Parts,
    body: Bytes,
    vary: Vec<(String, String)>,
    at: Timestamp,
    age: u64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    fields: Vec<(String, String)>,
    /// What the fields that `Vary` names had in the request; several values are one list.
    vary: Vec<(String, String)>,
    /// When it came.
    at: Timestamp,
    /// How old it was then, in seconds.
    age: u64,
}

// === impl Kept ===

impl Kept {
    /// The part before the body; none when something in it cannot be written.
    pub(super) fn head(
        answer: &response::Parts,
        request: &HeaderMap,
        now: Timestamp,
    ) -> Option<Vec<u8>> {
        let of_answer_only = |name: &HeaderName| *name != header::AGE && name != "x-request-id";
        let fields = answer
            .headers
            .iter()
            .filter(|(name, _)| of_answer_only(name));
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let fields: Option<Vec<_>> = fields
            .map(|(name, value)| Some((name.to_string(), text(value)?)))
            .collect();
        let vary = freshness::vary(&answer.headers);
        let head = Head {
            status: answer.status.as_u16(),
            fields: fields?,
            vary: vary
                .map(|name| {
                    let had = values(request, &name);
                    (name, had)
                })
                .collect(),
            at: now,
            age: freshness::age(&answer.headers).as_secs(),
        };
        let mut line = serde_json::to_vec(&head).ok()?;
        line.push(b'\n');
        Some(line)
    }

    /// Reads what [`Kept::head`] and a body make; none when it is anything else, or of the future.
    pub(super) fn read(bytes: Bytes, now: Timestamp) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
        // Clocks of catalogs may differ, but not by much.
        if head.at.unix_millis() > now.unix_millis().saturating_add(CLOCKS_DIFFER_MAX_MILLIS) {
            return None;
        }
        let mut answer = http::Response::new(());
        *answer.status_mut() = StatusCode::from_u16(head.status).ok()?;
        for (name, value) in head.fields {
            let name = HeaderName::try_from(name).ok()?;
            let value = HeaderValue::try_from(value).ok()?;
            answer.headers_mut().append(name, value);
        }
        Some(Self {
            answer: answer.into_parts().0,
            body: bytes.slice(end + 1..),
            vary: head.vary,
            at: head.at,
            age: head.age,
        })
    }

    /// Whether it is the answer to a request with these fields.
    pub(super) fn varies_not(&self, request: &HeaderMap) -> bool {
        let mut vary = self.vary.iter();
        vary.all(|(name, had)| values(request, name) == *had)
    }

    pub(super) fn age(&self, now: Timestamp) -> Duration {
        let here = now.unix_millis().saturating_sub(self.at.unix_millis());
        Duration::from_secs(self.age.saturating_add(here / 1_000))
    }

    /// The answer for a caller.
    pub(crate) fn into_answer(self) -> (response::Parts, Bytes) {
        let age = self.age(Timestamp::now()).as_secs();
        let mut answer = self.answer;
        answer.headers.insert(header::AGE, age.into());
        say(&mut answer.headers, "hit");
        (answer, self.body)
    }
}

fn values(request: &HeaderMap, name: &str) -> String {
    let values = request.get_all(name).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(",")
}
