//! The end of a request: one event, and the counters.

use http::header;
use pingora_error::Error;
use pingora_proxy::Session;
use service_kit::http::milliseconds;

use super::{Context, GatewayProxy, cache_status, trace};
use crate::{
    error::{CLIENT_CLOSED_REQUEST, GatewayError},
    metrics::CacheResult,
};

/// Accounts for a finished request.
pub(super) fn finish(
    session: &mut Session,
    error: Option<&Error>,
    ctx: &mut Context,
    proxy: &GatewayProxy,
) {
    let took = ctx.started.elapsed();
    let written = session
        .response_written()
        .map(|response| response.status.as_u16());
    let status = match (written, &ctx.rejected) {
        (Some(status), _) => status,
        (None, _) => CLIENT_CLOSED_REQUEST,
    };
    let route = ctx.route.as_deref();
    let request = session.req_header();
    let cached = ctx.cache.as_ref().map(|caching| {
        let result = caching.result;
        result.unwrap_or_else(|| cache_status::unanswered(&session.cache))
    });
    // Nobody asked for the renewal of a stale object.
    let is_of_client = session.subrequest_ctx.is_none();
    if is_of_client {
        let counters = route.map_or(&*proxy.unmatched, |route| route.metrics());
        counters.observe(&request.method, status, took);
        if let Some(result) = cached {
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
    if !is_of_client || !tracing::enabled!(target: "access", tracing::Level::INFO) {
        return;
    }
    tracing::event!(
        target: "access",
        tracing::Level::INFO,
        http.method = request.method.as_str(),
        http.host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        http.path = request.uri.path(),
        http.route = route.map(|route| route.name()),
        http.status = status,
        http.bytes_received = session.body_bytes_read(),
        http.bytes_sent = session.body_bytes_sent(),
        service = ctx.pool.as_ref().map(|pool| pool.service().as_str()),
        endpoint = attempt.map(|attempt| tracing::field::display(attempt.in_flight.endpoint().address())),
        cache = cached.map(CacheResult::as_str),
        retries = ctx.attempts.saturating_sub(1),
        duration_ms = milliseconds(took),
        upstream_ms = upstream_took.map(milliseconds),
        reason = ctx.rejected.as_ref().map(|error: &GatewayError| error.reason().0),
        cut = error.is_some() && written.is_some(),
        request.id = ctx.request_id.as_ref().map(|id| id.as_str()),
        trace.id = trace::trace_id(&request.headers),
        client.address = ctx.origin.client.map(tracing::field::display),
        "request"
    );
}
