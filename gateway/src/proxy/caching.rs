//! What the phases of a request do about the cache. The rules are in [`crate::cache`], the order of events is Pingora's.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use pingora_cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, CachePhase, ForcedFreshness, NoCacheReason,
    RespCacheable,
};
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{RangeType, Session};

use super::{Context, admission, cache_status, outcome};
use crate::{
    cache::{
        Cache, Directives, Identity, Purge, PurgeUrl, Request, StoredUrl, TAG_FIELDS, assess,
        stored_authority, stored_path,
    },
    error::GatewayError,
    metrics::CacheResult,
    route::RequestPath,
    upstream::HealthChecker,
};

/// How often a request that waits for another one's fetch looks again, after a fetch that failed or took too long. Then it asks the service
/// itself.
const LOCK_RETRIES_MAX: usize = 5;
/// Most ranges of one request; more, and the whole is sent (RFC 9110 §14.2).
const RANGES_MAX: usize = 16;

/// Fields of a 304 that do not replace those of the object (RFC 9111 §3.2): they speak of a body that was not sent. `Vary` chose the object.
const NOT_UPDATED: [HeaderName; 9] = [
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::VARY,
    header::SET_COOKIE,
    header::ETAG,
];

/// A request to a service that is cached.
#[derive(Debug)]
pub struct Caching {
    policy: catalog_api::Cache,
    wish: Directives,
    url: Arc<StoredUrl>,
    authorized: bool,
    /// When the service was asked.
    asked_at: SystemTime,
    /// The header of its 304.
    validation: Option<HeaderMap>,
    /// Bytes of its answer.
    received: usize,
    /// What became of it.
    pub result: Option<CacheResult>,
}

/// Turns the cache on for a request that it can be asked for.
pub(super) fn enable(session: &mut Session, ctx: &mut Context, cache: &'static Cache) {
    let Some(pool) = &ctx.pool else {
        return;
    };
    let Some(policy) = pool.policy().cache else {
        return;
    };
    let lookup = matches!(session.req_header().method, Method::GET | Method::HEAD);
    // A body is not part of the identity, so an answer to it could be for anybody.
    if !lookup || ctx.upgrade || !session.as_mut().is_body_empty() {
        return;
    }
    let request = session.req_header();
    let Some(caching) = Caching::new(request, ctx.origin.is_secure, pool.id(), policy) else {
        return;
    };
    // RFC 9111 §5.2.1.5: nothing of this request may be kept.
    if !caching.wish.no_store {
        let mut overrides = CacheOptionOverrides::default();
        // The other half is for the service.
        overrides.wait_timeout = Some(pool.policy().timeouts.total.get() / 2);
        overrides.max_lock_retries = Some(LOCK_RETRIES_MAX);
        session.cache.enable(
            cache,
            None,
            Some(cache.predictor()),
            Some(cache.locks()),
            Some(overrides),
        );
    }
    ctx.cache = Some(Box::new(caching));
}

/// The key of the request.
pub(super) fn key(
    session: &Session,
    ctx: &Context,
    cache: Option<&'static Cache>,
) -> Result<CacheKey> {
    let (Some(caching), Some(cache)) = (&ctx.cache, cache) else {
        return Err(Error::explain(
            ErrorType::InternalError,
            "a request without a cache has no key",
        ));
    };
    let identity = Identity {
        url: &caching.url,
        secure: ctx.origin.is_secure,
        claims: (ctx.origin.is_trusted).then(|| &session.req_header().headers),
        authorized: caching.authorized,
        upstream_target: ctx.upstream_target.as_deref(),
    };
    Ok(cache.key(
        &identity,
        &caching.url,
        caching.policy.max_object_bytes as usize,
    ))
}

/// Whether the client wants the service to be asked although an object is fresh (RFC 9111 §5.2.1).
pub(super) fn wants_validation(ctx: &Context, meta: &CacheMeta) -> Option<ForcedFreshness> {
    let wish = &ctx.cache.as_ref()?.wish;
    let too_old = |max_age| meta.age() > Duration::from_secs(max_age);
    let ends_soon = |min_fresh| !meta.is_fresh(SystemTime::now() + Duration::from_secs(min_fresh));
    (wish.no_cache
        || wish.max_age.is_some_and(|seconds| too_old(seconds.into()))
        || wish
            .min_fresh
            .is_some_and(|seconds| ends_soon(seconds.into())))
    .then_some(ForcedFreshness::ForceExpired)
}

