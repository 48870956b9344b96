//! Pingora's phases, in the order in which a request meets them. Each only calls the room that knows how.

mod access_log;
mod admission;
mod context;
mod drain;
mod forward;
mod respond;
mod retry;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::{protocols::Digest, upstreams::peer::HttpPeer};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::{
    error::GatewayError,
    metrics::{GatewayMetrics, RouteMetrics},
    route::Target,
    snapshot::Live,
    upstream::{HealthChecker, NoEndpoint},
};

pub use context::Context;
pub use drain::Exchanges;

/// Idle time after which a client's connection is closed. Pingora's default is never.
const CLIENT_IDLE_TIMEOUT_SECONDS: u64 = 75;
/// Longest wait for a client's next bytes, and for it to take ours.
const CLIENT_IO_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a tunnel (WebSocket), which may be silent for long.
const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// What all requests share.
pub struct GatewayProxy {
    /// The current view.
    pub live: Arc<Live>,
    /// Counters.
    pub metrics: Arc<GatewayMetrics>,
    /// Reports endpoints that fail on requests.
    pub checker: Arc<HealthChecker>,
    /// Counters of requests without a route.
    pub unmatched: Arc<RouteMetrics>,
    /// Requests under way, for the drain.
    pub exchanges: Exchanges,
    /// Whether answers carry `x-config-revision`.
    pub expose_revision: bool,
}

#[async_trait]
impl ProxyHttp for GatewayProxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.exchanges.enter())
    }

    async fn early_request_filter(&self, session: &mut Session, _ctx: &mut Context) -> Result<()> {
        // None is how Pingora keeps a doubtful connection from being used again; it must stay None.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(CLIENT_IDLE_TIMEOUT_SECONDS));
        }
        session.set_pipelining_enabled(true);
        session.set_read_timeout(Some(CLIENT_IO_TIMEOUT));
        session.set_write_timeout(Some(CLIENT_IO_TIMEOUT));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        if let Err(error) = admission::admit(session, &self.live, ctx) {
            respond::refuse(session, ctx, error).await?;
            return Ok(true);
        }
        if ctx.upgrade {
            session.set_read_timeout(Some(TUNNEL_IDLE_TIMEOUT));
        }
        if ctx
            .route
            .as_ref()
            .is_some_and(|route| *route.target() == Target::Metrics)
        {
            respond::metrics(session, ctx, &self.metrics).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        match retry::next_attempt(ctx) {
            Ok(peer) => {
                if ctx.attempts == 1 {
                    self.metrics.overhead(ctx.started.elapsed());
                }
                Ok(Box::new(peer))
            }
            Err(error) => Err(ctx.fail(error)),
        }
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = retry::after_connect_failure(ctx, &error, &self.checker);
        error.set_retry(again);
        error
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        if let Some(pool) = &ctx.pool {
            pool.metrics().connected(reused);
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        forward::prepare_request(session, upstream, ctx)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let again =
            retry::after_exchange_failure(session, ctx, &error, client_reused, &self.checker);
        error.set_retry(again);
        error
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if session.is_process_shutting_down() {
            session.set_keepalive(None);
        }
        if let Some(attempt) = &ctx.attempt {
            attempt.answered(response.status);
        }
        forward::prepare_response(response, ctx, self.expose_revision)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        if ctx
            .deadline
            .is_some_and(|deadline| Instant::now() > deadline)
        {
            return Err(ctx.fail(GatewayError::DeadlineExceeded));
        }
        Ok(None)
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let failure = ctx
            .failure
            .take()
            .unwrap_or_else(|| GatewayError::from_pingora(error));
        if matches!(failure, GatewayError::Internal) {
            tracing::error!(%error, "request failed by a fault of the gateway");
        } else {
            tracing::debug!(%error, "request failed");
        }
        let error_code = respond::fail(session, ctx, failure).await;
        FailToProxy {
            error_code,
            can_reuse_downstream: false,
        }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        access_log::finish(session, error, ctx, self);
    }

    // One event per request, ours: it has the route, the service and the endpoint, which Pingora's messages lack.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Context,
        _error: &Error,
        _context: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

impl Context {
    /// Keeps the reason for the answer and gives Pingora an error to stop with.
    fn fail(&mut self, failure: GatewayError) -> Box<Error> {
        let text = failure.to_string();
        // An earlier attempt's failure says more than that nobody is left to try.
        let left_over = matches!(
            failure,
            GatewayError::NoEndpoint {
                why: NoEndpoint::AllTried,
                ..
            }
        );
        if !left_over || self.failure.is_none() {
            self.failure = Some(failure);
        }
        Error::explain(ErrorType::InternalError, text)
    }
}
