//! Whether a service may be asked now: how often its client has asked, how many requests are with it, and whether it is left alone.
//!
//! Other than what [`super::admission`] checks, these have an effect: what a request takes here, others do not have. The rate is taken
//! by every request, the rest only by those that the cache does not answer.

use std::{net::IpAddr, time::Instant};

use http::HeaderMap;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{Context, RateLimiter, ToService, admission};
use crate::error::GatewayError;

/// Counts a request of a client.
///
/// # Errors
/// The client has asked too often on this route.
pub(super) fn take_rate(
    header: &RequestHeader,
    ctx: &Context,
    rates: &RateLimiter,
) -> Result<(), GatewayError> {
    let (Some(pool), Some(route)) = (&ctx.pool, &ctx.route) else {
        return Ok(());
    };
    let Some(rate) = &pool.policy().limits.rate else {
        return Ok(());
    };
    let counted = (pool.id().0, route.name());
    let (client, headers) = (ctx.origin.client, &header.headers);
    rates
        .take(rate, counted, client, headers, Instant::now())
        .map_err(|retry_after| GatewayError::RateLimited { retry_after })
}

/// Whether what has come of the content is within the limit of the service.
///
/// # Errors
/// It is too long.
pub(super) fn take_content(session: &Session, ctx: &Context) -> Result<(), GatewayError> {
    let come = session.body_bytes_read() as u64;
    (ctx.pool.as_ref()).map_or(Ok(()), |pool| {
        admission::check_content(come, pool, ctx.upgrade)
    })
}

/// Takes the request's place among those that are with the service, until its end, and passes the circuit breaker.
///
/// # Errors
/// The service has as many requests as it may, or its circuit is open.
pub(super) fn pass(ctx: &mut Context) -> Result<(), GatewayError> {
    let Some(pool) = &ctx.pool else {
        return Ok(());
    };
    if let Some(most) = pool.policy().limits.concurrency {
        let place = pool.concurrency().enter(most);
        ctx.place = Some(place.ok_or(GatewayError::Overloaded(most))?);
    }
    if let Some(breaker) = pool.breaker() {
        let passage = breaker.pass(Instant::now());
        ctx.passage =
            Some(passage.map_err(|retry_after| GatewayError::CircuitOpen { retry_after })?);
    }
    Ok(())
}

/// What [`take_rate`] and then [`pass`] would say now, without an effect.
///
/// # Errors
/// As of the two.
pub(crate) fn foretell(
    to: &ToService,
    client: Option<IpAddr>,
    headers: &HeaderMap,
    rates: &RateLimiter,
) -> Result<(), GatewayError> {
    let pool = &to.pool;
    if let Some(rate) = &pool.policy().limits.rate {
        let counted = (pool.id().0, to.route.name());
        rates
            .peek(rate, counted, client, headers, Instant::now())
            .map_err(|retry_after| GatewayError::RateLimited { retry_after })?;
    }
    match pool.policy().limits.concurrency {
        Some(most) if pool.concurrency().taken() >= most => {
            return Err(GatewayError::Overloaded(most));
        }
        _ => {}
    }
    match pool.breaker().map(|breaker| breaker.left(Instant::now())) {
        Some(Some(retry_after)) => Err(GatewayError::CircuitOpen { retry_after }),
        _ => Ok(()),
    }
}
