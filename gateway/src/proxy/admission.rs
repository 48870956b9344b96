//! Whether a request makes sense and where it goes. Everything a request needs from the snapshot is taken here, in one load.

use std::time::Instant;

use http::{Method, Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use service_kit::http::RequestId;

use super::{Context, Entrance};
use crate::{
    downstream::names_websocket,
    error::GatewayError,
    route::{RequestHost, RequestPath, RequestView, Target},
    snapshot::Live,
    upstream::{Client, NoEndpoint},
};

/// Reads the request, finds its route and its pool, and puts them into the context.
///
/// # Errors
/// The reason for which the gateway has to answer itself.
pub(super) fn admit(
    session: &Session,
    live: &Live,
    entrance: &Entrance,
    ctx: &mut Context,
) -> Result<(), GatewayError> {
    let header = session.req_header();
    ctx.request_id = Some(RequestId::from_headers(&header.headers));
    if !header.raw_path_is_utf8() {
        return Err(GatewayError::Malformed("the request target is not UTF-8"));
    }
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
    let route = entrance.route(snapshot.routes(), &view)?;
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
        address: ctx.origin.client,
    });
    ctx.upgrade = asks_for_tunnel(header);
    ctx.deadline = (!ctx.upgrade).then(|| Instant::now() + policy.timeouts.total.get());
    ctx.pool = Some(pool.clone());
    Ok(())
}

/// `OPTIONS *` is about the server as a whole (RFC 9110 §9.3.7), which is the gateway: no route leads there.
pub(super) fn asks_about_the_gateway(header: &RequestHeader) -> bool {
    header.method == Method::OPTIONS && header.uri.path() == "*"
}

/// `:authority` of HTTP/2, else the `Host` field; RFC 9112 §3.2 demands one in HTTP/1.1.
pub(super) fn authority(header: &RequestHeader) -> Result<&str, GatewayError> {
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

/// Whether the client asks for a WebSocket (RFC 6455 §4.1). Upgrades to anything else are ignored, as RFC 9110 §7.8 allows.
fn asks_for_tunnel(header: &RequestHeader) -> bool {
    header.version == Version::HTTP_11
        && header
            .headers
            .get_all(header::UPGRADE)
            .iter()
            .any(|upgrade| names_websocket(upgrade.as_bytes()))
}

/// Path and query for the service; none when they are what the client sent, in origin form, which costs no allocation.
fn upstream_target(header: &RequestHeader, (base, rest): (&str, &str)) -> Option<String> {
    let query = header.uri.query();
    let received = header
        .raw_path()
        .strip_prefix(base.as_bytes())
        .and_then(|path| path.strip_prefix(rest.as_bytes()));
    let is_same = match (received, query) {
        (Some([b'?', rest @ ..]), Some(query)) => rest == query.as_bytes(),
        (Some([]), None) => true,
        _ => false,
    };
    (!is_same).then(|| match query {
        Some(query) => format!("{base}{rest}?{query}"),
        None => format!("{base}{rest}"),
    })
}
