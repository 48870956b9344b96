//! `Cache-Status` (RFC 9211): what the cache did with a request, for people who ask why.

use std::time::SystemTime;

use http::StatusCode;
use pingora_cache::{CacheMeta, CachePhase, HttpCache, NoCacheReason};

use crate::{error::INTERMEDIARY, metrics::CacheResult};

/// What became of a request, and the member for its answer.
pub(super) fn describe(cache: &HttpCache, status: StatusCode) -> (CacheResult, String) {
    let has_waited = cache.lock_duration().is_some();
    let status = status.as_u16();
    let (result, parameters) = match cache.phase() {
        CachePhase::Hit if has_waited => (
            CacheResult::Hit,
            format!("fwd=uri-miss; collapsed; ttl={}", ttl(cache.cache_meta())),
        ),
        CachePhase::Hit => return (CacheResult::Hit, hit(ttl(cache.cache_meta()))),
        CachePhase::StaleUpdating => (
            CacheResult::Stale,
            format!("hit; ttl={}", ttl(cache.cache_meta())),
        ),
        CachePhase::Stale => (
            CacheResult::Stale,
            format!(
                "fwd=stale; ttl={}; detail=stale-if-error",
                ttl(cache.cache_meta())
            ),
        ),
        CachePhase::Revalidated => (
            CacheResult::Revalidated,
            format!(
                "fwd=stale; fwd-status=304; stored; ttl={}",
                ttl(cache.cache_meta())
            ),
        ),
        CachePhase::RevalidatedNoCache(_) => (
            CacheResult::Revalidated,
            "fwd=stale; fwd-status=304".to_owned(),
        ),
        CachePhase::Expired => (
            CacheResult::Expired,
            format!("fwd=stale; fwd-status={status}; stored"),
        ),
        CachePhase::Miss => (
            CacheResult::Miss,
            format!("fwd=uri-miss; fwd-status={status}; stored"),
        ),
        CachePhase::Bypass => (
            CacheResult::Bypass,
            format!("fwd=bypass; fwd-status={status}"),
        ),
        CachePhase::Disabled(NoCacheReason::NeverEnabled)
        | CachePhase::Uninit
        | CachePhase::CacheKey => (
            CacheResult::Bypass,
            format!("fwd=request; fwd-status={status}"),
        ),
        CachePhase::Disabled(reason) => (
            CacheResult::Uncacheable,
            format!(
                "fwd=uri-miss; fwd-status={status}; detail=\"{}\"",
                reason.as_str()
            ),
        ),
    };
    (result, format!("{INTERMEDIARY}; {parameters}"))
}

/// The member for the answer to a request for which a fresh object was there.
pub(super) fn hit(ttl: i64) -> String {
    format!("{INTERMEDIARY}; hit; ttl={ttl}")
}

/// What became of a request that was not answered with an answer of the service or of the cache.
pub(super) fn unanswered(cache: &HttpCache) -> CacheResult {
    describe(cache, StatusCode::BAD_GATEWAY).0
}

/// Seconds that an object is still fresh; negative when it is stale.
fn ttl(meta: &CacheMeta) -> i64 {
    let seconds = |span: std::time::Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match meta.fresh_until().duration_since(SystemTime::now()) {
        Ok(left) => seconds(left),
        Err(over) => -seconds(over.duration()),
    }
}
