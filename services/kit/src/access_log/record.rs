//! What is said about a request. Field names and their order are a contract with whoever searches logs; no query, no body, and no
//! header but `Host` and the ids is ever in here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracing::Level;

use super::{Importance, TARGET};
use crate::http::milliseconds;

/// The line of one request. What is `None` is not in it.
#[derive(Clone, Copy, Default, Debug)]
pub struct AccessRecord<'a> {
    /// `http.method`.
    pub method: Option<&'a str>,
    /// `http.host`: the host that was asked for.
    pub host: Option<&'a str>,
    /// `http.path`, without the query.
    pub path: Option<&'a str>,
    /// `http.route`: a route's name or an endpoint's pattern.
    pub route: Option<&'a str>,
    /// `http.status`.
    pub status: u16,
    /// `http.bytes_received`: length of the request's content.
    pub bytes_received: Option<u64>,
    /// `http.bytes_sent`: length of the answer's content.
    pub bytes_sent: Option<u64>,
    /// `service`: who answered.
    pub service: Option<&'a str>,
    /// `endpoint`: the address of that one.
    pub endpoint: Option<SocketAddr>,
    /// `cache`: what a cache did.
    pub cache: Option<&'a str>,
    /// `retries`: attempts after the first.
    pub retries: Option<u8>,
    /// `duration_ms`: how long it took.
    pub duration: Duration,
    /// `upstream_ms`: how much of it the last attempt took.
    pub upstream: Option<Duration>,
    /// `reason`: why it was refused.
    pub reason: Option<&'a str>,
    /// `cut`: whether the answer broke off.
    pub is_cut: Option<bool>,
    /// `request.id`.
    pub request_id: Option<&'a str>,
    /// `trace.id`.
    pub trace_id: Option<&'a str>,
    /// `client.address`.
    pub client: Option<IpAddr>,
}

/// A field's name, ready for each form.
pub(super) struct Name {
    pub(super) text: &'static str,
    /// With what stands around it between two members of an object. No name needs an escape.
    pub(super) member: &'static str,
}

/// What a field may hold.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Count(u64),
    Span(Duration),
    Flag(bool),
    Host(IpAddr),
    Socket(SocketAddr),
}

// === impl AccessRecord ===

impl<'a> AccessRecord<'a> {
    /// Every field with its name, in the order of the line.
    pub(super) fn fields(&self) -> [(&'static Name, Option<Value<'a>>); 18] {
        use Value::{Count, Flag, Host, Socket, Span, Text};
        macro_rules! name {
            ($name:literal) => {
                &Name {
                    text: $name,
                    member: concat!(",\"", $name, "\":"),
                }
            };
        }
        [
            (name!("http.method"), self.method.map(Text)),
            (name!("http.host"), self.host.map(Text)),
            (name!("http.path"), self.path.map(Text)),
            (name!("http.route"), self.route.map(Text)),
            (name!("http.status"), Some(Count(self.status.into()))),
            (name!("http.bytes_received"), self.bytes_received.map(Count)),
            (name!("http.bytes_sent"), self.bytes_sent.map(Count)),
            (name!("service"), self.service.map(Text)),
            (name!("endpoint"), self.endpoint.map(Socket)),
            (name!("cache"), self.cache.map(Text)),
            (name!("retries"), self.retries.map(u64::from).map(Count)),
            (name!("duration_ms"), Some(Span(self.duration))),
            (name!("upstream_ms"), self.upstream.map(Span)),
            (name!("reason"), self.reason.map(Text)),
            (name!("cut"), self.is_cut.map(Flag)),
            (name!("request.id"), self.request_id.map(Text)),
            (name!("trace.id"), self.trace_id.map(Text)),
            (name!("client.address"), self.client.map(Host)),
        ]
    }

    /// The same as an event, for a subscriber that is not ours.
    pub(super) fn to_subscriber(self, importance: Importance) {
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    http.method = self.method,
                    http.host = self.host,
                    http.path = self.path,
                    http.route = self.route,
                    http.status = self.status,
                    http.bytes_received = self.bytes_received,
                    http.bytes_sent = self.bytes_sent,
                    service = self.service,
                    endpoint = self.endpoint.map(display),
                    cache = self.cache,
                    retries = self.retries,
                    duration_ms = milliseconds(self.duration),
                    upstream_ms = self.upstream.map(milliseconds),
                    reason = self.reason,
                    cut = self.is_cut,
                    request.id = self.request_id,
                    trace.id = self.trace_id,
                    client.address = self.client.map(display),
                    "request"
                )
            };
        }
        match importance {
            Importance::Ordinary => event!(Level::INFO),
            Importance::Routine => event!(Level::DEBUG),
        }
    }
}
