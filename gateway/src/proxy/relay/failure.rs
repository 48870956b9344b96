//! Answers in the place of a service.

use http::{HeaderValue, header};
use pingora_core::server::ShutdownWatch;
use pingora_error::{Error, Result};
use service_kit::{http::RequestId, problem::Problem};

use super::{Relay, client::Client, lines::Lines};
use crate::{
    error::GatewayError,
    proxy::{fields::Fields as _, forward::X_REQUEST_ID},
};

// === impl Relay ===

impl<C: Client> Relay<'_, C> {
    /// Answers before anything was sent to a service. The connection goes on: the request has come whole.
    ///
    /// # Errors
    /// The client is gone.
    pub(super) async fn refuse(
        &mut self,
        error: GatewayError,
        stopping: &ShutdownWatch,
    ) -> Result<()> {
        let problem = error.problem();
        if error.closes_connection() || *stopping.borrow() {
            self.client.close();
        }
        self.ctx.rejected = Some(error);
        match problem {
            Some(problem) => self.explain(&problem).await,
            None => Ok(()),
        }
    }

    /// Answers in place of a service that failed, and ends the connection. With a part of the service's answer at the client, breaking
    /// off is the only honest end.
    pub(super) async fn fail(&mut self, error: &Error) {
        let failure = self.ctx.failure.take();
        let failure = failure.unwrap_or_else(|| GatewayError::from_pingora(error));
        if matches!(failure, GatewayError::Internal) {
            tracing::error!(%error, "request failed by a fault of the gateway");
        } else {
            tracing::debug!(%error, "request failed");
        }
        let problem = failure.problem();
        self.ctx.rejected = Some(failure);
        self.client.close();
        if let Some(problem) = problem
            && self.sent.status.is_none()
            && let Err(error) = self.explain(&problem).await
        {
            tracing::debug!(%error, "the client did not take the answer");
        }
    }

    async fn explain(&mut self, problem: &Problem) -> Result<()> {
        // The time that is over was the service's.
        self.ctx.deadline = None;
        let id = self.ctx.request_id.clone();
        let id = id.unwrap_or_else(RequestId::random);
        let content = problem.clone().instance(id.as_str()).to_json();
        let status = problem.status();
        let mut lines = Lines::with_capacity(problem.headers().len());
        for (name, value) in [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static(Problem::CONTENT_TYPE),
            ),
            (header::CONTENT_LENGTH, content.len().into()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_REQUEST_ID, id.header()),
        ] {
            lines.append(name, value)?;
        }
        lines.push_all(problem.headers());
        let reason = status.canonical_reason().unwrap_or_default();
        self.begin_own(status, reason, lines, content.len() as u64)
            .await?;
        self.send_own(content, true).await
    }
}
