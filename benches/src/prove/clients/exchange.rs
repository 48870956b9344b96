//! One request and what its answer has to be.

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, request};
use rand::{RngExt as _, rngs::StdRng};

use super::Surroundings;
use crate::prove::{backend::TAG, ledger::Count};

/// Most bytes of content.
const CONTENT_BYTES_MAX: usize = 4096;
/// Part of the requests that have content and must not be sent twice.
const POSTS: f64 = 0.3;

/// A request that can be told from every other one.
pub(super) struct Exchange {
    method: Method,
    path: String,
    tag: String,
    pub(super) content: Bytes,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn random(path: &str, random: &mut StdRng) -> Self {
        let tag = format!("{:016x}", random.random::<u64>());
        let (method, content) = if random.random_bool(POSTS) {
            let count = random.random_range(0..CONTENT_BYTES_MAX / tag.len());
            (Method::POST, tag.repeat(count))
        } else {
            (Method::GET, String::new())
        };
        Self {
            method,
            path: format!("{path}{}", random.random_range(0..100)),
            tag,
            content: content.into(),
        }
    }

    /// The head of the request, with a target in the form of the protocol.
    pub(super) fn head(&self, origin: &str) -> request::Builder {
        Request::builder()
            .method(self.method.clone())
            .uri(format!("{origin}{}", self.path))
            .header(TAG, &self.tag)
    }

    /// Checks the answer and counts it.
    ///
    /// # Errors
    /// When it is any other than the one that an instance gives to this request.
    pub(super) fn check(
        &self,
        answer: &Response<Bytes>,
        around: &Surroundings,
        protocol: Count,
    ) -> Result<()> {
        let head = || format!("{} {}", self.method, self.path);
        let status = answer.status();
        if status != StatusCode::OK {
            let content = String::from_utf8_lossy(answer.body());
            bail!("{}: {status} {content}", head());
        }
        let tag = answer.headers().get(TAG);
        if tag.is_none_or(|tag| tag.as_bytes() != self.tag.as_bytes()) {
            bail!("{}: the answer to another request", head());
        }
        if *answer.body() != self.content {
            bail!("{}: other content came back", head());
        }
        let revision = answer.headers().get("x-config-revision");
        let revision = revision.with_context(|| format!("{}: no revision", head()))?;
        around.propagation.seen(revision.to_str()?.parse()?);
        around.ledger.count(protocol);
        if self.method == Method::POST {
            around.ledger.count(Count::Posts);
        }
        Ok(())
    }
}
