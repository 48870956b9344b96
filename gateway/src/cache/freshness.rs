//! Whether an answer may be kept, and for how long (RFC 9111 §3, §4.2).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode, Version, header};
use pingora_cache::{CacheMeta, NoCacheReason};
use pingora_http::ResponseHeader;

use super::{directives::Directives, object::initial_age, vary};

/// Final statuses that are kept. The specification allows any that are understood; failures of the service are left out on purpose, so
/// that one cannot outlive its cause, and 206 because parts are not put together here.
const KEPT: [u16; 14] = [
    200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 421,
];
/// Those of them that are kept for a time which the service did not give (RFC 9110 §15.1).
const KEPT_BY_DEFAULT: [u16; 10] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414];

/// Fields that are not kept, besides those of the connection (RFC 9111 §3.1).
const NOT_KEPT: [HeaderName; 10] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::TE,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::AGE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
];

/// What the assessment needs to know of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Whether it has credentials.
    pub(crate) authorized: bool,
    /// When it was sent to the service.
    pub(crate) asked_at: SystemTime,
}

/// What is kept of an answer.
///
/// # Errors
/// Why nothing is.
pub(crate) fn assess(
    response: &ResponseHeader,
    policy: &catalog_api::Cache,
    request: Request,
    now: SystemTime,
) -> Result<CacheMeta, NoCacheReason> {
    let headers = &response.headers;
    let directives = Directives::of_response(headers);
    check_storable(response, &directives, request)?;
    let lifetime = lifetime(response, &directives, policy, now)
        .ok_or(NoCacheReason::Custom("no freshness"))?;
    let age = initial_age(date_of(headers), age_field(headers), request.asked_at, now);
    let (stale_while_revalidate, stale_if_error) = stale_windows(&directives, policy);
    let has_validator =
        headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    if lifetime <= age && !has_validator && stale_while_revalidate == 0 && stale_if_error == 0 {
        return Err(NoCacheReason::Custom("of no further use"));
    }
    // Pingora takes the last instant as fresh; an answer without a lifetime is stale from the start.
    let fresh_until = (now + lifetime)
        .checked_sub(age + Duration::from_millis(1))
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let mut meta = CacheMeta::new(
        fresh_until,
        now,
        stale_while_revalidate,
        stale_if_error,
        kept_header(response, &directives, now)?,
    );
    meta.set_epoch_override(now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
    Ok(meta)
}

fn check_storable(
    response: &ResponseHeader,
    directives: &Directives,
    request: Request,
) -> Result<(), NoCacheReason> {
    let headers = &response.headers;
    let refuse = |reason| Err(NoCacheReason::Custom(reason));
    if !KEPT.contains(&response.status.as_u16()) || headers.contains_key(header::CONTENT_RANGE) {
        return refuse("status");
    }
    // RFC 9111 §5.2.2.3: every kept status is understood.
    if directives.no_store && !directives.must_understand {
        return refuse("no-store");
    }
    if directives.private {
        return refuse("private");
    }
    let allows_authorized =
        directives.must_revalidate || directives.public || directives.s_maxage.is_some();
    if request.authorized && !allows_authorized {
        return refuse("authorization");
    }
    if headers.contains_key(header::SET_COOKIE) && !directives.hidden.contains(&header::SET_COOKIE)
    {
        return refuse("set-cookie");
    }
    if vary::is_endless(headers) {
        return refuse("vary");
    }
    if is_ended_by_close(response) {
        return refuse("length unknown");
    }
    Ok(())
}

/// A body that only the end of its connection ends: when the service dies in the middle, nobody can tell (RFC 9112 §8).
fn is_ended_by_close(response: &ResponseHeader) -> bool {
    let headers = &response.headers;
    let has_no_body = matches!(
        response.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    !has_no_body
        && response.version < Version::HTTP_2
        && !headers.contains_key(header::CONTENT_LENGTH)
        && !headers.contains_key(header::TRANSFER_ENCODING)
}

/// RFC 9111 §4.2.1; the policy stands in for a heuristic. None = it is not kept.
fn lifetime(
    response: &ResponseHeader,
    directives: &Directives,
    policy: &catalog_api::Cache,
    now: SystemTime,
) -> Option<Duration> {
    if directives.no_cache {
        return Some(Duration::ZERO);
    }
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(Duration::from_secs(seconds.into()));
    }
    if response.headers.contains_key(header::EXPIRES) {
        return Some(until_expiry(&response.headers, now));
    }
    let by_default = directives.public || KEPT_BY_DEFAULT.contains(&response.status.as_u16());
    policy
        .default_ttl
        .filter(|_| by_default)
        .map(|span| span.get())
}

/// RFC 9111 §5.3: relative to `Date`; what is no date is the past. Of several, the first counts (§4.2).
fn until_expiry(headers: &HeaderMap, now: SystemTime) -> Duration {
    let Some(expires) = date(headers, header::EXPIRES) else {
        return Duration::ZERO;
    };
    let from = date_of(headers).unwrap_or(now);
    expires.duration_since(from).unwrap_or_default()
}

/// Seconds for `stale-while-revalidate` and `stale-if-error`; RFC 9111 §4.2.4 names the directives that forbid both.
fn stale_windows(directives: &Directives, policy: &catalog_api::Cache) -> (u32, u32) {
    if directives.must_revalidate
        || directives.proxy_revalidate
        || directives.no_cache
        || directives.s_maxage.is_some()
    {
        return (0, 0);
    }
    let seconds = |given: Option<u32>, policy: Option<catalog_api::Span>| {
        let of_policy = || policy.map_or(0, |span| span.get().as_secs());
        given.unwrap_or_else(|| u32::try_from(of_policy()).unwrap_or(u32::MAX))
    };
    (
        seconds(
            directives.stale_while_revalidate,
            policy.stale_while_revalidate,
        ),
        seconds(directives.stale_if_error, policy.stale_if_error),
    )
}

fn kept_header(
    response: &ResponseHeader,
    directives: &Directives,
    now: SystemTime,
) -> Result<ResponseHeader, NoCacheReason> {
    let mut kept = response.clone();
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // The length of the body is known without the connection.
        .filter(|name| *name != header::CONTENT_LENGTH)
        .collect();
    for name in nominated.iter().chain(&NOT_KEPT).chain(&directives.hidden) {
        while kept.remove_header(name).is_some() {}
    }
    if !kept.headers.contains_key(header::DATE) {
        // RFC 9110 §6.6.1: who keeps it says when it came.
        kept.insert_header(header::DATE, httpdate::fmt_http_date(now))
            .map_err(|_| NoCacheReason::InternalError)?;
    }
    Ok(kept)
}

fn date_of(headers: &HeaderMap) -> Option<SystemTime> {
    date(headers, header::DATE)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

/// RFC 9111 §5.1: of several the first counts; what is no number is none.
fn age_field(headers: &HeaderMap) -> Duration {
    let age = || headers.get(header::AGE)?.to_str().ok()?.split(',').next();
    let digits = age().unwrap_or_default().trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Duration::ZERO;
    }
    // Too many digits to fit: as old as can be said.
    Duration::from_secs(digits.parse().unwrap_or(u32::MAX).into())
}
