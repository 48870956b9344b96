//! Choosing an endpoint for an attempt, and whether a failed one is followed by another.
//!
//! Safe means: the request has not been passed on (no connection), or it is idempotent, its body can be sent again and nothing of
//! an answer has reached the client. Every retry is paid for from the service's budget.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use catalog_api::Protocol;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::{Context, context::Attempt, outcome, tunnel};
use crate::{
    error::GatewayError,
    upstream::{AnswerTime, Dial, HealthChecker, NoEndpoint, Pool, Tried, Upload, is_refusal},
};

/// Idle time after which a connection that Pingora keeps, which is one of HTTP/2, is closed.
const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Requests at once on one connection of HTTP/2 to an endpoint; Pingora opens another one for more.
const UPSTREAM_STREAMS_MAX: usize = 100;
/// How often such a connection is asked whether it is still there.
const UPSTREAM_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long the parts of an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    /// Wait for the endpoint's next bytes; a tunnel has none, its ends are watched by the client's idle timeout.
    pub(super) read: Option<Duration>,
    /// The same for it to take ours.
    pub(super) write: Option<Duration>,
}

/// What is known about an exchange that broke off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unanswered {
    /// Whether the request may be sent again: its method is idempotent and its content is still there.
    pub(super) is_replayable: bool,
    /// Whether nothing of an answer has reached the client.
    pub(super) is_untouched: bool,
    /// Whether the connection had been used before, as far as Pingora knows.
    pub(super) was_reused: bool,
}

/// Picks an endpoint and describes how to talk to it.
pub(super) fn next_attempt(
    session: &mut Session,
    ctx: &mut Context,
) -> Result<HttpPeer, GatewayError> {
    let has_content = !session.as_mut().is_body_empty();
    let patience = choose(ctx, has_content)?;
    let (Some(pool), Some(attempt)) = (&ctx.pool, &ctx.attempt) else {
        return Err(GatewayError::Internal);
    };
    let mut peer = peer(pool, attempt.in_flight.endpoint().address(), patience);
    if ctx.upgrade {
        tunnel::prepare(&mut peer);
    } else if let Some(dial) = &attempt.dial {
        peer.options.custom_l4 = Some(Arc::clone(dial) as Arc<_>);
    }
    Ok(peer)
}

/// Picks an endpoint for the next attempt, which begins with that. `has_content` says that content is passed on as it comes.
///
/// # Errors
/// Nobody is left, or no time is.
pub(super) fn choose(ctx: &mut Context, has_content: bool) -> Result<Patience, GatewayError> {
    let pool = ctx.pool.clone().ok_or(GatewayError::Internal)?;
    let now = Instant::now();
    let left = match ctx
        .deadline
        .map(|deadline| deadline.saturating_duration_since(now))
    {
        Some(Duration::ZERO) => return Err(GatewayError::DeadlineExceeded),
        left => left,
    };
    let mut picked = pool.pick_for(&ctx.affinity, &ctx.tried);
    if picked.as_ref().err() == Some(&NoEndpoint::AllTried) && ctx.failed_on_reused {
        // The connections were stale, not the endpoints: they get a second chance, within the same number of attempts.
        ctx.tried = Tried::default();
        picked = pool.pick_for(&ctx.affinity, &ctx.tried);
    }
    let in_flight = picked.map_err(|why| GatewayError::NoEndpoint {
        service: pool.service().to_string(),
        why,
    })?;
    ctx.attempts += 1;
    if ctx.attempts > 1 {
        pool.metrics().retried();
    }
    let dials = !ctx.upgrade && pool.policy().protocol == Protocol::Http1;
    let mut patience = Patience::of(&pool, left);
    let upload = (has_content && !ctx.upgrade).then(Arc::<Upload>::default);
    let mut sending = None;
    if let (true, Some(upload), Some(silence)) = (dials, &upload, patience.read) {
        let until = ctx.deadline.unwrap_or(now + silence).into();
        sending = Some((Arc::clone(upload), AnswerTime { silence, until }));
        // Pingora's would run while the client sends.
        patience.read = None;
    }
    ctx.attempt = Some(Attempt {
        dial: dials.then(|| Dial::new(in_flight.endpoint(), sending)),
        upload,
        in_flight,
        started: now,
    });
    Ok(patience)
}

/// The attempt has a connection.
pub(super) fn connected(ctx: &Context, reused: bool) {
    if let (Some(pool), Some(attempt)) = (&ctx.pool, &ctx.attempt) {
        pool.metrics().connected(attempt.was_used(reused));
    }
}

// === impl Patience ===

