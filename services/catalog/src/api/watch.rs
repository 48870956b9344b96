//! `GET /services/watch`: from a request to a stream.

use std::time::Duration;

use catalog_api::Revision;
use http::{HeaderName, StatusCode, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
    sse,
};

use super::{Answer, Api, Endpoint, insert, parameters};

/// Sent by a client that reconnects (WHATWG HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// When to come back after every stream was taken.
const FULL_RETRY: Duration = Duration::from_secs(5);

impl Api {
    /// Opens a stream. `Last-Event-ID` goes before `?since=`: a browser that reconnects sends both, and the header is newer.
    pub(super) fn watch(&self, call: &Call<Endpoint>) -> Answer {
        let query = parameters::query(call, &["since", "service"])?;
        let since: Option<Revision> = query
            .get("since")
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Problem::bad_request(format!("since: {error}")))?;
        let filter = query
            .get("service")
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Problem::bad_request(format!("service: {error}")))?;
        let resume = match call.request.headers().get(LAST_EVENT_ID) {
            None => since,
            // An id that is none of ours is a gap like any other: a snapshot heals it.
            Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()),
        };
        let stream = self
            .watchers
            .open(resume, filter)
            .map_err(|full| Problem::unavailable(format!("{full}; try again later"), FULL_RETRY))?;
        let mut response = Response::new(body::stream(stream));
        *response.status_mut() = StatusCode::OK;
        insert(&mut response, header::CONTENT_TYPE, sse::CONTENT_TYPE);
        insert(&mut response, header::CACHE_CONTROL, "no-store");
        Ok(response)
    }
}
