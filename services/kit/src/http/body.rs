//! Bodies: the few forms in which they are made, and reading one with a limit and a deadline.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body as HttpBody, Frame};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{Body, BoxError, Response};
use crate::problem::Problem;

/// Time for a request's body to arrive.
pub const BODY_READ_TIMEOUT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";

/// A body that is there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    Empty::new()
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body that comes piece by piece. A stream that can stay silent for long must end on shutdown itself, or the drain
/// takes its whole deadline.
pub fn stream<S>(stream: S) -> Body
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

/// A JSON response. A value that cannot be written (a map whose keys are no strings) is logged and becomes a 500.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_bytes(status, bytes.into()),
        Err(error) => {
            tracing::error!(%error, "cannot write the response as JSON");
            Problem::internal().into()
        }
    }
}

/// A response of JSON that was encoded before.
pub fn json_bytes(status: StatusCode, bytes: Bytes) -> Response {
    text(status, JSON, bytes)
}

/// A response of any content type.
pub fn text(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let mut response = text(problem.status(), Problem::CONTENT_TYPE, problem.to_json());
        response.headers_mut().extend(problem.headers().clone());
        response
    }
}

/// Reads and parses a JSON body of at most `limit_bytes`, within [`BODY_READ_TIMEOUT`].
///
/// # Errors
///
/// A problem: 415 when the content type is not JSON, 413 when it is too long, 408 when it comes too slowly, 400 with
/// path, line and column when it is not a `T`.
pub async fn read_json<T: DeserializeOwned>(
    request: Request<impl HttpBody<Data = Bytes, Error: Into<BoxError>>>,
    limit_bytes: usize,
) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        let detail = format!("send the body with content-type: {JSON}");
        return Err(Problem::unsupported_media_type(detail));
    }
    let bytes = read_bytes(request.into_body(), limit_bytes, BODY_READ_TIMEOUT).await?;
    parse_json(&bytes)
}

/// Reads a whole body of at most `limit_bytes` within `time_max`.
///
/// # Errors
///
/// A problem: 413, 408, or 400 when the connection breaks off.
pub async fn read_bytes(
    body: impl HttpBody<Data = Bytes, Error: Into<BoxError>>,
    limit_bytes: usize,
    time_max: Duration,
) -> Result<Bytes, Problem> {
    // A declared length over the limit is refused before the first byte is read.
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(Problem::payload_too_large(limit_bytes));
    }
    match timeout(time_max, Limited::new(body, limit_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Problem::payload_too_large(limit_bytes))
        }
        Ok(Err(error)) => {
            tracing::debug!(error, "a request's body broke off");
            Err(Problem::bad_request(
                "the body is not complete; send it again",
            ))
        }
        Err(_) => Err(Problem::request_timeout(format!(
            "send the whole body within {}",
            humantime::format_duration(time_max)
        ))),
    }
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request(
            "the body is empty; send a JSON document",
        ));
    }
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        // "." is the document itself.
        let place = if path == "." {
            String::new()
        } else {
            format!(" at {path}")
        };
        Problem::bad_request(format!(
            "the JSON{place} is not accepted: {}",
            error.inner()
        ))
    })?;
    parser.end().map_err(|error| {
        Problem::bad_request(format!("the JSON goes on after its end: {error}"))
    })?;
    Ok(value)
}

/// `application/json` or any `application/…+json` (RFC 6839), with or without parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == JSON || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self as streams, StreamExt as _};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        name: String,
        #[serde(default)]
        policy: Policy,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Policy {
        weight: u8,
    }

    fn request(content_type: &str, body: &'static str) -> Request<Body> {
        Request::builder()
            .header(CONTENT_TYPE, content_type)
            .body(full(body))
            .unwrap()
    }

    async fn refused(content_type: &str, body: &'static str) -> Problem {
        read_json::<Wish>(request(content_type, body), 64)
            .await
            .unwrap_err()
    }

    #[tokio::test]
    async fn json_is_read_whatever_the_parameters_of_its_type() {
        for content_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/x+json",
        ] {
            let wish: Wish = read_json(request(content_type, r#"{"name": "a"} "#), 64)
                .await
                .unwrap();
            assert_eq!(wish.name, "a");
        }
    }

    #[tokio::test]
    async fn what_is_not_the_json_we_read_is_refused_with_its_status_and_place() {
        for (content_type, body, status, part) in [
            ("text/plain", "{}", 415, "application/json"),
            ("application/jsonx", "{}", 415, "application/json"),
            (JSON, "", 400, "empty"),
            (JSON, "{", 400, "line 1 column 1"),
            (JSON, r#"{"name": 1}"#, 400, "at name"),
            (
                JSON,
                r#"{"name": "a", "policy": {"weight": 300}}"#,
                400,
                "at policy.weight",
            ),
            (JSON, r#"{"nmae": "a"}"#, 400, "unknown field `nmae`"),
            (JSON, r#"{"name": "a"} x"#, 400, "after its end"),
            (
                JSON,
                r#"{"name": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
                413,
                "64 bytes",
            ),
        ] {
            let problem = refused(content_type, body).await;
            assert_eq!(problem.status().as_u16(), status, "{body}");
            assert!(problem.to_string().contains(part), "{body}: {problem}");
        }
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_cut_at_the_limit() {
        let pieces = streams::repeat_with(|| Ok(Bytes::from_static(b"12345678")));
        let problem = read_bytes(stream(pieces), 20, BODY_READ_TIMEOUT)
            .await
            .unwrap_err();
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_given_up() {
        let silent = streams::iter([Ok(Bytes::from_static(b"{"))]).chain(streams::pending());
        let problem = read_bytes(stream(silent), 20, Duration::from_millis(1))
            .await
            .unwrap_err();
        assert_eq!(problem.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
