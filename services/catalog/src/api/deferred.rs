//! `GET /services/calls/{call}`: what became of a call that is answered later, and what its caller is told at once.

use database::jobs::JobId;
use http::{StatusCode, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};

use super::{Answer, Api, Endpoint, insert, parameters};
use crate::{
    auth::authorize,
    deferred::{ASK_AGAIN, Report},
    prefer::{PREFERENCE_APPLIED, RESPOND_ASYNC},
    problem,
};

impl Api {
    /// Pending, done or failed.
    pub(super) async fn deferred(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        let Ok(id) = call.params.get("call").parse::<JobId>() else {
            return Err(problem::no_call(self.deferred.kept()));
        };
        let found = self.deferred.look(id).await;
        let Some(report) = found.map_err(|error| problem::from_look(&error))? else {
            return Err(problem::no_call(self.deferred.kept()));
        };
        if report.is_guarded() {
            authorize(call, &self.token)?;
        }
        Ok(answer(StatusCode::OK, &report))
    }
}

/// The call was taken in.
pub(super) fn accepted(report: &Report) -> Response {
    let mut response = answer(StatusCode::ACCEPTED, report);
    insert(&mut response, header::LOCATION, &report.location());
    insert(&mut response, PREFERENCE_APPLIED, RESPOND_ASYNC);
    response
}

fn answer(status: StatusCode, report: &Report) -> Response {
    let mut response = body::json(status, report);
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    if report.is_pending() {
        let seconds = ASK_AGAIN.as_secs().to_string();
        insert(&mut response, header::RETRY_AFTER, &seconds);
    }
    response
}

/// The problem of a call whose content is too long to wait.
pub(super) fn too_long(problem: Problem) -> Problem {
    if problem.status() != StatusCode::PAYLOAD_TOO_LARGE {
        return problem;
    }
    let detail = "a call that is answered later is kept meanwhile, so its content has a limit (limit_bytes); send it without Prefer: respond-async";
    problem.detail(detail)
}
