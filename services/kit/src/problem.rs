//! Problem details (RFC 9457): the one form of every error that goes to a caller. Domain errors know nothing of this;
//! each program turns them into problems in one place. Internal text is logged and never put in here.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

/// A response that explains an error. Boxed inside, because it is the rare half of many results.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: Option<String>,
    instance: Option<String>,
    headers: HeaderMap,
    extensions: Vec<(&'static str, Value)>,
}

impl Problem {
    /// Content type of [`to_json`](Self::to_json).
    pub const CONTENT_TYPE: &str = "application/problem+json";

    /// A problem of the type `urn:problem:<slug>`, which is a contract with callers.
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self(Box::new(Parts {
            status,
            slug,
            title,
            detail: None,
            instance: None,
            headers: HeaderMap::new(),
            extensions: Vec::new(),
        }))
    }

    /// What happened this time and what to do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Which occurrence this is: the request id.
    #[must_use]
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.0.instance = Some(instance.into());
        self
    }

    /// Sets a header of the response, in place of an earlier one of this name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds a member to the JSON object.
    #[must_use]
    pub fn extension(mut self, key: &'static str, value: Value) -> Self {
        self.0.extensions.push((key, value));
        self
    }

    /// Status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Last part of the type.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// Headers of the response besides the content type.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Body of the response.
    pub fn to_json(&self) -> Bytes {
        // Strings, numbers and parsed JSON can always be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }
}

// === the problems every program has ===

impl Problem {
    /// 400: the request itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request is not valid",
        )
        .detail(detail)
    }

    /// 401 with `WWW-Authenticate: Bearer` (RFC 6750).
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "A token is required",
        )
        .detail(detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the token does not permit this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "This is not permitted").detail(detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here").detail(detail)
    }

    /// 405 with `Allow`, for example `"GET, HEAD"`.
    pub fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The method is not allowed here",
        )
        .detail(format!("use one of: {allow}"));
        match HeaderValue::from_str(allow) {
            Ok(value) => problem.header(ALLOW, value),
            Err(_) => problem,
        }
    }

    /// 408: the request came too slowly.
    pub fn request_timeout(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "The request came too slowly",
        )
        .detail(detail)
    }

    /// 409: the request contradicts what is there.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "The request contradicts the present state",
        )
        .detail(detail)
    }

    /// 412: `If-Match` does not hold.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition-failed",
            "The condition of the request does not hold",
        )
        .detail(detail)
    }

    /// 413: the body is longer than `limit_bytes`.
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload-too-large",
            "The body is too large",
        )
        .detail(format!("send at most {limit_bytes} bytes"))
        .extension("limit_bytes", limit_bytes.into())
    }

    /// 415: the content type is none we read.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The content type is not supported",
        )
        .detail(detail)
    }

    /// 422: well-formed, but not possible.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable",
            "The request cannot be carried out",
        )
        .detail(detail)
    }

    /// 500, without internal text: the log has it under the request id.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed on our side",
        )
        .detail("try again; if it stays, report the instance, under which the log has the cause")
    }

    /// 503 with `Retry-After` in whole seconds, at least 1.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "This is not available at the moment",
        )
        .detail(detail)
        .header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = &self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("urn:problem:{}", parts.slug))?;
        map.serialize_entry("title", parts.title)?;
        map.serialize_entry("status", &parts.status.as_u16())?;
        if let Some(detail) = &parts.detail {
            map.serialize_entry("detail", detail)?;
        }
        if let Some(instance) = &parts.instance {
            map.serialize_entry("instance", instance)?;
        }
        for (key, value) in &parts.extensions {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0.status.as_u16(), self.0.title)?;
        match &self.0.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_members_of_the_standard_and_the_extensions() {
        let problem = Problem::payload_too_large(10).instance("r-1");
        let json: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:problem:payload-too-large", "title": "The body is too large", "status": 413,
                "detail": "send at most 10 bytes", "instance": "r-1", "limit_bytes": 10,
            })
        );
    }

    #[test]
    fn statuses_that_need_a_header_have_it() {
        let unavailable = Problem::unavailable("store down", Duration::from_millis(1500));
        assert_eq!(unavailable.headers()[RETRY_AFTER], "2");
        let now = Problem::unavailable("store down", Duration::ZERO);
        assert_eq!(now.headers()[RETRY_AFTER], "1");
        assert_eq!(
            Problem::unauthorized("x").headers()[WWW_AUTHENTICATE],
            "Bearer"
        );
        assert_eq!(
            Problem::method_not_allowed("GET, HEAD").headers()[ALLOW],
            "GET, HEAD"
        );
    }
}
