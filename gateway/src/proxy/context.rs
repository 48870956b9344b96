//! What is known about one request. Holds `Arc`s out of the snapshot, never the snapshot's guard, so that a swap does not change
//! a request midway and an old snapshot dies with its last request.

use std::{sync::Arc, time::Instant};

use catalog_api::Revision;
use http::StatusCode;
use pingora_error::{Error, ErrorType};
use service_kit::http::RequestId;

use super::{Origin, ToService, caching::Caching, drain::Exchange};
use crate::{
    error::GatewayError,
    route::Route,
    upstream::{Affinity, Dial, InFlight, NoEndpoint, Passage, Place, Pool, Tried, Upload},
};

/// State of one request, from its header to its log event.
pub struct Context {
    /// When the header had been read.
    pub started: Instant,
    /// Who sends it.
    pub origin: Origin,
    /// Identity in logs, problems and towards the service.
    pub request_id: Option<RequestId>,
    /// The route taken.
    pub route: Option<Arc<Route>>,
    /// The pool behind it.
    pub pool: Option<Arc<Pool>>,
    /// Its place among the requests that are with the service, where those have a limit.
    pub place: Option<Place>,
    /// That the circuit breaker let it pass, until its outcome is known.
    pub passage: Option<Passage>,
    /// What ties the request to an endpoint of the pool.
    pub affinity: Affinity,
    /// Path and query for the service, when they differ from the client's.
    pub upstream_target: Option<String>,
    /// The request as the cache sees it; none when the service is not cached.
    pub cache: Option<Box<Caching>>,
    /// Revision of the snapshot that decided.
    pub revision: Revision,
    /// The endpoint that has the request now.
    pub attempt: Option<Attempt>,
    /// Attempts begun.
    pub attempts: u8,
    /// Addresses that failed.
    pub tried: Tried,
    /// When the exchange must be over; none for tunnels.
    pub deadline: Option<Instant>,
    /// Whether the client asks for a tunnel.
    pub upgrade: bool,
    /// The last failure was on a connection that had been used before: its closing says nothing about the endpoint.
    pub failed_on_reused: bool,
    /// Why the gateway answers itself.
    pub failure: Option<GatewayError>,
    /// What was decided to be answered, for the log.
    pub rejected: Option<GatewayError>,
    _exchange: Exchange,
}

/// One try at one endpoint.
pub struct Attempt {
    /// Counts the request on the endpoint.
    pub in_flight: InFlight,
    /// When it was chosen.
    pub started: Instant,
    /// How it gets its connection; none where Pingora has it, which is for HTTP/2.
    pub(crate) dial: Option<Arc<Dial>>,
    /// The content that is passed on as it comes; none where there is no content, or all of it had come.
    pub(crate) upload: Option<Arc<Upload>>,
}

// === impl Attempt ===

impl Attempt {
    /// Whether its connection had been used before, as far as Pingora knows and as far as the gateway does.
    pub(super) fn was_used(&self, by_pingora: bool) -> bool {
        self.dial
            .as_ref()
            .map_or(by_pingora, |dial| dial.was_used())
    }

    /// The last of the request goes to the endpoint now.
    pub(super) fn has_all(&self) {
        self.upload.iter().for_each(|upload| upload.complete());
    }

    /// Whether the endpoint has not been given all of the request, because the client has not sent it.
    pub(super) fn waits_for_client(&self) -> bool {
        self.upload
            .as_ref()
            .is_some_and(|upload| !upload.is_whole())
    }

    /// The endpoint's answer begins with this status.
    pub(super) fn answered(&self, status: StatusCode) {
        let now = Instant::now();
        let (endpoint, after) = (self.in_flight.endpoint(), now - self.started);
        if status.is_server_error() {
            endpoint.failed(after, now);
        } else if !status.is_informational() {
            endpoint.answered(after, now);
        }
    }

    /// The exchange broke off.
    pub(super) fn failed(&self) {
        let now = Instant::now();
        self.in_flight.endpoint().failed(now - self.started, now);
    }
}

// === impl Context ===

impl Context {
    pub(super) fn new(exchange: Exchange) -> Self {
        Self {
            started: Instant::now(),
            origin: Origin::default(),
            request_id: None,
            route: None,
            pool: None,
            place: None,
            passage: None,
            affinity: Affinity::default(),
            upstream_target: None,
            cache: None,
            revision: Revision::default(),
            attempt: None,
            attempts: 0,
            tried: Tried::default(),
            deadline: None,
            upgrade: false,
            failed_on_reused: false,
            failure: None,
            rejected: None,
            _exchange: exchange,
        }
    }

    /// Begins the way to a service.
    pub(super) fn follow(&mut self, to: ToService) {
        let ToService {
            route,
            upstream_target,
            pool,
            affinity,
            upgrade,
        } = to;
        let policy = pool.policy();
        pool.budget().deposit(policy.retry.budget_percent);
        self.deadline = (!upgrade).then(|| Instant::now() + policy.timeouts.total.get());
        self.route = Some(route);
        self.upstream_target = upstream_target;
        self.affinity = affinity;
        self.upgrade = upgrade;
        self.pool = Some(pool);
    }

    /// Keeps the reason for the answer and gives Pingora an error to stop with.
    pub(super) fn fail(&mut self, failure: GatewayError) -> Box<Error> {
        let text = failure.to_string();
        // An earlier attempt's failure says more than that nobody is left to try.
        let left_over = matches!(
            failure,
            GatewayError::NoEndpoint {
                why: NoEndpoint::AllTried,
                ..
            }
        );
        if !left_over || self.failure.is_none() {
            self.failure = Some(failure);
        }
        Error::explain(ErrorType::InternalError, text)
    }
}
