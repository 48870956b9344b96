//! Preconditions of requests for files, in the order of RFC 9110 §13.2.2.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, header};

use super::encoding::Encoding;

/// What the preconditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// A strong validator: a file that is written anew has another time, in nanoseconds.
pub(super) fn etag(modified: SystemTime, length: u64, encoding: Option<Encoding>) -> String {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let coding = encoding.map_or("", Encoding::suffix);
    format!("\"{:x}-{length:x}{coding}\"", since.as_nanos())
}

/// §13.2.2 for GET and HEAD.
pub(super) fn evaluate(request: &HeaderMap, etag: &[u8], modified: SystemTime) -> Verdict {
    let names_it = |name: HeaderName, weak| any_tag(request, &name, |tag| matches(tag, etag, weak));
    if request.contains_key(header::IF_MATCH) {
        if !names_it(header::IF_MATCH, false) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(request, header::IF_UNMODIFIED_SINCE)
        && is_newer(modified, since)
    {
        return Verdict::Failed;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        if names_it(header::IF_NONE_MATCH, true) {
            return Verdict::NotModified;
        }
    } else if let Some(since) = date(request, header::IF_MODIFIED_SINCE)
        && !is_newer(modified, since)
    {
        return Verdict::NotModified;
    }
    Verdict::Passed
}

/// Whether a range may be answered (§13.1.5): there is no condition on it, or it holds.
pub(super) fn if_range(request: &HeaderMap, etag: &[u8], modified: SystemTime) -> bool {
    let Some(condition) = request.get(header::IF_RANGE) else {
        return true;
    };
    if condition.as_bytes().starts_with(b"\"") {
        return condition == etag;
    }
    date(request, header::IF_RANGE).is_some_and(|date| seconds(date) == seconds(modified))
}

fn matches(tag: &[u8], etag: &[u8], weak: bool) -> bool {
    match tag.strip_prefix(b"W/") {
        Some(tag) => weak && tag == etag,
        None => tag == b"*" || tag == etag,
    }
}

/// Our own tags have no comma, so a list can be cut at each.
fn any_tag(request: &HeaderMap, name: &HeaderName, is_it: impl Fn(&[u8]) -> bool) -> bool {
    request
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .any(|tag| is_it(tag.trim_ascii()))
}

fn date(request: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()
}

/// Dates of HTTP have seconds, those of files have more.
fn is_newer(modified: SystemTime, since: SystemTime) -> bool {
    seconds(modified) > seconds(since)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
