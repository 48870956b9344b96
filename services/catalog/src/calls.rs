//! Calls through the catalog: a request for a service is sent to one of its instances, and the answer comes back as it is.
//!
//! Bodies are streamed both ways. What is sent again when an instance fails is limited by what may be sent again (RFC 9110 §9.2.2):
//! any request of which nothing was sent, and idempotent ones without an answer as long as [`replay`] still has their body. Only
//! addresses that are registered are connected to; nothing in a request can name another one. Redirects are the caller's to
//! follow. Upgrades are not passed on: an `Upgrade` is hop-by-hop, so the instance sees a plain request.
//!
//! It makes no difference here whether somebody waits for the answer or will ask for it later ([`deferred`](crate::deferred)).

mod answer;
mod attempt;
mod balance;
mod client;
mod exchange;
mod flights;
mod headers;
mod inbound;
mod path;
mod replay;
mod ticket;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
};

use catalog_api::{Service, ServiceId, ServiceRef};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use service_kit::{
    http::{RequestId, Response},
    retry_budget::{Allowance, RetryBudget},
    secret::Secret,
};
use tokio::time::Instant;

use self::{answer::AnswerBody, client::Clients, exchange::Exchange, replay::Replay};
pub(crate) use self::{
    attempt::AttemptError,
    exchange::{Passed, is_idempotent},
    flights::Flights,
    inbound::{Head, Inbound},
    path::target,
    ticket::Ticket,
};
use crate::{
    answers::{Answers, Found, Kept, Question},
    history::{CacheUse, Ended, History},
    metrics::CatalogMetrics,
    state::Live,
};

/// How often one request may come through a catalog; more is a circle.
const HOPS_MAX: usize = 4;

/// Retries of a service besides its share of calls.
const RETRIES: Allowance = Allowance {
    reserve: 20,
    trickle: 2,
    saved_max: 1_000,
};

/// Passes calls on.
pub(crate) struct Calls {
    live: Arc<Live>,
    flights: Arc<Flights>,
    /// Must not reach an instance.
    token: Secret,
    metrics: Arc<CatalogMetrics>,
    history: Arc<History>,
    answers: Answers,
    clients: Clients,
    lines: Mutex<HashMap<ServiceId, Arc<Line>>>,
}

/// What is remembered of a service from call to call.
struct Line {
    turn: AtomicU64,
    budget: RetryBudget,
}

/// Why there is no answer of an instance.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nobody may get requests.
    #[error("it has no instance that can take requests")]
    NoInstance,
    /// The request comes back to where it was.
    #[error("the call came through the catalog {HOPS_MAX} times already")]
    Circle,
    /// The last instance that was tried failed.
    #[error(transparent)]
    Failed(#[from] AttemptError),
}

// === impl Line ===

impl Default for Line {
    fn default() -> Self {
        Self {
            turn: AtomicU64::new(0),
            budget: RetryBudget::new(RETRIES),
        }
    }
}

// === impl Calls ===

impl Calls {
    pub(crate) fn new(
        live: Arc<Live>,
        flights: Arc<Flights>,
        token: Secret,
        metrics: Arc<CatalogMetrics>,
        history: Arc<History>,
        answers: Answers,
    ) -> Self {
        Self {
            live,
            flights,
            token,
            metrics,
            history,
            answers,
            clients: Clients::default(),
            lines: Mutex::default(),
        }
    }

    /// Begins to follow a call. `path` is the one at the instance.
    pub(crate) fn ticket(
        &self,
        service: &Service,
        method: &Method,
        path: &str,
        request_id: &RequestId,
    ) -> Ticket {
        let (history, live) = (Arc::clone(&self.history), Arc::clone(&self.live));
        Ticket::new(history, live, service, method, path, request_id)
    }

    /// Passes a call on.
    pub(crate) async fn pass(
        &self,
        service: &Service,
        inbound: Inbound,
        ticket: &mut Ticket,
    ) -> Result<Passed, CallError> {
        let Inbound { head, body } = inbound;
        let Head {
            method,
            target,
            headers,
            is_for_a_cache,
            request_id,
        } = head;
        let question = Question::new(service.id, &method, &target, &headers, is_for_a_cache);
        let found = match self.answers.find(question).await {
            Found::Hit(kept) => return Ok(self.kept(kept, ticket)),
            found => found,
        };
        if matches!(found, Found::Miss(_)) {
            ticket.looks(CacheUse::Miss);
            self.metrics.cache_misses.inc();
        }
        let timeouts = &service.policy.timeouts;
        let exchange = Exchange {
            service,
            live: &self.live,
            flights: &self.flights,
            line: self.line(service.id),
            client: self.clients.get(timeouts.connect),
            method,
            target,
            headers,
            body: Replay::new(body, ticket.received()),
            request_id,
            end: Instant::now() + timeouts.total.get(),
        };
        let mut passed = exchange.run(ticket).await?;
        let keeping = self
            .answers
            .passes(found, &mut passed.parts, passed.is_framed);
        let keeper = keeping.await;
        passed.body.kept_by(keeper);
        Ok(passed)
    }

    fn kept(&self, kept: Kept, ticket: &mut Ticket) -> Passed {
        ticket.looks(CacheUse::Hit);
        self.metrics.cache_hits.inc();
        let (parts, body) = kept.into_answer();
        Passed {
            parts,
            body: AnswerBody::of(body),
            is_framed: true,
        }
    }

    /// The answer of an instance goes to the caller.
    pub(crate) fn answered(
        &self,
        service: &Service,
        passed: Passed,
        mut ticket: Ticket,
    ) -> Response {
        let Passed { parts, body, .. } = passed;
        self.count(service, parts.status);
        ticket.answers(parts.status);
        Response::from_parts(parts, body.followed_by(ticket).boxed_unsync())
    }

    /// An answer of our own goes to the caller.
    pub(crate) fn refused(&self, service: &Service, status: StatusCode, mut ticket: Ticket) {
        self.count(service, status);
        ticket.answers(status);
        ticket.close(Ended::Complete, 0);
    }

    fn count(&self, service: &Service, status: StatusCode) {
        self.metrics.called(&service.name, status);
        // The series may have been removed just before. The other way round, the removal finds this one.
        let by_id = ServiceRef::Id(service.id);
        if self.live.load().get(&by_id).is_none() {
            self.metrics.calls_removed(&service.name);
        }
    }

    fn line(&self, id: ServiceId) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(&id) {
            return Arc::clone(line);
        }
        let snapshot = self.live.load();
        if lines.len() >= snapshot.len() {
            // Some belong to services that are gone.
            lines.retain(|id, _| snapshot.get(&ServiceRef::Id(*id)).is_some());
        }
        Arc::clone(lines.entry(id).or_default())
    }
}
