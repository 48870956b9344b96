//! Answers out of the cache, when there is nothing to decide: a fresh object, and a request that asks for all of it.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora_core::server::ShutdownWatch;
use pingora_error::Result;
use pingora_http::RequestHeader;

use super::{Relay, client::Client, lines::Lines};
use crate::{
    cache::{Cache, Identity, Object, TAG_FIELDS},
    metrics::CacheResult,
    proxy::{Origin, ToService, cache_status, caching, fields::Fields as _, forward},
};

/// Fields by which a client asks for something else than the whole of a fresh object, or might: preconditions, ranges, and its wishes
/// about the age.
const WISHES: [HeaderName; 8] = [
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
];
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// An object that may be sent as it is.
#[derive(Debug)]
pub(super) struct Kept {
    object: Arc<Object>,
    /// Seconds that it has been kept, and that it still may be.
    age: u64,
    ttl: i64,
}

// === impl Kept ===

impl Kept {
    /// Looks for one. None when the longer way has to be asked.
    pub(super) fn find(
        cache: &Cache,
        to: &ToService,
        origin: &Origin,
        request: &RequestHeader,
    ) -> Option<Self> {
        let is_simple = matches!(request.method, Method::GET | Method::HEAD) && !to.upgrade;
        let headers = &request.headers;
        if !is_simple || WISHES.iter().any(|wish| headers.contains_key(wish)) {
            return None;
        }
        let url = caching::stored_url(request, origin.is_secure, to.pool.id())?;
        let identity = Identity {
            url: &url,
            secure: origin.is_secure,
            claims: origin.is_trusted.then_some(headers),
            authorized: headers.contains_key(header::AUTHORIZATION),
            upstream_target: to.upstream_target.as_deref(),
        };
        let object = cache.get(&identity, headers)?;
        let now = SystemTime::now();
        let ttl = object.fresh_for(now)?;
        Some(Self {
            age: object.age(now).as_secs(),
            ttl: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
            object,
        })
    }

    fn lines(&self) -> Lines<'_> {
        let header = self.object.header();
        let mut lines = Lines::with_capacity(header.headers.len());
        if header.has_case() {
            for (name, value) in header.case_header_iter() {
                lines.push(name.as_slice(), value.as_bytes());
            }
        } else {
            lines.push_all(&header.headers);
        }
        // How the service framed it; what is kept has a length.
        lines.remove(&header::TRANSFER_ENCODING);
        for tags in &TAG_FIELDS {
            lines.remove(tags);
        }
        lines
    }
}

// === impl Relay ===

impl<C: Client> Relay<'_, C> {
    /// Answers with an object.
    ///
    /// # Errors
    /// The client is gone, or too slow.
    pub(super) async fn answer_kept(
        &mut self,
        kept: &Kept,
        stopping: &ShutdownWatch,
    ) -> Result<()> {
        self.cached = Some(CacheResult::Hit);
        let header = kept.object.header();
        let mut lines = kept.lines();
        lines.set(header::AGE, kept.age.into())?;
        // Pingora says so of every kept answer, whatever the service spoke.
        let about = (header.status, Version::HTTP_11);
        forward::prepare_response(&mut lines, about, &self.ctx, self.proxy.expose_revision)?;
        let is_whole = header.status == StatusCode::OK && !self.is_head();
        if is_whole && header.headers.contains_key(header::CONTENT_LENGTH) {
            lines.set(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))?;
        }
        // Made of a name and a number: always valid.
        if let Ok(status) = HeaderValue::try_from(cache_status::hit(kept.ttl)) {
            lines.append(CACHE_STATUS, status)?;
        }
        self.close_if(stopping);
        let reason = header.get_reason_phrase().unwrap_or_default();
        let content = kept.object.content();
        self.begin_own(header.status, reason, lines, content.len() as u64)
            .await?;
        self.send_own(content.clone(), true).await
    }
}
