//! One call with all its attempts: who is tried, and after which failure somebody else.

use std::sync::Arc;

use catalog_api::{Instance, Service, ServiceRef};
use http::{HeaderMap, Method, StatusCode, response, uri::PathAndQuery};
use http_body_util::BodyExt as _;
use service_kit::http::{RequestId, milliseconds};
use tokio::time::Instant;

use super::{
    AttemptError, CallError, Flights, Line, Ticket, answer::AnswerBody, attempt, balance,
    client::HttpClient, flights::Flight, headers, replay::Replay,
};
use crate::{answers, follower::chain, lease::Key, state::Live};

/// Methods that may be sent again although the first time may have had its effect (RFC 9110 §9.2.2).
const IDEMPOTENT: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PUT,
    Method::DELETE,
];

/// Whether a request of this method may be sent again although the first time may have had its effect.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    IDEMPOTENT.contains(method)
}

/// How often it is looked who there is: one that began to drain just then is in the next snapshot as such.
const LOOKS_MAX: usize = 2;

/// One call with everything that its attempts share.
pub(super) struct Exchange<'a> {
    pub(super) service: &'a Service,
    pub(super) live: &'a Live,
    pub(super) flights: &'a Arc<Flights>,
    pub(super) line: Arc<Line>,
    pub(super) client: HttpClient,
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Replay,
    pub(super) request_id: RequestId,
    pub(super) end: Instant,
}

/// The answer of an instance, ready for the caller.
pub(crate) struct Passed {
    pub(super) parts: response::Parts,
    pub(super) body: AnswerBody,
    /// The end of its body can be told from the end of the connection.
    pub(super) is_framed: bool,
}

// === impl Exchange ===

impl Exchange<'_> {
    pub(super) async fn run(self, ticket: &mut Ticket) -> Result<Passed, CallError> {
        let retry = &self.service.policy.retry;
        self.line.budget.deposit(retry.budget_percent);
        let mut last = CallError::NoInstance;
        let mut attempts = 0;
        for _ in 0..LOOKS_MAX {
            let newest = self.live.load();
            let newest = newest.get(&ServiceRef::Id(self.service.id)).cloned();
            let service = newest.as_ref().map_or(self.service, |entry| &entry.service);
            for instance in balance::in_order(&service.instances, &self.line.turn) {
                let key = Key::new(self.service.id, instance.id.clone());
                let Some(flight) = self.flights.begin(key) else {
                    continue;
                };
                if attempts >= retry.attempts || attempts > 0 && !self.line.budget.withdraw() {
                    return Err(last);
                }
                attempts += 1;
                ticket.tries(&instance.id);
                match self.attempt(instance, flight).await {
                    Ok(passed) => return Ok(passed),
                    Err(error) => {
                        self.log(instance, &error);
                        let again = self.may_repeat(&error);
                        last = error.into();
                        if !again {
                            return Err(last);
                        }
                    }
                }
            }
            if attempts > 0 {
                break;
            }
        }
        Err(last)
    }

    async fn attempt(&self, instance: &Instance, flight: Flight) -> Result<Passed, AttemptError> {
        let body = self.body.attempt().ok_or(AttemptError::BodyGone)?;
        let request = attempt::request(
            &self.method,
            &instance.address,
            &self.target,
            &self.headers,
            body,
        )?;
        let read = self.service.policy.timeouts.read.get();
        let sending = self.client.request(request);
        let answer = attempt::answer(sending, &self.body, read, self.end).await?;
        let (mut parts, body) = answer.into_parts();
        // It was not asked for: the wish to upgrade was not passed on.
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(AttemptError::Upgraded);
        }
        let is_framed = answers::is_framed(&parts.headers);
        headers::for_caller(&mut parts, self.service, &instance.id);
        let body = body.map_err(Into::into).boxed_unsync();
        let body = AnswerBody::new(body, self.method == Method::HEAD, read, self.end).with(flight);
        Ok(Passed {
            parts,
            body,
            is_framed,
        })
    }

    fn may_repeat(&self, error: &AttemptError) -> bool {
        let idempotent = is_idempotent(&self.method);
        let allowed = error.is_unsent() || (idempotent && error.is_the_instances_fault());
        allowed && self.body.can_repeat() && Instant::now() < self.end
    }

    fn log(&self, instance: &Instance, error: &AttemptError) {
        tracing::warn!(
            service = self.service.name.as_str(),
            instance = instance.id.as_str(),
            endpoint = %instance.address,
            error = %chain(error),
            left_ms = milliseconds(self.end.saturating_duration_since(Instant::now())),
            request.id = self.request_id.as_str(),
            "a call failed at an instance"
        );
    }
}