/// Whether the service may be asked.
///
/// # Errors
/// The client forbids it.
pub(super) fn may_ask_service(ctx: &Context) -> Result<(), GatewayError> {
    let wish = ctx.cache.as_ref().map(|caching| &caching.wish);
    if wish.is_some_and(|wish| wish.only_if_cached) {
        return Err(GatewayError::NotCached);
    }
    Ok(())
}

/// The service is being asked now.
pub(super) fn asking(ctx: &mut Context) {
    if let Some(caching) = &mut ctx.cache {
        caching.asked_at = SystemTime::now();
        caching.received = 0;
    }
}

/// Remembers a 304 whole: Pingora takes over a few of its fields only.
pub(super) fn answered(ctx: &mut Context, response: &ResponseHeader) {
    if let Some(caching) = &mut ctx.cache
        && response.status == StatusCode::NOT_MODIFIED
    {
        caching.validation = Some(response.headers.clone());
    }
}

/// Whether an answer is kept.
pub(super) fn assess_answer(
    session: &Session,
    response: &ResponseHeader,
    ctx: &mut Context,
) -> Result<RespCacheable> {
    let Some(caching) = &mut ctx.cache else {
        return Ok(RespCacheable::Uncacheable(NoCacheReason::InternalError));
    };
    let limit = caching.policy.max_object_bytes as usize;
    let length = response.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Ok(RespCacheable::Uncacheable(NoCacheReason::ResponseTooLarge));
    }
    let was_too_large = session.cache.bypassing()
        && session.cache.predicted_uncacheable_reason() == Some(NoCacheReason::ResponseTooLarge);
    if was_too_large && length.is_none() {
        // It would be copied up to the limit each time, for nothing.
        return Ok(RespCacheable::Uncacheable(
            NoCacheReason::PredictedResponseTooLarge,
        ));
    }
    let request = Request {
        authorized: caching.authorized,
        asked_at: caching.asked_at,
    };
    let now = SystemTime::now();
    let assessed = match caching.validation.take() {
        Some(validation) => {
            let merged = update(response, &validation, now)?;
            assess(&merged, &caching.policy, request, now)
        }
        None => assess(response, &caching.policy, request, now),
    };
    Ok(match assessed {
        Ok(meta) => RespCacheable::Cacheable(meta),
        Err(reason) => RespCacheable::Uncacheable(reason),
    })
}

/// The header of an object after its validation (RFC 9111 §3.2, §4.3.4).
fn update(
    object: &ResponseHeader,
    validation: &HeaderMap,
    now: SystemTime,
) -> Result<ResponseHeader> {
    let mut updated = object.clone();
    for name in validation.keys().filter(|name| !NOT_UPDATED.contains(name)) {
        updated.remove_header(name);
        for value in validation.get_all(name) {
            updated.append_header(name.clone(), value.clone())?;
        }
    }
    if !validation.contains_key(header::DATE) {
        // The object's own date would make what was just confirmed look old.
        updated.insert_header(header::DATE, httpdate::fmt_http_date(now))?;
    }
    Ok(updated)
}

/// Part of a service's answer passes. Ends the fill when the object grows too large.
pub(super) fn passing(session: &mut Session, ctx: &mut Context, bytes: usize) {
    let Some(caching) = &mut ctx.cache else {
        return;
    };
    let is_filling = matches!(
        session.cache.phase(),
        CachePhase::Miss | CachePhase::Expired
    );
    caching.received += bytes;
    if is_filling && caching.received > caching.policy.max_object_bytes as usize {
        let reason = NoCacheReason::ResponseTooLarge;
        session.cache.response_became_uncacheable(reason);
        // Whoever waits for this fetch asks the service itself.
        session.cache.disable(reason);
    }
}

/// Before another attempt: what the failed one has begun to keep is given up, Pingora would begin on top of it.
pub(super) fn give_up_fill(session: &mut Session) {
    let is_filling = matches!(
        session.cache.phase(),
        CachePhase::Miss | CachePhase::Expired
    );
    if is_filling && session.cache.maybe_cache_meta().is_some() {
        session.cache.disable(NoCacheReason::UpstreamError);
    }
}

