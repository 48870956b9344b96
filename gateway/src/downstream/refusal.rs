//! Answers to what is no request: there is no session of Pingora to answer with, so they are written as bytes.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use pingora_core::protocols::{Shutdown, http::date};
use service_kit::{
    access_log::{self, AccessRecord, Importance},
    http::RequestId,
    problem::Problem,
};
use tokio::io::AsyncWriteExt as _;

use super::stream::{ClientStream, Refused};
use crate::metrics::{GatewayMetrics, RouteMetrics};

/// Longest wait for a client to take the answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Who counts what is refused.
pub(super) struct Refusals<'a> {
    pub(super) metrics: &'a GatewayMetrics,
    pub(super) unmatched: &'a RouteMetrics,
}

// === impl Refusals ===

impl Refusals<'_> {
    /// Answers, accounts for it, and closes the connection: where the next request would begin is in doubt.
    pub(super) async fn refuse(&self, mut stream: Box<ClientStream>, refused: Refused) {
        let Some(problem) = refused.error.problem() else {
            return;
        };
        let id = RequestId::random();
        let is_head = refused.method == Some(Method::HEAD);
        let answer = answer(problem.clone().instance(id.as_str()), &id, is_head);
        let sending = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await
        };
        // A client that does not take the answer has none.
        let _ = pingora_timeout::timeout(WRITE_TIMEOUT, sending).await;
        self.account(&stream, &refused, &problem, &id);
        Shutdown::shutdown(&mut *stream).await;
    }

    fn account(&self, stream: &ClientStream, refused: &Refused, problem: &Problem, id: &RequestId) {
        let status = problem.status().as_u16();
        let took = refused.since.elapsed();
        // Anything but a method of the list counts as OTHER.
        let method = refused.method.as_ref().unwrap_or(&Method::CONNECT);
        let reason = refused.error.reason();
        self.unmatched.observe(method, status, took);
        self.metrics.rejected(reason);
        access_log::write(Importance::Ordinary, || AccessRecord {
            method: refused.method.as_ref().map(Method::as_str),
            status,
            duration: took,
            reason: Some(reason.0),
            request_id: Some(id.as_str()),
            client: Some(stream.peer().ip().to_canonical()),
            ..AccessRecord::default()
        });
    }
}

fn answer(problem: Problem, id: &RequestId, is_head: bool) -> String {
    let body = problem.to_json();
    let status = problem.status();
    let mut text = format!("HTTP/1.1 {status}\r\n");
    let mut field = |name: &str, value: &[u8]| {
        let value = String::from_utf8_lossy(value);
        // Writing into a string never fails.
        let _ = write!(text, "{name}: {value}\r\n");
    };
    field("date", date::get_cached_date().as_bytes());
    field("content-type", Problem::CONTENT_TYPE.as_bytes());
    field("content-length", body.len().to_string().as_bytes());
    field("cache-control", b"no-store");
    field("x-request-id", id.as_str().as_bytes());
    let headers = problem.headers().iter();
    headers.for_each(|(name, value): (&HeaderName, &HeaderValue)| {
        field(name.as_str(), value.as_bytes());
    });
    field("connection", b"close");
    text += "\r\n";
    if !is_head {
        text += &String::from_utf8_lossy(&body);
    }
    text
}
