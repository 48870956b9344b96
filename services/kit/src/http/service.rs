//! From a request to its response: routing, the application, and what every response gets.

use std::any::Any;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use hyper::body::{Body as _, Incoming};

use super::request_id::X_REQUEST_ID;
use super::routes::{Found, Routes, Target};
use super::{Application, Call, Exchange, Operations, RequestId, Response, Routine, body, event};
use crate::metrics::RequestMetrics;
use crate::problem::Problem;

/// An application with everything around it. Given to [`serve`](super::serve).
pub struct Service<A: Application> {
    application: Arc<A>,
    operations: Operations,
    requests: RequestMetrics,
    routes: Routes<A::Endpoint>,
}

impl<A: Application> Service<A> {
    /// Puts a service together.
    ///
    /// # Panics
    ///
    /// When two routes of the application contradict each other or those of the kit. Routes are constants, so the
    /// first test shows it.
    #[expect(
        clippy::expect_used,
        reason = "routes are constants of the program; a wrong one is a fault to be found by any test"
    )]
    pub fn new(application: Arc<A>, operations: Operations, requests: RequestMetrics) -> Arc<Self> {
        Arc::new(Self {
            application,
            operations,
            requests,
            routes: Routes::new(A::routes()).expect("routes do not contradict each other"),
        })
    }

    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response {
        let started = Instant::now();
        let method = Exchange::method_label(request.method());
        let is_head = request.method() == Method::HEAD;
        let request_id = RequestId::from_headers(request.headers());
        let found = self.routes.find(request.method(), request.uri().path());
        let endpoint = found
            .as_ref()
            .map_or(Exchange::UNMATCHED, |found| found.pattern);
        let outcome = self.answer(found, request, peer, &request_id).await;
        let mut response =
            outcome.unwrap_or_else(|problem| problem.instance(request_id.as_str()).into());
        response
            .headers_mut()
            .insert(X_REQUEST_ID, request_id.header());
        if is_head {
            response = without_body(response);
        }
        let exchange = Exchange {
            method,
            endpoint,
            status: response.status().as_u16(),
            duration: started.elapsed(),
        };
        self.requests.observe(&exchange);
        event::record(&exchange, &response, &request_id, peer);
        response
    }

    /// Counts and logs a request that was refused before it was one.
    pub(super) fn refused(&self, problem: &Problem, peer: SocketAddr) -> RequestId {
        let request_id = RequestId::random();
        let exchange = Exchange {
            method: Exchange::OTHER,
            endpoint: Exchange::UNMATCHED,
            status: problem.status().as_u16(),
            duration: Duration::ZERO,
        };
        self.requests.observe(&exchange);
        event::record(&exchange, &problem.clone().into(), &request_id, peer);
        request_id
    }

    async fn answer(
        &self,
        found: Option<Found<A::Endpoint>>,
        request: Request<Incoming>,
        peer: SocketAddr,
        request_id: &RequestId,
    ) -> Result<Response, Problem> {
        let Some(found) = found else {
            let detail = format!("no route for the path {}", request.uri().path());
            return Err(Problem::not_found(detail));
        };
        match found.outcome {
            Err(problem) => Err(problem),
            Ok((Target::Operation(operation), _)) => {
                let query = request.uri().query();
                let mut response = self
                    .operations
                    .respond(operation, &*self.application, query);
                response.extensions_mut().insert(Routine);
                Ok(response)
            }
            Ok((Target::Application(endpoint), params)) => {
                let call = Call {
                    endpoint,
                    params,
                    request,
                    peer,
                    request_id: request_id.clone(),
                };
                self.respond(call, request_id).await
            }
        }
    }

    /// A panic ends one request, not the connection's other requests. What the application shares between requests
    /// must not be left half changed; its locks are std's, which poison.
    async fn respond(
        &self,
        call: Call<A::Endpoint>,
        request_id: &RequestId,
    ) -> Result<Response, Problem> {
        // The call is made inside the future, so that a panic before its first await is caught as well.
        let answer = async { self.application.respond(call).await };
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(payload) => {
                tracing::error!(
                    request.id = request_id.as_str(),
                    panic.message = message(payload.as_ref()),
                    "a request's handler panicked"
                );
                Err(Problem::internal())
            }
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// The header that GET would have got (RFC 9110, section 9.3.2). Done here because HTTP/2 in hyper sends the body of a
/// HEAD response too.
fn without_body(response: Response) -> Response {
    let (mut parts, full) = response.into_parts();
    if let Some(length) = full.size_hint().exact()
        && !parts.status.is_informational()
        && parts.status != http::StatusCode::NO_CONTENT
        && parts.status != http::StatusCode::NOT_MODIFIED
    {
        parts
            .headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    Response::from_parts(parts, body::empty())
}
