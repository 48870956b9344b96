//! Answers to calls that are kept for the next caller, as a shared cache does (RFC 9111): in this process, or for all catalogs on one
//! Redis.
//!
//! What a service says about itself decides, and nothing is guessed: only an answer with a lifetime of its own is kept (`freshness`).
//! A key is a service, a target and what the catalog itself told the instance about host and scheme; there is one answer under it, with
//! the fields that its `Vary` names (§4.1), and another value of those is a miss. A successful unsafe request removes the answer to its
//! target (§4.4). Kept answers are not validated: one whose time is over is fetched anew. Requests with credentials, conditions or
//! ranges pass by.
//!
//! A caller waits for a look, which is short and bounded, and never for the keeping.

mod freshness;
mod kept;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use catalog_api::{ServiceId, Timestamp};
use database::cache::{ANSWER_BYTES_MAX, AnswerCache};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, header, request, response, uri::PathAndQuery,
};
use tokio::sync::Semaphore;

pub(crate) use self::kept::Kept;
use crate::follower::chain;

/// Longest key, in bytes. A longer target is not looked for.
const KEY_BYTES_MAX: usize = 2 * 1024;

/// Answers on their way into the cache at most; further ones are not kept.
const KEEPING_MAX: usize = 64;

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What is kept.
pub(crate) struct Answers {
    cache: Arc<dyn AnswerCache>,
    keeping: Arc<Semaphore>,
}

/// One request as the cache sees it.
pub(crate) struct Question {
    key: String,
    method: Method,
    /// Those that an instance would get.
    headers: HeaderMap,
    is_for_a_cache: bool,
}

/// What the cache says to a request.
pub(crate) enum Found {
    /// Here it is.
    Hit(Kept),
    /// It is not there, or no longer.
    Miss(Question),
    /// The request is not one for a cache.
    Bypass(Question),
}

/// An answer that is collected while it passes.
pub(crate) struct Keeper {
    answers: Arc<dyn AnswerCache>,
    keeping: Arc<Semaphore>,
    key: String,
    head: Vec<u8>,
    body: BytesMut,
    fresh: Duration,
}

// === impl Answers ===

impl Answers {
    pub(crate) fn new(cache: Arc<dyn AnswerCache>) -> Self {
        Self {
            cache,
            keeping: Arc::new(Semaphore::new(KEEPING_MAX)),
        }
    }

    /// Looks for the answer to a request.
    pub(crate) async fn find(&self, question: Question) -> Found {
        if !question.is_for_a_cache {
            return Found::Bypass(question);
        }
        let found = match self.cache.get(&question.key).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(error = %chain(&error), "kept answers cannot be looked for");
                None
            }
        };
        let now = Timestamp::now();
        let kept = found.and_then(|bytes| Kept::read(bytes, now));
        match kept.filter(|kept| {
            kept.varies_not(&question.headers)
                && freshness::young_enough(&question.headers, kept.age(now))
        }) {
            Some(kept) => Found::Hit(kept),
            None => Found::Miss(question),
        }
    }

    /// Takes note of an instance's answer: says in its header that it does not come from here, removes what it makes untrue, and begins
    /// to collect it when it may be kept. `is_framed`: its end can be told from the end of the connection.
    pub(crate) async fn passes(
        &self,
        found: Found,
        answer: &mut response::Parts,
        is_framed: bool,
    ) -> Option<Keeper> {
        let (question, is_miss) = match found {
            Found::Miss(question) => (question, true),
            Found::Bypass(question) => (question, false),
            Found::Hit(_) => return None,
        };
        let unsafe_success = !question.method.is_safe()
            && (answer.status.is_success() || answer.status.is_redirection());
        if unsafe_success && let Err(error) = self.cache.remove(&question.key).await {
            tracing::debug!(error = %chain(&error), "a kept answer cannot be removed");
        }
        let keeper = (is_miss && is_framed)
            .then(|| self.keeper(question, answer))
            .flatten();
        let said = if is_miss { "fwd=miss" } else { "fwd=bypass" };
        say(&mut answer.headers, said);
        keeper
    }

    fn keeper(&self, question: Question, answer: &response::Parts) -> Option<Keeper> {
        let now = Timestamp::now();
        let fresh = freshness::lifetime(answer, now)?;
        Some(Keeper {
            head: Kept::head(answer, &question.headers, now)?,
            answers: Arc::clone(&self.cache),
            keeping: Arc::clone(&self.keeping),
            key: question.key,
            body: BytesMut::new(),
            fresh,
        })
    }
}

/// Adds to `Cache-Status`: the cache that is next to the caller comes last.
pub(super) fn say(headers: &mut HeaderMap, what: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("service-catalog; {what}")) {
        headers.append(CACHE_STATUS, value);
    }
}

// === impl Question ===

impl Question {
    /// About a request as an instance would get it, and whether a cache has a say in it ([`is_for_a_cache`]).
    pub(crate) fn new(
        service: ServiceId,
        method: &Method,
        target: &PathAndQuery,
        headers: &HeaderMap,
        is_for_a_cache: bool,
    ) -> Self {
        // A service may write them into links, so an answer for one host is none for another.
        let told = ["x-forwarded-host", "x-forwarded-proto", "forwarded"].map(|name| {
            let values = headers.get_all(name).iter();
            let values: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            values.join(",")
        });
        let key = format!("{service}\n{target}\n{}", told.join("\n"));
        Self {
            is_for_a_cache: is_for_a_cache && key.len() <= KEY_BYTES_MAX,
            key,
            method: method.clone(),
            headers: headers.clone(),
        }
    }
}

// === impl Keeper ===

impl Keeper {
    /// A piece of the body. False when the answer has become too long to be kept.
    pub(crate) fn takes(&mut self, piece: &Bytes) -> bool {
        let fits = self.head.len() + self.body.len() + piece.len() <= ANSWER_BYTES_MAX;
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// The body is whole. The answer is kept in the background; when too many are, it is not.
    pub(crate) fn keep(self) {
        let Ok(permit) = Arc::clone(&self.keeping).try_acquire_owned() else {
            return;
        };
        // A body can be dropped when there is nothing left to run on.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let mut bytes = self.head;
            bytes.extend_from_slice(&self.body);
            let kept = self.answers.put(&self.key, bytes.into(), self.fresh).await;
            if let Err(error) = kept {
                tracing::debug!(error = %chain(&error), "an answer is not kept");
            }
            drop(permit);
        });
    }
}

/// Whether a kept answer would do for a request as it came: what is withheld from an instance still tells that the answer is not for
/// everybody.
pub(crate) fn is_for_a_cache(request: &request::Parts) -> bool {
    request.method == Method::GET && freshness::may_be_answered(&request.headers)
}

/// Whether the end of an answer's body can be told from the end of its connection (RFC 9112 §6.3). Otherwise one that was cut off looks
/// whole.
pub(crate) fn is_framed(headers: &HeaderMap) -> bool {
    headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING)
}
