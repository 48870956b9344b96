//! `ANY /services/call/{id}/{endpoint…}`: who may call, and what of the path is for the instance.

use catalog_api::Service;
use database::jobs::PutError;
use futures_util::FutureExt as _;
use http::{Method, uri::PathAndQuery};
use service_kit::{
    http::{
        Call,
        body::{self, BODY_READ_TIMEOUT},
    },
    problem::Problem,
};

use super::{
    Answer, Api, Endpoint,
    deferred::{accepted, too_long},
};
use crate::{
    auth::Credentials,
    calls::{self, Inbound, Passed, Ticket},
    deferred::{BODY_BYTES_MAX, DeferError, Report},
    prefer, problem,
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

/// What a caller gets.
#[expect(
    clippy::large_enum_variant,
    reason = "it is only returned, and a box would be an allocation for each call"
)]
enum Reply {
    /// The answer of an instance.
    Passed(Passed),
    /// The promise of one.
    Later(Report),
}

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
    /// Passes a call on, and counts it whatever becomes of it. One that is answered later counts when it is over.
    pub(super) async fn forward(&self, mut call: Call<Endpoint>) -> Answer {
        let entry = self.entry(&call)?;
        let service = &entry.service;
        let target = target(&call);
        let path = target.as_ref().map_or("", |target| target.path());
        let is_later = prefer::take_respond_async(call.request.headers_mut());
        let method = call.request.method();
        let mut ticket = self.calls.ticket(service, method, path, &call.request_id);
        let reply = self
            .reply(service, call, target, is_later, &mut ticket)
            .await;
        match reply {
            Ok(Reply::Passed(passed)) => Ok(self.calls.answered(service, passed, ticket)),
            Ok(Reply::Later(report)) => {
                ticket.withdraw();
                Ok(accepted(&report))
            }
            Err(problem) => {
                self.calls.refused(service, problem.status(), ticket);
                Err(problem)
            }
        }
    }

    async fn reply(
        &self,
        service: &Service,
        call: Call<Endpoint>,
        target: Option<PathAndQuery>,
        is_later: bool,
        ticket: &mut Ticket,
    ) -> Result<Reply, Problem> {
        let credentials = Credentials::of(&call, &self.token);
        credentials.admit(service.policy.call)?;
        let target = target.ok_or_else(|| {
            Problem::bad_request(
                "the path after the service is not a valid path; percent-encode what it may not contain",
            )
        })?;
        let inbound = self
            .calls
            .inbound(call.request, target, call.peer, call.request_id);
        let inbound = inbound.map_err(|error| problem::from_call(&error, &service.name))?;
        if is_later {
            return self.defer(service, inbound, credentials, ticket).await;
        }
        self.pass(service, inbound, ticket).await
    }

    /// Takes a call in. When the queue is away, the caller's preference cannot be met, and he gets the answer itself.
    async fn defer(
        &self,
        service: &Service,
        inbound: Inbound,
        credentials: Credentials,
        ticket: &mut Ticket,
    ) -> Result<Reply, Problem> {
        let Inbound { head, body } = inbound;
        let allowed = usize::try_from(service.policy.limits.body_bytes).unwrap_or(usize::MAX);
        let limit = BODY_BYTES_MAX.min(allowed);
        // Boxed, because the compiler does not see in a larger future that the error of the body may be sent.
        let reading = body::read_bytes(body, limit, BODY_READ_TIMEOUT).boxed();
        let content = reading.await.map_err(too_long)?;
        match self
            .deferred
            .put(service, &head, &content, credentials)
            .await
        {
            Ok(report) => Ok(Reply::Later(report)),
            Err(DeferError::Put(PutError::Away)) => {
                let body = body::full(content);
                self.pass(service, Inbound { head, body }, ticket).await
            }
            Err(error) => Err(problem::from_deferral(&error)),
        }
    }

    async fn pass(
        &self,
        service: &Service,
        inbound: Inbound,
        ticket: &mut Ticket,
    ) -> Result<Reply, Problem> {
        let passed = self.calls.pass(service, inbound, ticket).await;
        let passed = passed.map_err(|error| problem::from_call(&error, &service.name))?;
        Ok(Reply::Passed(passed))
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
