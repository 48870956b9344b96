//! What the end of an attempt says about the endpoint that had it, and the end of a request about its service.

use std::time::Instant;

use http::StatusCode;

use super::Context;
use crate::upstream::HealthChecker;

/// An answer of the service begins with this status.
pub(super) fn answered(ctx: &mut Context, status: StatusCode, checker: &HealthChecker) {
    let is_interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
    let Some(attempt) = ctx.attempt.as_ref().filter(|_| !is_interim) else {
        return;
    };
    attempt.answered(status);
    let success = !status.is_server_error();
    judge_endpoint(ctx, success, checker);
    judge_service(ctx, success);
}

/// An attempt failed. What else becomes of the request is decided afterwards.
pub(super) fn failed(ctx: &Context, checker: &HealthChecker) {
    if let Some(attempt) = &ctx.attempt {
        attempt.failed();
        judge_endpoint(ctx, false, checker);
    }
}

/// The request failed, after all attempts. One that was not even tried says nothing about the service.
pub(super) fn gave_up(ctx: &mut Context) {
    if ctx.attempts > 0 {
        judge_service(ctx, false);
    }
}

fn judge_endpoint(ctx: &Context, success: bool, checker: &HealthChecker) {
    let (Some(pool), Some(attempt)) = (&ctx.pool, &ctx.attempt) else {
        return;
    };
    let endpoint = attempt.in_flight.endpoint();
    if let Some(length) = pool.judge(endpoint, success) {
        checker.report_ejection(endpoint, length);
    }
}

fn judge_service(ctx: &mut Context, success: bool) {
    if let Some(passage) = ctx.passage.take() {
        passage.ended(success, Instant::now());
    }
}
