//! What may be kept, for how long, and for whom (RFC 9111 §3, §4.2, §5.2): the rules that apply to a shared cache, and where they leave
//! a choice, the careful one.

use std::time::Duration;

use catalog_api::Timestamp;
use http::{HeaderMap, HeaderName, StatusCode, header, response};

/// Statuses that are kept when the service gives them a lifetime. Failures and parts are not.
const STATUSES: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::NON_AUTHORITATIVE_INFORMATION,
    StatusCode::MOVED_PERMANENTLY,
    StatusCode::PERMANENT_REDIRECT,
    StatusCode::NOT_FOUND,
    StatusCode::GONE,
];

/// With one of these a request is about more than a kept answer can know: who asks, what he has, which part he wants, or a body.
const SPECIAL: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::PRAGMA,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// Whether a GET may be answered out of a cache, and its answer kept.
pub(super) fn may_be_answered(request: &HeaderMap) -> bool {
    let refuses = |name: &str| has(request, name);
    SPECIAL.iter().all(|name| !request.contains_key(name))
        && !["no-store", "no-cache", "only-if-cached", "min-fresh"]
            .into_iter()
            .any(refuses)
}

/// Whether an answer is not too old for a request with `max-age` (§5.2.1.1).
pub(super) fn young_enough(request: &HeaderMap, age: Duration) -> bool {
    match directive(request, "max-age") {
        None => true,
        Some(value) => seconds(&value).is_some_and(|most| age <= most),
    }
}

/// How long an answer may be kept; none = not at all.
pub(super) fn lifetime(answer: &response::Parts, now: Timestamp) -> Option<Duration> {
    let headers = &answer.headers;
    let forbidden = ["no-store", "private", "no-cache", "must-understand"];
    let refused = !STATUSES.contains(&answer.status)
        || forbidden.into_iter().any(|name| has(headers, name))
        // A cookie is for one caller, whatever else is said.
        || headers.contains_key(header::SET_COOKIE)
        || headers.contains_key(header::CONTENT_RANGE)
        || vary(headers).any(|name| name == "*");
    if refused {
        return None;
    }
    let lifetime = match directive(headers, "s-maxage").or_else(|| directive(headers, "max-age")) {
        Some(value) => seconds(&value)?,
        None => until_expiry(headers, now)?,
    };
    lifetime
        .checked_sub(age(headers))
        .filter(|left| !left.is_zero())
}

/// How old an answer was when it came (§5.1). One that cannot be read is taken for old.
pub(super) fn age(headers: &HeaderMap) -> Duration {
    match headers.get(header::AGE) {
        None => Duration::ZERO,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(seconds)
            .unwrap_or(Duration::MAX),
    }
}

/// The names in `Vary`.
pub(super) fn vary(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers.get_all(header::VARY).into_iter().flat_map(|value| {
        // What cannot be read may mean anything.
        let text = value.to_str().unwrap_or("*").to_owned();
        let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
    })
}

fn until_expiry(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let time = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        httpdate::parse_http_date(only.to_str().ok()?).ok()
    };
    let expires = time(header::EXPIRES)?;
    let date = time(header::DATE)
        .unwrap_or_else(|| std::time::UNIX_EPOCH + Duration::from_millis(now.unix_millis()));
    expires.duration_since(date).ok()
}

fn has(headers: &HeaderMap, name: &str) -> bool {
    directive(headers, name).is_some()
}

/// The value of a directive of `Cache-Control`, empty when it has none. Of several the first; two lifetimes are no lifetime.
fn directive(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut found = headers
        .get_all(header::CACHE_CONTROL)
        .into_iter()
        .flat_map(|value| split(&String::from_utf8_lossy(value.as_bytes())))
        .filter_map(|part| {
            let (found, value) = part.split_once('=').unwrap_or((&part, ""));
            let value = value.trim().trim_matches('"');
            found
                .trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.to_owned())
        });
    let first = found.next()?;
    match found.all(|other| other == first) {
        true => Some(first),
        false => Some(String::new()),
    }
}

/// At the commas, but not at those within quotes.
fn split(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    for c in list.chars() {
        is_quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if c != ',' || is_quoted => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// Delta-seconds (§1.2.2). What is no number is no lifetime.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Too large a number is as good as the largest.
    digits.then(|| Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()))
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn kept(status: u16, fields: &[(&'static str, &str)]) -> Option<u64> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        lifetime(&parts, Timestamp::now()).map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_says() {
        const CC: &str = "cache-control";
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
        for (status, fields, expected) in [
            (200, &[(CC, "max-age=60")][..], Some(60)),
            (200, &[(CC, "Max-Age=\"60\", public")], Some(60)),
            (200, &[(CC, "max-age=60, s-maxage=5")], Some(5)),
            (200, &[(CC, "max-age=60"), ("age", "20")], Some(40)),
            (200, &[(CC, "max-age=60"), ("age", "60")], None),
            (200, &[(CC, "max-age=60"), ("age", "old")], None),
            (
                200,
                &[(CC, "max-age=99999999999")],
                Some(u64::from(u32::MAX)),
            ),
            (200, &[date, expires], Some(60)),
            (200, &[date, expires, (CC, "max-age=7")], Some(7)),
            (200, &[date, ("expires", "0")], None),
            (404, &[(CC, "max-age=60")], Some(60)),
            // Nothing is guessed.
            (200, &[], None),
            (200, &[(CC, "public")], None),
            (200, &[(CC, "max-age=0")], None),
            (200, &[(CC, "max-age=-1")], None),
            (200, &[(CC, "max-age=1, max-age=2")], None),
            (200, &[(CC, "no-store, max-age=60")], None),
            (200, &[(CC, "max-age=60"), (CC, "private")], None),
            (200, &[(CC, "private=\"x, y\", max-age=60")], None),
            (200, &[(CC, "no-cache=\"set-cookie\", max-age=60")], None),
            (200, &[(CC, "x=\"no-store, a\", max-age=60")], Some(60)),
            (200, &[(CC, "max-age=60"), ("set-cookie", "a=1")], None),
            (200, &[(CC, "max-age=60"), ("vary", "accept, *")], None),
            (200, &[(CC, "max-age=60"), ("vary", "accept")], Some(60)),
            (206, &[(CC, "max-age=60")], None),
            (500, &[(CC, "max-age=60")], None),
            (302, &[(CC, "max-age=60")], None),
        ] {
            assert_eq!(kept(status, fields), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_request_can_refuse() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert!(may_be_answered(&headers("accept", "*/*")));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cache-control", "max-age=5, no-cache"),
            ("pragma", "no-cache"),
            ("authorization", "Basic eA=="),
            ("cookie", "a=1"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"a\""),
        ] {
            assert!(!may_be_answered(&headers(name, value)), "{name}");
        }
        let old = Duration::from_secs(6);
        assert!(!young_enough(&headers("cache-control", "max-age=5"), old));
        assert!(young_enough(&headers("cache-control", "max-age=6"), old));
        assert!(!young_enough(&headers("cache-control", "max-age=x"), old));
    }
}
