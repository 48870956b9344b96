//! Whether a request makes sense and where it goes: one sequence of checks, which requests go through and which `/explain` tells.
//!
//! ```text
//! arrival ─▶ origin ─▶ target's length ─▶ redirect to TLS? ─▶ OPTIONS *? ─▶ host, path ─▶ route ─▶ pool ─▶ content's length
//! ```
//!
//! Nothing here has an effect: what a request changes by being there (budgets, counts, turns) is left to whoever lets it go on.

use std::{net::SocketAddr, path::Path, sync::Arc};

use http::{Method, StatusCode, Version, header};
use pingora_core::protocols::{Digest, http::v2::server::HttpSession, l4::socket};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::{Entrances, Network, Origin, Redirect, redirect};
use crate::{
    downstream::names_websocket,
    error::GatewayError,
    route::{RequestHost, RequestPath, RequestView, Route, Target, Witness},
    snapshot::Snapshot,
    upstream::{Affinity, Client, NoEndpoint, Pool},
};

/// What every request is asked before it goes anywhere.
pub struct Admission {
    /// How the requests of each listener find their route.
    pub entrances: Entrances,
    /// Peers that are believed about who is behind them.
    pub trusted_proxies: Vec<Network>,
    /// Sends requests without TLS to the listener that has it.
    pub redirect: Option<Redirect>,
    /// Longest target of a request in bytes; HTTP/1 has its own check of the head.
    pub target_bytes_max: usize,
}

/// A request as it comes in.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// Its head.
    pub header: &'a RequestHeader,
    /// The listener's address.
    pub listener: Option<SocketAddr>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// Whether the connection has TLS.
    pub by_tls: bool,
}

/// What is to be done with a request.
#[derive(Debug)]
pub enum Decision {
    /// The client is to ask elsewhere.
    Redirect(Redirection),
    /// `OPTIONS *`: it is about the gateway.
    AboutTheGateway,
    /// The gateway's metrics answer it.
    Metrics(Arc<Route>),
    /// A file of this folder answers it.
    Files(Arc<Route>, Arc<Path>),
    /// It goes to a service.
    Service(ToService),
}

/// Where a client is sent.
#[derive(Debug)]
pub struct Redirection {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The URL, or a path on the same host.
    pub location: String,
    /// The route that says so; none for a whole listener.
    pub route: Option<Arc<Route>>,
}

/// The way to a service, out of one snapshot.
#[derive(Debug)]
pub struct ToService {
    /// The route taken.
    pub route: Arc<Route>,
    /// Path and query for the service, when they differ from the client's.
    pub upstream_target: Option<String>,
    /// The endpoints.
    pub pool: Arc<Pool>,
    /// What ties the request to one of them.
    pub affinity: Affinity,
    /// Whether the client asks for a tunnel.
    pub upgrade: bool,
}

/// A request that does not go on.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub error: GatewayError,
    /// The route that it was on by then.
    pub route: Option<Arc<Route>>,
}

// === impl Arrival ===

impl<'a> Arrival<'a> {
    pub(super) fn of(session: &'a Session) -> Self {
        Self {
            header: session.req_header(),
            listener: inet(session.server_addr()),
            peer: inet(session.client_addr()),
            by_tls: has_tls(session.digest()),
        }
    }

    /// On a stream of HTTP/2.
    pub(super) fn of_stream(stream: &'a HttpSession) -> Self {
        Self {
            header: stream.req_header(),
            listener: inet(stream.server_addr()),
            peer: inet(stream.client_addr()),
            by_tls: has_tls(stream.digest()),
        }
    }
}

fn inet(address: Option<&socket::SocketAddr>) -> Option<SocketAddr> {
    address.and_then(socket::SocketAddr::as_inet).copied()
}

fn has_tls(digest: Option<&Digest>) -> bool {
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}

// === impl Admission ===

impl Admission {
    /// Who sends a request.
    pub fn origin(&self, arrival: &Arrival<'_>) -> Origin {
        Origin::read(
            arrival.peer,
            arrival.by_tls,
            &arrival.header.headers,
            &self.trusted_proxies,
        )
    }

