//! What the gateway adds to messages that pass through it.

use std::net::SocketAddr;

use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use pingora_error::{OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::Context;
use crate::error::INTERMEDIARY;

/// Sets target and forwarded fields of the request for the service.
///
/// The gateway is the first hop: whatever a client claims in `X-Forwarded-*` or `Forwarded` (RFC 7239) is replaced by what the
/// gateway itself has seen.
pub(super) fn prepare_request(
    session: &Session,
    upstream: &mut RequestHeader,
    ctx: &Context,
) -> Result<()> {
    let client = session
        .client_addr()
        .and_then(|address| address.as_inet())
        .copied();
    let received = session.req_header();
    let host = match received.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => received.headers.get(header::HOST).cloned(),
    };
    if let Some(target) = &ctx.upstream_target {
        let uri: Uri = target.parse().or_err(
            pingora_error::ErrorType::InternalError,
            "the target after routing is no URI",
        )?;
        upstream.set_uri(uri);
    }
    drop_claims(upstream);
    if let Some(client) = client {
        upstream.insert_header("x-forwarded-for", client.ip().to_string())?;
        upstream.insert_header("forwarded", forwarded(client, host.as_ref()))?;
    }
    upstream.insert_header("x-forwarded-proto", "http")?;
    if let Some(host) = host {
        upstream.insert_header("x-forwarded-host", host)?;
    }
    match &ctx.route {
        Some(route) if route.strip_prefix() && route.prefix().as_str() != "/" => {
            let prefix = route.prefix().as_str();
            upstream.insert_header("x-forwarded-prefix", &prefix[..prefix.len() - 1])?;
        }
        _ => {}
    }
    if let Some(id) = &ctx.request_id {
        upstream.insert_header("x-request-id", id.header())?;
    }
    join_cookies(upstream)?;
    upstream.append_header(
        header::VIA,
        format!("{} {INTERMEDIARY}", via_version(received.version)),
    )?;
    Ok(())
}

/// Takes out every `X-Forwarded-…` and `Forwarded` of the client, also those that the gateway does not set: frameworks believe
/// `X-Forwarded-Port`, `-Ssl`, `-Server` and more.
fn drop_claims(upstream: &mut RequestHeader) {
    let claims: Vec<HeaderName> = upstream
        .headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-forwarded-") || *name == header::FORWARDED)
        .cloned()
        .collect();
    for claim in claims {
        upstream.remove_header(&claim);
    }
}

/// Sets what the gateway adds to every answer of a service.
pub(super) fn prepare_response(
    response: &mut ResponseHeader,
    ctx: &Context,
    expose_revision: bool,
) -> Result<()> {
    drop_fields_of_the_hop(response);
    if let Some(id) = &ctx.request_id {
        response.insert_header("x-request-id", id.header())?;
    }
    if expose_revision {
        response.insert_header("x-config-revision", ctx.revision.0)?;
    }
    keep_client(response, ctx)?;
    response.append_header(
        header::VIA,
        format!("{} {INTERMEDIARY}", via_version(response.version)),
    )?;
    Ok(())
}

/// Tells the client's next requests where this one went. On the final answer only: an interim one may be for an attempt that fails.
fn keep_client(response: &mut ResponseHeader, ctx: &Context) -> Result<()> {
    let is_final =
        !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(pool), Some(attempt)) = (is_final, &ctx.pool, &ctx.attempt)
        && let Some(cookie) = pool.set_cookie(&ctx.affinity, attempt.in_flight.endpoint())
    {
        response.append_header(header::SET_COOKIE, cookie)?;
    }
    Ok(())
}

/// Takes out what the service meant for its own connection (RFC 9110 §7.6.1). Pingora does this for requests only. Framing is left
/// to Pingora whoever nominates it, and an upgrade is between client and service.
fn drop_fields_of_the_hop(response: &mut ResponseHeader) {
    const KEPT: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let nominated: Vec<HeaderName> = response
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    for name in nominated {
        response.remove_header(&name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        response.remove_header(name);
    }
}

/// RFC 7239 §4; a host that would not survive quoting is left out.
fn forwarded(client: SocketAddr, host: Option<&HeaderValue>) -> String {
    let node = match client {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("\"[{}]\"", address.ip()),
    };
    let quotable = |text: &&str| text.bytes().all(|byte| byte != b'"' && byte != b'\\');
    match host.and_then(|host| host.to_str().ok()).filter(quotable) {
        Some(host) => format!("for={node};host=\"{host}\";proto=http"),
        None => format!("for={node};proto=http"),
    }
}

/// HTTP/2 may split cookies over fields (RFC 9113 §8.2.3); an HTTP/1.1 service expects one.
fn join_cookies(upstream: &mut RequestHeader) -> Result<()> {
    let cookies: Vec<&[u8]> = upstream
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1 {
        let joined = cookies.join(&b"; "[..]);
        upstream.insert_header(header::COOKIE, joined)?;
    }
    Ok(())
}

fn via_version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}
