//! Answers of the gateway itself.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use service_kit::{metrics::Metrics, problem::Problem};

use super::{Context, Redirection, grpc};
use crate::{
    error::{CLIENT_CLOSED_REQUEST, GatewayError, METHODS},
    metrics::GatewayMetrics,
};

/// Answers before anything was sent to a service. The connection stays open unless its framing is in doubt.
pub(super) async fn refuse(
    session: &mut Session,
    ctx: &mut Context,
    error: GatewayError,
) -> Result<()> {
    let Some(problem) = error.problem() else {
        return Ok(());
    };
    if error.closes_connection() || session.is_process_shutting_down() {
        session.set_keepalive(None);
    }
    ctx.rejected = Some(error);
    explain(session, ctx, problem).await
}

/// Answers in place of a service that failed. Answers the status for the log.
pub(super) async fn fail(session: &mut Session, ctx: &mut Context, error: GatewayError) -> u16 {
    let problem = error.problem();
    ctx.rejected = Some(error);
    let Some(problem) = problem else {
        return CLIENT_CLOSED_REQUEST;
    };
    let status = problem.status();
    // With a part of the service's answer on the wire, breaking off is the only honest end.
    if session.response_written().is_none() {
        // Pingora does not use the connection again after a failed exchange; the answer has to say so.
        session.set_keepalive(None);
        if let Err(error) = explain(session, ctx, problem).await {
            tracing::debug!(%error, "the client did not take the answer");
        }
        // Not only dropped: closing with unread content makes the kernel take the answer back.
        if session.as_http1().is_some() {
            session.as_downstream_mut().shutdown().await;
        }
    }
    status.as_u16()
}

async fn explain(session: &mut Session, ctx: &Context, problem: Problem) -> Result<()> {
    if grpc::is_call(session.req_header()) {
        return grpc::fail(session, ctx, &problem).await;
    }
    let body = described(problem.clone(), ctx).to_json();
    let (status, headers) = (problem.status(), problem.headers());
    write(session, ctx, status, Problem::CONTENT_TYPE, headers, body).await
}

/// Sends the client to another place.
pub(super) async fn redirect(session: &mut Session, ctx: &Context, to: &Redirection) -> Result<()> {
    let mut response = ResponseHeader::build(to.status, Some(4))?;
    response.insert_header(header::LOCATION, &*to.location)?;
    response.insert_header(header::CONTENT_LENGTH, 0)?;
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    if session.is_process_shutting_down() {
        session.set_keepalive(None);
    }
    session
        .write_response_header(Box::new(response), true)
        .await
}

/// Answers `OPTIONS *`.
pub(super) async fn options(session: &mut Session, ctx: &Context) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::NO_CONTENT, Some(3))?;
    response.insert_header(header::ALLOW, METHODS)?;
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    session
        .write_response_header(Box::new(response), true)
        .await
}

/// Answers with the gateway's metrics.
pub(super) async fn metrics(
    session: &mut Session,
    ctx: &Context,
    metrics: &GatewayMetrics,
) -> Result<()> {
    let text = metrics.encode();
    write(
        session,
        ctx,
        StatusCode::OK,
        Metrics::CONTENT_TYPE,
        &HeaderMap::new(),
        text.into(),
    )
    .await
}

fn described(problem: Problem, ctx: &Context) -> Problem {
    match &ctx.request_id {
        Some(id) => problem.instance(id.as_str()),
        None => problem,
    }
}

async fn write(
    session: &mut Session,
    ctx: &Context,
    status: StatusCode,
    content_type: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<()> {
    let mut response = ResponseHeader::build(status, Some(headers.len() + 4))?;
    response.insert_header(header::CONTENT_TYPE, content_type)?;
    response.insert_header(header::CONTENT_LENGTH, body.len())?;
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    for (name, value) in headers {
        response.insert_header(name, value)?;
    }
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    // In HTTP/2 Pingora would send it.
    let body = (session.req_header().method != Method::HEAD).then_some(body);
    session
        .write_response_header(Box::new(response), false)
        .await?;
    session.write_response_body(body, true).await
}
