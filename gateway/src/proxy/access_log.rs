//! The end of a request: one event, and the counters.

use std::time::Instant;

use http::{HeaderMap, Method, header};
use pingora_error::Error;
use pingora_proxy::Session;
use service_kit::access_log::{self, AccessRecord, Importance};

use super::{Context, GatewayProxy, cache_status, trace};
use crate::{error::CLIENT_CLOSED_REQUEST, metrics::CacheResult};

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
    // One reading for both durations: the part is never longer than the whole.
    let now = Instant::now();
    let took = now - ctx.started;
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
    let upstream_took = attempt.as_ref().map(|attempt| now - attempt.started);
    if let (Some(took), Some(pool)) = (upstream_took, &ctx.pool) {
        pool.metrics().exchanged(took);
    }
    if !exchanged.is_of_client {
        return;
    }
    access_log::write(Importance::Ordinary, || AccessRecord {
        method: Some(exchanged.method.as_str()),
        host: exchanged
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
        path: Some(exchanged.path),
        route: route.map(|route| route.name()),
        status,
        bytes_received: Some(exchanged.bytes_received as u64),
        bytes_sent: Some(exchanged.bytes_sent as u64),
        // Of the route, not of the pool: what was refused on its way to a service names it, too.
        service: route.and_then(|route| Some(route.service()?.as_str())),
        endpoint: attempt.map(|attempt| attempt.in_flight.endpoint().address()),
        cache: exchanged.cached.map(CacheResult::as_str),
        retries: Some(ctx.attempts.saturating_sub(1)),
        duration: took,
        upstream: upstream_took,
        reason: ctx.rejected.as_ref().map(|error| error.reason().0),
        is_cut: Some(exchanged.has_failed && exchanged.status.is_some()),
        request_id: ctx.request_id.as_ref().map(|id| id.as_str()),
        trace_id: trace::trace_id(exchanged.headers),
        client: ctx.origin.client,
    });
}
