//! The one log event of each request. Field names are a contract with whoever searches logs; no query, header or body
//! is ever in here.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Body as _;

use super::{Exchange, RequestId, Response};
use crate::access_log::{self, AccessRecord, Importance};

/// Marks an answer to something that machines ask for all the time, such as a health check or a heartbeat: its event is written at
/// DEBUG. Put it into the extensions of the response.
#[derive(Clone, Copy, Debug)]
pub struct Routine;

/// A duration as logs write it: milliseconds with three decimals, as much as is meant.
pub fn milliseconds(duration: Duration) -> f64 {
    // Far below 2^52 µs, so the cast is exact.
    duration.as_micros() as f64 / 1000.0
}

/// Writes the event: at INFO for the application, at DEBUG for what is [`Routine`].
pub(super) fn record(
    exchange: &Exchange,
    response: &Response,
    request_id: &RequestId,
    peer: SocketAddr,
) {
    let importance = match response.extensions().get::<Routine>() {
        Some(Routine) => Importance::Routine,
        None => Importance::Ordinary,
    };
    access_log::write(importance, || AccessRecord {
        method: Some(exchange.method),
        route: Some(exchange.endpoint),
        status: exchange.status,
        // Absent for streams, whose length nobody knows yet.
        bytes_sent: response.body().size_hint().exact(),
        duration: exchange.duration,
        request_id: Some(request_id.as_str()),
        client: Some(peer.ip()),
        ..AccessRecord::default()
    });
}
