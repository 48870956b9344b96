//! What the gateway changes in messages that pass through it.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, StatusCode, Uri, Version, header};
use pingora_error::{Error, ErrorType, OrErr, Result};
use pingora_http::RequestHeader;

use super::{Context, fields::Fields, grpc};

/// Room for a hop in `Forwarded` besides its host, with the longest address.
const FORWARDED_BYTES: usize = 80;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CONFIG_REVISION: HeaderName = HeaderName::from_static("x-config-revision");

/// Sets the target of a request for the service.
pub(super) fn prepare_target(upstream: &mut RequestHeader, ctx: &Context) -> Result<()> {
    if let Some(target) = &ctx.upstream_target {
        let uri: Uri = target.parse().or_err(
            ErrorType::InternalError,
            "the target after routing is no URI",
        )?;
        upstream.set_uri(uri);
    }
    Ok(())
}

/// Sets the forwarded fields of a request for the service.
///
/// Whatever a client claims in `X-Forwarded-*` or `Forwarded` (RFC 7239) is replaced by what the gateway itself has seen. What a
/// trusted proxy says is kept, and the gateway adds itself.
pub(super) fn prepare_request(
    received: &RequestHeader,
    upstream: &mut impl Fields,
    ctx: &Context,
) -> Result<()> {
    let host = match received.uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
        None => received.headers.get(header::HOST).cloned(),
    };
    if !ctx.origin.is_trusted {
        upstream.remove_where(is_claim);
    }
    if let Some(peer) = ctx.origin.peer {
        let address = peer.ip().to_canonical();
        let node = address.to_string();
        let hop = forwarded(address, &node, host.as_ref(), ctx.origin.scheme());
        append_to_list(upstream, X_FORWARDED_FOR, node)?;
        append_to_list(upstream, header::FORWARDED, hop)?;
    }
    let scheme = HeaderValue::from_static(ctx.origin.scheme());
    upstream.set(X_FORWARDED_PROTO, scheme)?;
    if let Some(host) = host
        && upstream.values(&X_FORWARDED_HOST).next().is_none()
    {
        upstream.set(X_FORWARDED_HOST, host)?;
    }
    if let Some(prefix) = ctx.route.as_ref().and_then(|route| route.stripped_prefix()) {
        upstream.set(X_FORWARDED_PREFIX, value(prefix)?)?;
    }
    if let Some(id) = &ctx.request_id {
        upstream.set(X_REQUEST_ID, id.header())?;
    }
    join_cookies(upstream)?;
    upstream.append(header::VIA, via(received.version))
}

fn value(text: impl TryInto<HeaderValue>) -> Result<HeaderValue> {
    let refused = || {
        Error::explain(
            ErrorType::InternalError,
            "what the gateway adds is no value of a field",
        )
    };
    text.try_into().map_err(|_| refused())
}

/// Adds an entry to a list, in one field: some services read only the first one.
fn append_to_list(upstream: &mut impl Fields, name: HeaderName, entry: String) -> Result<()> {
    let earlier: Vec<&[u8]> = upstream.values(&name).collect();
    if earlier.is_empty() {
        return upstream.set(name, value(entry)?);
    }
    let mut whole = earlier.join(&b", "[..]);
    whole.extend_from_slice(b", ");
    whole.extend_from_slice(entry.as_bytes());
    upstream.set(name, value(whole)?)
}

/// Every `X-Forwarded-…` and `Forwarded` of the client, also those that the gateway does not set: frameworks believe
/// `X-Forwarded-Port`, `-Ssl`, `-Server` and more.
fn is_claim(name: &[u8]) -> bool {
    const CLAIMS: &[u8] = b"x-forwarded-";
    name.get(..CLAIMS.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(CLAIMS))
        || name.eq_ignore_ascii_case(b"forwarded")
}

/// Sets what the gateway adds to every answer of a service.
pub(super) fn prepare_response(
    response: &mut impl Fields,
    (status, version): (StatusCode, Version),
    ctx: &Context,
    expose_revision: bool,
) -> Result<()> {
    drop_fields_of_the_hop(response, status);
    if let Some(id) = &ctx.request_id {
        response.set(X_REQUEST_ID, id.header())?;
    }
    if expose_revision {
        response.set(X_CONFIG_REVISION, ctx.revision.0.into())?;
    }
    keep_client(response, status, ctx)?;
    response.append(header::VIA, via(version))
}

/// Whether an answer goes on for as long as there is something to tell: server-sent events, and calls of gRPC, whose callers have
/// deadlines of their own.
pub(super) fn is_stream(response: &impl Fields) -> bool {
    const EVENTS: &[u8] = b"text/event-stream";
    response
        .values(&header::CONTENT_TYPE)
        .next()
        .is_some_and(|kind| {
            let events = kind.get(..EVENTS.len());
            events.is_some_and(|start| start.eq_ignore_ascii_case(EVENTS)) || grpc::is_grpc(kind)
        })
}

/// Tells the client's next requests where this one went. On the final answer only: an interim one may be for an attempt that fails.
fn keep_client(response: &mut impl Fields, status: StatusCode, ctx: &Context) -> Result<()> {
    let is_final = !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS;
    if let (true, Some(pool), Some(attempt)) = (is_final, &ctx.pool, &ctx.attempt)
        && let Some(cookie) = pool.set_cookie(&ctx.affinity, attempt.in_flight.endpoint())
    {
        response.append(header::SET_COOKIE, cookie.clone())?;
    }
    Ok(())
}

/// Takes out what the service meant for its own connection (RFC 9110 §7.6.1). Pingora does this for requests only. Framing is left
/// as it is whoever nominates it, and an upgrade is between client and service.
fn drop_fields_of_the_hop(response: &mut impl Fields, status: StatusCode) {
    const OWN: [&[u8]; 2] = [b"keep-alive", b"proxy-connection"];
    const KEPT: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let nominated: Vec<Vec<u8>> = response
        .values(&header::CONNECTION)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .filter(|name| !KEPT.contains(&&**name))
        .collect();
    response.remove_where(|name| {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        OWN.into_iter().any(is) || nominated.iter().any(|nominated| is(nominated))
    });
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
fn join_cookies(upstream: &mut impl Fields) -> Result<()> {
    let cookies: Vec<&[u8]> = upstream.values(&header::COOKIE).collect();
    if cookies.len() > 1 {
        let joined = value(cookies.join(&b"; "[..]))?;
        upstream.set(header::COOKIE, joined)?;
    }
    Ok(())
}

/// The gateway's entry in `Via`, under the name of [`INTERMEDIARY`](crate::error::INTERMEDIARY).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2 gateway",
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    })
}
