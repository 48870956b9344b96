//! Whether a request makes sense and where it goes. Everything a request needs from the snapshot is taken here, in one load.

use std::time::Instant;

use http::{Version, header};
use pingora_core::protocols::http::ServerSession as HttpSession;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use service_kit::http::RequestId;

use super::Context;
use crate::{
    error::GatewayError,
    route::{NoRoute, RequestHost, RequestPath, RequestView, Target},
    snapshot::Live,
    upstream::{Client, NoEndpoint},
};

/// Start of the line that gives a length. No blank may stand before the colon (RFC 9112 §5.1), Pingora refuses it.
const LENGTH_FIELD: &[u8] = b"content-length:";

/// Reads the request, finds its route and its pool, and puts them into the context.
///
/// # Errors
/// The reason for which the gateway has to answer itself.
pub(super) fn admit(session: &Session, live: &Live, ctx: &mut Context) -> Result<(), GatewayError> {
    let header = session.req_header();
    ctx.request_id = Some(RequestId::from_headers(&header.headers));
    check_framing(session)?;
    let host = RequestHost::parse(authority(header)?)
        .ok_or(GatewayError::Malformed("the host is not valid"))?;
    let path = RequestPath::parse(header.uri.path())?;
    let view = RequestView {
        host: host.as_str(),
        path: path.as_str(),
        method: &header.method,
        headers: &header.headers,
    };

    let snapshot = live.load();
    ctx.revision = snapshot.revision();
    let route = snapshot
        .routes()
        .find(&view)
        .map_err(|no_route| match no_route {
            NoRoute::NotFound => GatewayError::NoRoute,
            NoRoute::MethodNotAllowed(allowed) => GatewayError::MethodNotAllowed(allowed),
        })?;
    ctx.upstream_target = upstream_target(header, route.upstream_path(path.as_str()));
    ctx.route = Some(route.clone());
    let Target::Service(service) = route.target() else {
        return Ok(());
    };
    let pool = snapshot
        .pool(service)
        .ok_or_else(|| GatewayError::NoEndpoint {
            service: service.to_string(),
            why: NoEndpoint::Empty,
        })?;
    let policy = pool.policy();
    pool.budget().deposit(policy.retry.budget_percent);
    ctx.affinity = pool.affinity(&Client {
        headers: &header.headers,
        address: session
            .client_addr()
            .and_then(|address| address.as_inet())
            .map(|address| address.ip()),
    });
    ctx.upgrade = session.is_upgrade_req();
    ctx.deadline = (!ctx.upgrade).then(|| Instant::now() + policy.timeouts.total.get());
    ctx.pool = Some(pool.clone());
    Ok(())
}

/// Refuses what proxies and services are known to read differently (RFC 9112 §2.2, §6.3, §11.2).
///
/// Pingora drops `Content-Length` beside `Transfer-Encoding` while it parses and takes a bare LF for a line's end, so this looks at
/// the bytes that came.
fn check_framing(session: &Session) -> Result<(), GatewayError> {
    let header = session.req_header();
    if !header.raw_path_is_utf8() {
        return Err(GatewayError::Malformed("the request target is not UTF-8"));
    }
    let HttpSession::H1(session) = session.as_downstream() else {
        return Ok(());
    };
    let received = session.get_headers_raw_bytes();
    let mut lines = received.split(|byte| *byte == b'\n').peekable();
    let mut has_length = false;
    while let Some(line) = lines.next() {
        // What follows the last LF is not a line.
        if lines.peek().is_some() && !line.ends_with(b"\r") {
            return Err(GatewayError::Malformed("a line ends in LF without CR"));
        }
        has_length |= line
            .get(..LENGTH_FIELD.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(LENGTH_FIELD));
    }
    if has_length && header.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(GatewayError::Malformed(
            "it has both Transfer-Encoding and Content-Length",
        ));
    }
    Ok(())
}

/// `:authority` of HTTP/2, else the `Host` field; RFC 9112 §3.2 demands one in HTTP/1.1.
fn authority(header: &RequestHeader) -> Result<&str, GatewayError> {
    if let Some(authority) = header.uri.authority() {
        return Ok(authority.as_str());
    }
    match header.headers.get(header::HOST) {
        Some(host) => host
            .to_str()
            .map_err(|_| GatewayError::Malformed("the host is not valid")),
        None if header.version < Version::HTTP_11 => Ok(""),
        None => Err(GatewayError::Malformed("it has no Host")),
    }
}

/// Path and query for the service; none when they are what the client sent, in origin form, which costs no allocation.
fn upstream_target(header: &RequestHeader, path: &str) -> Option<String> {
    let query = header.uri.query();
    let is_same = match (header.raw_path().strip_prefix(path.as_bytes()), query) {
        (Some([b'?', rest @ ..]), Some(query)) => rest == query.as_bytes(),
        (Some([]), None) => true,
        _ => false,
    };
    (!is_same).then(|| match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}
