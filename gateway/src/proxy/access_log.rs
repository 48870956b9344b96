//! The end of a request: one event, and the counters.

use http::{HeaderMap, Method, header};
use pingora_error::Error;
use pingora_proxy::Session;
use service_kit::http::milliseconds;

use super::{Context, GatewayProxy, cache_status, trace};
use crate::{
    error::{CLIENT_CLOSED_REQUEST, GatewayError},
    metrics::CacheResult,
};

/// What was exchanged with the client, as the one who spoke with it knows. Everything else about a request is in its [`Context`].
pub(crate) struct Exchanged<'a> {
    /// The method as it came.
    pub(crate) method: &'a Method,
    /// The path as it came, without the query.
    pub(crate) path: &'a str,
    /// The fields of the request, of which a few are logged.
    pub(crate) headers: &'a HeaderMap,
    /// Status of the final answer; none when its header was never sent.
    pub(crate) status: Option<u16>,
    /// Bytes of the request's content.
    pub(crate) bytes_received: usize,
    /// Bytes of the answer's content.
    pub(crate) bytes_sent: usize,
    /// Whether it ended by a failure.
    pub(crate) has_failed: bool,
    /// What the cache did; none where nothing is cached.
    pub(crate) cached: Option<CacheResult>,
    /// Whether a client asked. Nobody asked for the renewal of a stale object.
    pub(crate) is_of_client: bool,
}

// === impl Exchanged ===

impl<'a> Exchanged<'a> {
    /// What Pingora exchanged.
    pub(super) fn by(session: &'a Session, error: Option<&Error>, ctx: &Context) -> Self {
        let request = session.req_header();
        let cached = ctx.cache.as_ref().map(|caching| {
            let result = caching.result;
            result.unwrap_or_else(|| cache_status::unanswered(&session.cache))
        });
        Self {
            method: &request.method,
            path: request.uri.path(),
            headers: &request.headers,
            status: session
                .response_written()
                .map(|response| response.status.as_u16()),
            bytes_received: session.body_bytes_read(),
            bytes_sent: session.body_bytes_sent(),
            has_failed: error.is_some(),
            cached,
            is_of_client: session.subrequest_ctx.is_none(),
        }
    }
}

/// Accounts for a finished request.
pub(crate) fn finish(exchanged: &Exchanged<'_>, ctx: &mut Context, proxy: &GatewayProxy) {
    let took = ctx.started.elapsed();
    let status = exchanged.status.unwrap_or(CLIENT_CLOSED_REQUEST);
    let route = ctx.route.as_deref();
    if exchanged.is_of_client {
        let counters = route.map_or(&*proxy.unmatched, |route| route.metrics());
        counters.observe(exchanged.method, status, took);
        if let Some(result) = exchanged.cached {
            proxy.metrics.cache().count(result);
        }
    }
    if let Some(rejected) = &ctx.rejected {
        proxy.metrics.rejected(rejected.reason());
    }
    let attempt = ctx.attempt.take();
    let upstream_took = attempt.as_ref().map(|attempt| attempt.started.elapsed());
    if let (Some(took), Some(pool)) = (upstream_took, &ctx.pool) {
        pool.metrics().exchanged(took);
    }
    if !exchanged.is_of_client || !tracing::enabled!(target: "access", tracing::Level::INFO) {
        return;
    }
    tracing::event!(
        target: "access",
        tracing::Level::INFO,
        http.method = exchanged.method.as_str(),
        http.host = exchanged.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        http.path = exchanged.path,
        http.route = route.map(|route| route.name()),
        http.status = status,
        http.bytes_received = exchanged.bytes_received,
        http.bytes_sent = exchanged.bytes_sent,
        service = ctx.pool.as_ref().map(|pool| pool.service().as_str()),
        endpoint = attempt.map(|attempt| tracing::field::display(attempt.in_flight.endpoint().address())),
        cache = exchanged.cached.map(CacheResult::as_str),
        retries = ctx.attempts.saturating_sub(1),
        duration_ms = milliseconds(took),
        upstream_ms = upstream_took.map(milliseconds),
        reason = ctx.rejected.as_ref().map(|error: &GatewayError| error.reason().0),
        cut = exchanged.has_failed && exchanged.status.is_some(),
        request.id = ctx.request_id.as_ref().map(|id| id.as_str()),
        trace.id = trace::trace_id(exchanged.headers),
        client.address = ctx.origin.client.map(tracing::field::display),
        "request"
    );
}
