//! `ANY /services/call/{id}/{endpoint…}`: who may call, and what of the path is for the instance.

use catalog_api::{CallAccess, Service};
use http::{Method, uri::PathAndQuery};
use service_kit::{http::Call, problem::Problem};

use super::{Answer, Api, Endpoint};
use crate::{
    auth::authorize,
    calls::{self, Inbound, Passed, Ticket},
    problem,
};

/// Beginning of every call's path.
const PREFIX: &str = "/services/call/";

/// With and without something after the service.
const PATTERNS: [&str; 3] = [
    "/services/call/{id}",
    "/services/call/{id}/",
    "/services/call/{id}/{*endpoint}",
];

/// The methods that are passed on. All that are in use, but not CONNECT, which asks for a tunnel, nor TRACE, which would show a caller
/// what his request became on its way (RFC 9110 §9.3.8).
const METHODS: [&str; 18] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "QUERY",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "PURGE",
];

/// Routes of calls.
pub(super) fn routes() -> impl Iterator<Item = (Method, &'static str, Endpoint)> {
    PATTERNS.into_iter().flat_map(|pattern| {
        METHODS
            .into_iter()
            .filter_map(|name| name.parse().ok())
            .map(move |method| (method, pattern, Endpoint::Call))
    })
}

impl Api {
    /// Passes a call on, and counts it whatever becomes of it.
    pub(super) async fn forward(&self, call: Call<Endpoint>) -> Answer {
        let entry = self.entry(&call)?;
        let service = &entry.service;
        let target = target(&call);
        let path = target.as_ref().map_or("", |target| target.path());
        let method = call.request.method();
        let mut ticket = self.calls.ticket(service, method, path, &call.request_id);
        let passed = match self.admit(service.policy.call, &call) {
            Ok(()) => self.pass(service, call, target, &mut ticket).await,
            Err(refused) => Err(refused),
        };
        match passed {
            Ok(passed) => Ok(self.calls.answered(service, passed, ticket)),
            Err(problem) => {
                self.calls.refused(service, problem.status(), ticket);
                Err(problem)
            }
        }
    }

    async fn pass(
        &self,
        service: &Service,
        call: Call<Endpoint>,
        target: Option<PathAndQuery>,
        ticket: &mut Ticket,
    ) -> Result<Passed, Problem> {
        let target = target.ok_or_else(|| {
            Problem::bad_request(
                "the path after the service is not a valid path; percent-encode what it may not contain",
            )
        })?;
        let inbound = Inbound {
            target,
            peer: call.peer,
            request_id: call.request_id,
            request: call.request,
        };
        let passed = self.calls.pass(service, inbound, ticket).await;
        passed.map_err(|error| problem::from_call(&error, &service.name))
    }

    fn admit(&self, access: CallAccess, call: &Call<Endpoint>) -> Result<(), Problem> {
        match access {
            CallAccess::Open => Ok(()),
            CallAccess::Token => authorize(call, &self.token),
            CallAccess::Off => Err(Problem::forbidden(
                "the service's policy does not allow calls through the catalog; use its route at the gateway",
            )),
        }
    }
}

/// Path and query for the instance.
fn target(call: &Call<Endpoint>) -> Option<PathAndQuery> {
    let uri = call.request.uri();
    // The path as it was sent: in the parameters it is decoded, and a %2F could not be told from a slash.
    let rest = uri.path().strip_prefix(PREFIX)?;
    let rest = rest.split_once('/').map_or("", |(_, rest)| rest);
    calls::target(rest, uri.query())
}