/// Whether a stale object stands in: while it is renewed (`None`), or for an error that RFC 5861 §4 names.
pub(super) fn serves_stale(
    ctx: &mut Context,
    error: Option<&Error>,
    checker: &HealthChecker,
) -> bool {
    let Some(error) = error else {
        return true;
    };
    if let ErrorType::HTTPStatus(status) = error.etype() {
        if let Ok(status) = StatusCode::from_u16(*status) {
            // The client never sees this answer, the endpoint's record does.
            outcome::answered(ctx, status, checker);
        }
        return matches!(status, 500 | 502 | 503 | 504);
    }
    // Ours are set where there was nobody to ask or no time left.
    error.esource() == &ErrorSource::Upstream || ctx.failure.is_some()
}

/// Ranges of a kept or passing whole (RFC 9110 §14.2).
pub(super) fn ranges(session: &Session, response: &mut ResponseHeader) -> RangeType {
    let request = session.req_header();
    let is_weak = |value: &http::HeaderValue| value.as_bytes().starts_with(b"W/");
    // §13.1.5: a weak validator never matches in If-Range.
    let if_range_fails = request.headers.get(header::IF_RANGE).is_some_and(is_weak);
    if request.method != Method::GET || if_range_fails {
        return RangeType::None;
    }
    pingora_proxy::range_header_filter(request, response, Some(RANGES_MAX))
}

/// Makes an answer tell what the cache did, and invalidates what an unsafe request has changed.
pub(super) fn answering(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &mut Context,
    cache: Option<&'static Cache>,
) -> Result<()> {
    if response.status.is_informational() {
        return Ok(());
    }
    if let Some(cache) = cache {
        invalidate(session, response, ctx, cache);
    }
    let Some(caching) = &mut ctx.cache else {
        return Ok(());
    };
    for tags in TAG_FIELDS {
        response.remove_header(&tags);
    }
    if session.cache.phase() == CachePhase::Revalidated {
        let age = session.cache.cache_meta().age().as_secs();
        if age > 0 {
            response.insert_header(header::AGE, age)?;
        }
    }
    let (result, status) = cache_status::describe(&session.cache, response.status);
    caching.result = Some(result);
    response.append_header("cache-status", status)?;
    Ok(())
}

/// RFC 9111 §4.4: what an unsafe request may have changed is not kept any longer.
fn invalidate(session: &Session, response: &ResponseHeader, ctx: &Context, cache: &'static Cache) {
    let request = session.req_header();
    let is_done = response.status.is_success() || response.status.is_redirection();
    let Some(pool) = &ctx.pool else {
        return;
    };
    if request.method.is_safe() || !is_done {
        return;
    }
    let Some(url) = stored_url(request, ctx.origin.is_secure, pool.id()) else {
        return;
    };
    let scheme = ctx.origin.scheme();
    let authority = url.authority.clone();
    cache.purge(Purge::Url(PurgeUrl::of(&url)));
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let Some(target) = response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
        else {
            continue;
        };
        let absolute = if target.starts_with('/') && !target.starts_with("//") {
            format!("{scheme}://{authority}{target}")
        } else {
            target.to_owned()
        };
        // Of the same origin only: nobody empties the cache of another host.
        match PurgeUrl::parse(&absolute) {
            Ok(other) if other.is_of(&authority) => drop(cache.purge(Purge::Url(other))),
            _ => {}
        }
    }
}

// === impl Caching ===

impl Caching {
    fn new(
        request: &RequestHeader,
        secure: bool,
        service: catalog_api::ServiceId,
        policy: catalog_api::Cache,
    ) -> Option<Self> {
        let url = stored_url(request, secure, service)?;
        Some(Self {
            policy,
            wish: Directives::of_request(&request.headers),
            url: Arc::new(url),
            authorized: request.headers.contains_key(header::AUTHORIZATION),
            asked_at: SystemTime::now(),
            validation: None,
            received: 0,
            result: None,
        })
    }
}

/// The URL of a request.
pub(super) fn stored_url(
    request: &RequestHeader,
    secure: bool,
    service: catalog_api::ServiceId,
) -> Option<StoredUrl> {
    let authority = stored_authority(admission::authority(request).ok()?, secure)?;
    let path = RequestPath::parse(request.uri.path()).ok()?;
    Some(StoredUrl {
        service,
        authority: authority.into(),
        path_and_query: stored_path(path.as_str(), request.uri.query()).into(),
    })
}
