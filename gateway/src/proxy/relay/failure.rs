//! Answers in the place of a service.

use pingora_core::server::ShutdownWatch;
use pingora_error::{Error, Result};
use service_kit::{http::RequestId, problem::Problem};

use super::Relay;
use crate::{downstream::OwnAnswer, error::GatewayError};

// === impl Relay ===

impl Relay<'_> {
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
        self.closes |= error.closes_connection() || *stopping.borrow();
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
        self.closes = true;
        if let Some(problem) = problem
            && self.sent.status.is_none()
            && let Err(error) = self.explain(&problem).await
        {
            tracing::debug!(%error, "the client did not take the answer");
        }
    }

    async fn explain(&mut self, problem: &Problem) -> Result<()> {
        let id = self.ctx.request_id.clone();
        let id = id.unwrap_or_else(RequestId::random);
        let answer = OwnAnswer::new(problem, &id, !self.closes);
        self.sent.status = Some(problem.status());
        self.write(answer.head.as_bytes()).await?;
        if self.message.header.method != http::Method::HEAD {
            self.write(answer.content.as_bytes()).await?;
            self.sent.bytes = answer.content.len() as u64;
        }
        self.flush().await
    }
}