    /// Decides about a request under one snapshot. `witness` is told of the routes that were passed by.
    ///
    /// # Errors
    /// The reason for which the gateway has to answer itself.
    pub fn decide(
        &self,
        arrival: &Arrival<'_>,
        origin: &Origin,
        snapshot: &Snapshot,
        witness: &mut impl Witness,
    ) -> Result<Decision, Refused> {
        let header = arrival.header;
        if header.raw_path().len() > self.target_bytes_max {
            return Err(GatewayError::TargetTooLong(self.target_bytes_max).into());
        }
        if let Some(to_tls) = &self.redirect
            && to_tls.applies(arrival.listener, origin)
        {
            const NO_HOST: GatewayError =
                GatewayError::Malformed("it has no valid Host to redirect to");
            return Ok(Decision::Redirect(Redirection {
                status: StatusCode::PERMANENT_REDIRECT,
                location: to_tls.location(header).ok_or(NO_HOST)?,
                route: None,
            }));
        }
        if asks_about_the_gateway(header) {
            return Ok(Decision::AboutTheGateway);
        }
        if !header.raw_path_is_utf8() {
            return Err(GatewayError::Malformed("the request target is not UTF-8").into());
        }
        let host = RequestHost::parse(authority(header)?)
            .ok_or(GatewayError::Malformed("the host is not valid"))?;
        let path = RequestPath::parse(header.uri.path()).map_err(GatewayError::from)?;
        let view = RequestView {
            host: host.as_str(),
            path: path.as_str(),
            method: &header.method,
            headers: &header.headers,
        };
        let entrance = self.entrances.of(arrival.listener);
        let route = entrance.route(snapshot.routes(), &view, witness)?;
        Ok(match route.target() {
            Target::Metrics => Decision::Metrics(Arc::clone(route)),
            Target::Files(folder) => Decision::Files(Arc::clone(route), Arc::clone(folder)),
            Target::Redirect(to) => Decision::Redirect(Redirection {
                status: StatusCode::from_u16(to.status.code()).unwrap_or(StatusCode::FOUND),
                location: redirect::location(
                    to,
                    route.below_prefix(path.as_str()),
                    header.uri.query(),
                ),
                route: Some(Arc::clone(route)),
            }),
            Target::Service(service) => {
                let pool = snapshot.pool(service).ok_or_else(|| Refused {
                    error: GatewayError::NoEndpoint {
                        service: service.to_string(),
                        why: NoEndpoint::Empty,
                    },
                    route: Some(Arc::clone(route)),
                })?;
                let upgrade = asks_for_tunnel(header);
                let too_long = |error| Refused {
                    error,
                    route: Some(Arc::clone(route)),
                };
                check_content(content_length(header), pool, upgrade).map_err(too_long)?;
                Decision::Service(ToService {
                    upstream_target: upstream_target(header, route.upstream_path(path.as_str())),
                    affinity: pool.affinity(&Client {
                        headers: &header.headers,
                        address: origin.client,
                    }),
                    upgrade,
                    pool: Arc::clone(pool),
                    route: Arc::clone(route),
                })
            }
        })
    }
}

// === impl Refused ===

impl From<GatewayError> for Refused {
    fn from(error: GatewayError) -> Self {
        Self { error, route: None }
    }
}

/// Whether content of this length, or the part of it that has come, is within what a service takes. What a tunnel carries is not its
/// content.
///
/// # Errors
/// [`GatewayError::BodyTooLarge`].
pub(super) fn check_content(bytes: u64, pool: &Pool, upgrade: bool) -> Result<(), GatewayError> {
    let most = pool.policy().limits.body_bytes;
    if bytes > most && !upgrade {
        return Err(GatewayError::BodyTooLarge(most));
    }
    Ok(())
}

/// What the client says the content's length is; 0 when it does not.
fn content_length(header: &RequestHeader) -> u64 {
    header
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .unwrap_or(0)
}

/// `OPTIONS *` is about the server as a whole (RFC 9110 §9.3.7), which is the gateway: no route leads there.
fn asks_about_the_gateway(header: &RequestHeader) -> bool {
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