impl Patience {
    /// That of a service's policy, within what is left of the whole time; none is left to a tunnel, which has no whole time.
    fn of(pool: &Pool, left: Option<Duration>) -> Self {
        let timeouts = &pool.policy().timeouts;
        let within = |timeout: Duration| left.map_or(timeout, |left| left.min(timeout));
        Self {
            connect: within(timeouts.connect.get()),
            read: left.map(|_| within(timeouts.read.get())),
            write: left.map(|_| within(timeouts.write.get())),
        }
    }
}

fn peer(pool: &Pool, address: std::net::SocketAddr, patience: Patience) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    let options = &mut peer.options;
    options.connection_timeout = Some(patience.connect);
    options.total_connection_timeout = options.connection_timeout;
    options.idle_timeout = Some(UPSTREAM_IDLE_TIMEOUT);
    if pool.policy().protocol == Protocol::Http1 {
        // With HTTP/2 Pingora would only stop sending and wait for the answer all the same.
        options.write_timeout = patience.write;
    } else {
        options.set_http_version(2, 2);
        options.max_h2_streams = UPSTREAM_STREAMS_MAX;
        options.h2_ping_interval = Some(UPSTREAM_PING_INTERVAL);
    }
    options.read_timeout = patience.read;
    peer
}

/// No connection: nothing was passed on, so any request may be tried elsewhere.
pub(super) fn after_connect_failure(
    ctx: &mut Context,
    error: &Error,
    checker: &HealthChecker,
) -> bool {
    if let Some(attempt) = &ctx.attempt {
        let endpoint = attempt.in_flight.endpoint();
        endpoint.set_refuses(is_refusal(error));
    }
    blame(ctx, error, checker);
    ctx.failed_on_reused = false;
    ctx.failure = Some(GatewayError::from_pingora(error));
    let again = may_try_again(ctx);
    if !again {
        outcome::gave_up(ctx);
    }
    again
}

/// The exchange broke off.
pub(super) fn after_exchange_failure(
    ctx: &mut Context,
    error: &Error,
    exchange: Unanswered,
    checker: &HealthChecker,
) -> bool {
    if error.esource() != &ErrorSource::Upstream {
        return false;
    }
    let failure = GatewayError::from_pingora(error);
    // With HTTP/2 Pingora reads, and its time runs while the client sends.
    let is_unsent = error.etype() == &ErrorType::ReadTimedout
        && (ctx.attempt.as_ref()).is_some_and(Attempt::waits_for_client);
    if is_unsent || matches!(failure, GatewayError::DeadlineExceeded) {
        // The time was spent on waiting for the client, by the endpoint as well as here.
        ctx.failure = Some(GatewayError::DeadlineExceeded);
        return false;
    }
    let reused = (ctx.attempt.as_ref()).map_or(exchange.was_reused, |attempt| {
        attempt.was_used(exchange.was_reused)
    });
    ctx.failed_on_reused = reused;
    ctx.failure = Some(match failure {
        // The last stretch before the deadline is read with what was left of it.
        GatewayError::UpstreamTimeout
            if ctx
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline) =>
        {
            GatewayError::DeadlineExceeded
        }
        failure => failure,
    });
    if reused {
        recheck(ctx);
    } else {
        blame(ctx, error, checker);
    }
    let again =
        exchange.is_replayable && exchange.is_untouched && !ctx.upgrade && may_try_again(ctx);
    if !again {
        outcome::gave_up(ctx);
    }
    again
}

/// Counts the failure against the endpoint.
fn blame(ctx: &mut Context, error: &Error, checker: &HealthChecker) {
    outcome::failed(ctx, checker);
    if let Some(attempt) = ctx.attempt.take() {
        let endpoint = attempt.in_flight.endpoint();
        ctx.tried.add(endpoint.address());
        if let Some(transition) = endpoint.suspect() {
            checker.report(endpoint, transition, error.etype().as_str());
        }
    }
}

/// A kept connection was closed, which servers may do at any time. No failure, but worth a look.
fn recheck(ctx: &mut Context) {
    if let Some(attempt) = ctx.attempt.take() {
        let endpoint = attempt.in_flight.endpoint();
        ctx.tried.add(endpoint.address());
        endpoint.suspicion().notify_one();
    }
}

fn may_try_again(ctx: &Context) -> bool {
    let in_time = ctx
        .deadline
        .is_none_or(|deadline| Instant::now() < deadline);
    let Some(pool) = &ctx.pool else {
        return false;
    };
    in_time && ctx.attempts < pool.policy().retry.attempts && pool.budget().withdraw()
}
