//! Answers to what is no request: there is no session of Pingora to answer with, so they are written as bytes.

use std::time::Duration;

use http::Method;
use pingora_core::protocols::Shutdown;
use service_kit::{
    access_log::{self, AccessRecord, Importance},
    http::RequestId,
    problem::Problem,
};
use tokio::io::AsyncWriteExt as _;

use super::{
    own_answer::OwnAnswer,
    stream::{ClientStream, Refused},
};
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
        let answer = OwnAnswer::new(&problem, &id, false);
        let sending = async {
            stream.write_all(answer.head.as_bytes()).await?;
            if !is_head {
                stream.write_all(answer.content.as_bytes()).await?;
            }
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
