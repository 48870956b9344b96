//! Conditional requests (RFC 9110 §13): entity tags are revisions in quotes.

use catalog_api::Revision;
use database::Expect;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use service_kit::{
    http::{Response, body},
    problem::Problem,
};

use crate::entity_tag::EntityTag;

/// Most tags in one condition.
const TAGS_MAX: usize = 64;

/// What a condition names.
enum Condition {
    Any,
    Tags(Vec<Tag>),
}

struct Tag {
    weak: bool,
    /// None for a tag that is none of ours, which is allowed and never matches.
    revision: Option<Revision>,
}

/// An answer with its tag, or 304 when the client has it.
pub(super) fn tagged(
    headers: &HeaderMap,
    own: &EntityTag,
    answer: impl FnOnce() -> Response,
) -> Result<Response, Problem> {
    let has_it = match parse(headers, header::IF_NONE_MATCH)? {
        None => false,
        Some(Condition::Any) => true,
        // Weak comparison (§13.1.2): W/"7" is the same as "7" here.
        Some(Condition::Tags(tags)) => {
            let mut tags = tags.iter();
            tags.any(|tag| tag.revision == Some(own.revision()))
        }
    };
    let mut response = if has_it {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        answer()
    };
    let fields = response.headers_mut();
    fields.insert(header::ETAG, own.value());
    // Caches may keep it and have to ask each time.
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The precondition of a write.
pub(super) fn expectation(headers: &HeaderMap) -> Result<Expect, Problem> {
    let must = parse(headers, header::IF_MATCH)?;
    let must_not = parse(headers, header::IF_NONE_MATCH)?;
    match (must, must_not) {
        (None, None) => Ok(Expect::Anything),
        (Some(Condition::Any), None) => Ok(Expect::Exists),
        // Strong comparison (§13.1.1): a weak tag never matches.
        (Some(Condition::Tags(tags)), None) => Ok(Expect::OneOf(
            tags.into_iter()
                .filter(|tag| !tag.weak)
                .filter_map(|tag| tag.revision)
                .collect(),
        )),
        (None, Some(Condition::Any)) => Ok(Expect::Absent),
        (None, Some(Condition::Tags(_))) => Err(Problem::bad_request(
            "if-none-match with a write can only be *; use if-match for a revision",
        )),
        (Some(_), Some(_)) => Err(Problem::bad_request(
            "send if-match or if-none-match with a write, not both",
        )),
    }
}

fn parse(headers: &HeaderMap, name: HeaderName) -> Result<Option<Condition>, Problem> {
    let refuse = || {
        Problem::bad_request(format!(
            "{name} must be * or a list of entity tags in quotes, such as \"7\""
        ))
    };
    let mut tags = Vec::new();
    let mut any = false;
    for value in headers.get_all(&name) {
        let value = value.to_str().map_err(|_| refuse())?.trim();
        if value == "*" {
            any = true;
            continue;
        }
        for item in value.split(',') {
            let item = item.trim();
            let (weak, quoted) = match item.strip_prefix("W/") {
                Some(rest) => (true, rest),
                None => (false, item),
            };
            let opaque = quoted
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .ok_or_else(refuse)?;
            tags.push(Tag {
                weak,
                revision: opaque.parse().ok(),
            });
        }
    }
    if tags.len() > TAGS_MAX || (any && !tags.is_empty()) {
        return Err(refuse());
    }
    Ok(match (any, tags.is_empty()) {
        (true, _) => Some(Condition::Any),
        (false, true) => None,
        (false, false) => Some(Condition::Tags(tags)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(pairs: &[(HeaderName, &'static str)]) -> Option<Expect> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        expectation(&headers).ok()
    }

    #[test]
    fn conditions_of_writes() {
        let one_of = |revisions: &[u64]| {
            Some(Expect::OneOf(
                revisions.iter().copied().map(Revision).collect(),
            ))
        };
        let if_match = |value| expected(&[(header::IF_MATCH, value)]);
        assert_eq!(expected(&[]), Some(Expect::Anything));
        assert_eq!(if_match("*"), Some(Expect::Exists));
        assert_eq!(if_match("\"7\""), one_of(&[7]));
        assert_eq!(if_match("\"7\", \"8\",W/\"9\" , \"x\""), one_of(&[7, 8]));
        assert_eq!(
            expected(&[(header::IF_MATCH, "\"1\""), (header::IF_MATCH, "\"2\"")]),
            one_of(&[1, 2])
        );
        for wrong in ["7", "", "\"7", "\"7\",", "*, \"7\"", "w/\"7\""] {
            assert_eq!(if_match(wrong), None, "{wrong}");
        }
        let if_none_match = |value| expected(&[(header::IF_NONE_MATCH, value)]);
        assert_eq!(if_none_match("*"), Some(Expect::Absent));
        assert_eq!(if_none_match("\"7\""), None);
        assert_eq!(
            expected(&[(header::IF_MATCH, "*"), (header::IF_NONE_MATCH, "*")]),
            None
        );
    }
}
