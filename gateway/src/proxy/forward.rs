//! What the gateway adds to messages that pass through it.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use pingora_error::{OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::{Context, grpc};

/// Room for a hop in `Forwarded` besides its host, with the longest address.
const FORWARDED_BYTES: usize = 80;

/// Sets target and forwarded fields of the request for the service.
///
/// Whatever a client claims in `X-Forwarded-*` or `Forwarded` (RFC 7239) is replaced by what the gateway itself has seen. What a
/// trusted proxy says is kept, and the gateway adds itself.
pub(super) fn prepare_request(
    session: &Session,
    upstream: &mut RequestHeader,
    ctx: &Context,
) -> Result<()> {
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
    if !ctx.origin.is_trusted {
        drop_claims(upstream);
    }
    if let Some(peer) = ctx.origin.peer {
        let address = peer.ip().to_canonical();
        let node = address.to_string();
        let hop = forwarded(address, &node, host.as_ref(), ctx.origin.scheme());
        append_to_list(upstream, "x-forwarded-for", node)?;
        append_to_list(upstream, "forwarded", hop)?;
    }
    upstream.insert_header("x-forwarded-proto", ctx.origin.scheme())?;
    if let Some(host) = host
        && !upstream.headers.contains_key("x-forwarded-host")
    {
        upstream.insert_header("x-forwarded-host", host)?;
    }
    if let Some(prefix) = ctx.route.as_ref().and_then(|route| route.stripped_prefix()) {
        upstream.insert_header("x-forwarded-prefix", prefix)?;
    }
    if let Some(id) = &ctx.request_id {
        upstream.insert_header("x-request-id", id.header())?;
    }
    join_cookies(upstream)?;
    upstream.append_header(header::VIA, via(received.version))?;
    Ok(())
}

/// Adds an entry to a list, in one field: some services read only the first one.
fn append_to_list(upstream: &mut RequestHeader, name: &'static str, entry: String) -> Result<()> {
    let earlier: Vec<&[u8]> = upstream
        .headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if earlier.is_empty() {
        return upstream.insert_header(name, entry);
    }
    let mut whole = earlier.join(&b", "[..]);
    whole.extend_from_slice(b", ");
    whole.extend_from_slice(entry.as_bytes());
    upstream.insert_header(name, whole)
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
    response.append_header(header::VIA, via(response.version))?;
    Ok(())
}

/// Whether an answer goes on for as long as there is something to tell: server-sent events, and calls of gRPC, whose callers have
/// deadlines of their own.
pub(super) fn is_stream(response: &ResponseHeader) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    response
        .headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .is_some_and(|kind| {
            let events = kind.get(..EVENTS.len());
            events.is_some_and(|start| start.eq_ignore_ascii_case(EVENTS)) || grpc::is_grpc(kind)
        })
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

/// RFC 7239 §4; a host that would not survive quoting is left out. `node` is the address as text.
fn forwarded(address: IpAddr, node: &str, host: Option<&HeaderValue>, scheme: &str) -> String {
    let quotable = |text: &&str| text.bytes().all(|byte| byte != b'"' && byte != b'\\');
    let host = host.and_then(|host| host.to_str().ok()).filter(quotable);
    let mut hop = String::with_capacity(FORWARDED_BYTES + host.map_or(0, str::len));
    match address {
        IpAddr::V4(_) => hop.extend(["for=", node]),
        IpAddr::V6(_) => hop.extend(["for=\"[", node, "]\""]),
    }
    if let Some(host) = host {
        hop.extend([";host=\"", host, "\""]);
    }
    hop.extend([";proto=", scheme]);
    hop
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

/// The gateway's entry in `Via`, under the name of [`INTERMEDIARY`](crate::error::INTERMEDIARY).
fn via(version: http::Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        http::Version::HTTP_2 => "2 gateway",
        http::Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    })
}
