//! An answer of the gateway itself as bytes, where there is no session of Pingora to answer with.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use pingora_core::protocols::http::date;
use service_kit::{http::RequestId, problem::Problem};

/// A problem as an answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct OwnAnswer {
    pub(crate) head: String,
    /// Not to be sent to `HEAD`.
    pub(crate) content: String,
}

// === impl OwnAnswer ===

impl OwnAnswer {
    /// Writes the answer to the request with this id. `stays_open` is what it says about the connection.
    pub(crate) fn new(problem: &Problem, id: &RequestId, stays_open: bool) -> Self {
        let content = problem.clone().instance(id.as_str()).to_json();
        let mut head = format!("HTTP/1.1 {}\r\n", problem.status());
        let mut field = |name: &str, value: &[u8]| {
            let value = String::from_utf8_lossy(value);
            // Writing into a string never fails.
            let _ = write!(head, "{name}: {value}\r\n");
        };
        field("date", date::get_cached_date().as_bytes());
        field("content-type", Problem::CONTENT_TYPE.as_bytes());
        field("content-length", content.len().to_string().as_bytes());
        field("cache-control", b"no-store");
        field("x-request-id", id.as_str().as_bytes());
        let headers = problem.headers().iter();
        headers.for_each(|(name, value): (&HeaderName, &HeaderValue)| {
            field(name.as_str(), value.as_bytes());
        });
        let connection: &[u8] = if stays_open { b"keep-alive" } else { b"close" };
        field("connection", connection);
        head += "\r\n";
        Self {
            head,
            content: String::from_utf8_lossy(&content).into_owned(),
        }
    }
}
