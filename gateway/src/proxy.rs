//! Pingora's phases, in the order in which a request meets them. Each only calls the room that knows how.

pub(crate) mod access_log;
mod admission;
mod cache_status;
mod caching;
mod context;
mod drain;
mod entrance;
mod fields;
mod forward;
mod grpc;
mod network;
mod origin;
mod outcome;
pub(crate) mod passing;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod rate;
mod redirect;
mod relay;
mod respond;
mod retry;
mod static_files;
mod trace;
mod tunnel;

use std::{
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Version;
use pingora_cache::{
    CacheKey, CacheMeta, CachePhase, ForcedFreshness, HitHandler, RespCacheable, key::HashBinary,
};
use pingora_core::{protocols::Digest, upstreams::peer::HttpPeer};
use pingora_error::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, RangeType, Session};
use service_kit::http::RequestId;

use crate::{
    cache::{Cache, variance},
    error::GatewayError,
    files::Files,
    metrics::{GatewayMetrics, RouteMetrics},
    snapshot::Live,
    upstream::HealthChecker,
};
use retry::Unanswered;

use access_log::Exchanged;

pub use admission::{Admission, Arrival, Decision, Redirection, Refused, ToService};
pub use context::Context;
pub use drain::Exchanges;
pub use entrance::{Entrance, Entrances};
pub use network::{Network, NetworkError};
pub use origin::Origin;
pub use rate::RateLimiter;
pub use redirect::Redirect;
pub(crate) use relay::Relayed;

/// Longest wait for a client's next bytes, and for it to take ours.
const CLIENT_IO_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a tunnel (WebSocket), which may be silent for long.
const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// What all requests share.
pub struct GatewayProxy {
    /// What every request is asked first. The operators' `/explain` asks the same.
    pub admission: Arc<Admission>,
    /// The current view.
    pub live: Arc<Live>,
    /// Counters.
    pub metrics: Arc<GatewayMetrics>,
    /// Reports endpoints that fail on requests.
    pub checker: Arc<HealthChecker>,
    /// How often clients have asked.
    pub rates: Arc<RateLimiter>,
    /// Counters of requests without a route.
    pub unmatched: Arc<RouteMetrics>,
    /// Requests under way, for the drain.
    pub exchanges: Exchanges,
    /// Serves folders.
    pub files: Arc<Files>,
    /// Kept answers; none when nothing is kept.
    pub cache: Option<&'static Cache>,
    /// Whether answers carry `x-config-revision`.
    pub expose_revision: bool,
    /// Whether plain requests take the short way.
    pub relays: bool,
}

/// The same as Pingora's phases, which Pingora wants to own.
pub struct Phases(pub Arc<GatewayProxy>);

impl Deref for Phases {
    type Target = GatewayProxy;

    fn deref(&self) -> &GatewayProxy {
        &self.0
    }
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.exchanges.enter())
    }

    async fn early_request_filter(&self, session: &mut Session, _ctx: &mut Context) -> Result<()> {
        // RFC 9110 §15.2: an old client does not know interim answers.
        let is_old = session.req_header().version < Version::HTTP_11;
        session.set_ignore_info_resp(is_old);
        session.set_read_timeout(Some(CLIENT_IO_TIMEOUT));
        session.set_write_timeout(Some(CLIENT_IO_TIMEOUT));
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        ctx.request_id = Some(RequestId::from_headers(&session.req_header().headers));
        match self.decide(&Arrival::of(session), ctx) {
            Ok(Decision::Service(to)) => {
                ctx.follow(to);
                // Nobody asked for the renewal of a stale object.
                let is_of_client = session.subrequest_ctx.is_none();
                if is_of_client
                    && let Err(error) = passing::take_rate(session.req_header(), ctx, &self.rates)
                {
                    respond::refuse(session, ctx, error).await?;
                    return Ok(true);
                }
                if ctx.upgrade {
                    session.set_read_timeout(Some(TUNNEL_IDLE_TIMEOUT));
                    // What follows on the connection is the tunnel's, also when the service refuses it.
                    session.set_keepalive(None);
                }
                return Ok(false);
            }
            Ok(Decision::Metrics(route)) => {
                ctx.route = Some(route);
                respond::metrics(session, ctx, &self.metrics).await?;
            }
            Ok(Decision::Files(route, folder)) => {
                ctx.route = Some(route);
                static_files::answer(session, ctx, &self.files, &folder).await?;
            }
            Ok(Decision::Redirect(to)) => {
                ctx.route = to.route.clone();
                respond::redirect(session, ctx, &to).await?;
            }
            Ok(Decision::AboutTheGateway) => respond::options(session, ctx).await?,
            Err(refused) => {
                ctx.route = refused.route;
                respond::refuse(session, ctx, refused.error).await?;
            }
        }
        Ok(true)
    }

    fn request_cache_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        if let Some(cache) = self.cache {
            caching::enable(session, ctx, cache);
        }
        Ok(())
    }

    fn cache_key_callback(&self, session: &Session, ctx: &mut Context) -> Result<CacheKey> {
        caching::key(session, ctx, self.cache)
    }

    fn cache_vary_filter(
        &self,
        meta: &CacheMeta,
        _ctx: &mut Context,
        request: &RequestHeader,
    ) -> Option<HashBinary> {
        variance(meta.headers(), &request.headers)
    }

    async fn cache_hit_filter(
        &self,
        _session: &mut Session,
        meta: &CacheMeta,
        _hit: &mut HitHandler,
        _is_fresh: bool,
        ctx: &mut Context,
    ) -> Result<Option<ForcedFreshness>> {
        Ok(caching::wants_validation(ctx, meta))
    }

    async fn proxy_upstream_filter(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<bool> {
        if let Err(error) = caching::may_ask_service(ctx).and_then(|()| passing::pass(ctx)) {
            respond::refuse(session, ctx, error).await?;
            return Ok(false);
        }
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        match retry::next_attempt(session, ctx) {
            Ok(peer) => {
                if ctx.attempts == 1 {
                    self.metrics.overhead(ctx.started.elapsed());
                }
                Ok(Box::new(peer))
            }
            Err(error) => {
                outcome::gave_up(ctx);
                Err(ctx.fail(error))
            }
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
        retry::connected(ctx, reused);
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        passing::take_content(session, ctx).map_err(|error| ctx.fail(error))?;
        if end_of_stream && let Some(attempt) = &ctx.attempt {
            attempt.has_all();
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        caching::asking(ctx);
        forward::prepare_target(upstream, ctx)?;
        forward::prepare_request(session.req_header(), upstream, ctx)
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        caching::answered(ctx, response);
        Ok(())
    }

    fn response_cache_filter(
        &self,
        session: &Session,
        response: &ResponseHeader,
        ctx: &mut Context,
    ) -> Result<RespCacheable> {
        caching::assess_answer(session, response, ctx)
    }

    fn range_header_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        _ctx: &mut Context,
    ) -> RangeType {
        caching::ranges(session, response)
    }

    fn should_serve_stale(
        &self,
        _session: &mut Session,
        ctx: &mut Context,
        error: Option<&Error>,
    ) -> bool {
        caching::serves_stale(ctx, error, &self.checker)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        let unanswered = Unanswered {
            is_replayable: session.req_header().method.is_idempotent()
                && !session.as_ref().retry_buffer_truncated(),
            is_untouched: session.response_written().is_none(),
            was_reused: client_reused,
        };
        let again = retry::after_exchange_failure(ctx, &error, unanswered, &self.checker);
        if again {
            caching::give_up_fill(session);
        }
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
        if session.cache.phase() != CachePhase::Stale {
            outcome::answered(ctx, response.status, &self.checker);
        }
        if forward::is_stream(response) {
            // It ends when it ends; silence is still limited by the read timeout.
            ctx.deadline = None;
        }
        let about = (response.status, response.version);
        forward::prepare_response(response, about, ctx, self.expose_revision)?;
        caching::answering(session, response, ctx, self.cache)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        ctx: &mut Context,
    ) -> Result<Option<Duration>> {
        caching::passing(session, ctx, body.as_ref().map_or(0, Bytes::len));
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
        let exchanged = Exchanged::by(session, error, ctx);
        access_log::finish(&exchanged, ctx, self);
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

impl GatewayProxy {
    /// Takes everything that a request needs from the snapshot, in one load.
    fn decide(&self, arrival: &Arrival<'_>, ctx: &mut Context) -> Result<Decision, Refused> {
        ctx.origin = self.admission.origin(arrival);
        let snapshot = self.live.load();
        ctx.revision = snapshot.revision();
        self.admission
            .decide(arrival, &ctx.origin, &snapshot, &mut ())
    }
}
