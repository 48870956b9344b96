//! `GET /services/watch`: from a request to a stream.

use std::time::Duration;

use catalog_api::{
    DRAINING_HEADER, HISTORY_HEADER, RECEIVER_HEADER, Revision, STREAM_HEADER, ServiceRef,
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
    sse,
};

use super::{Answer, Api, Endpoint, insert, parameters};
use crate::watch::Reader;

/// Sent by a client that reconnects (WHATWG HTML §9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Sent with every stream, and back by a client that resumes.
const HISTORY: HeaderName = HeaderName::from_static(HISTORY_HEADER);

/// Sent with a stream whose reader announced receipts.
const STREAM: HeaderName = HeaderName::from_static(STREAM_HEADER);

/// Sent with the same: receipts may count requests of draining instances.
const DRAINING: HeaderName = HeaderName::from_static(DRAINING_HEADER);

/// When to come back after every stream was taken.
const FULL_RETRY: Duration = Duration::from_secs(5);

impl Api {
    /// Opens a stream. `Last-Event-ID` goes before `?since=`: a browser that reconnects sends both, and the header is newer.
    pub(super) fn watch(&self, call: &Call<Endpoint>) -> Answer {
        let query = parameters::query(call, &["since", "service", "observer"])?;
        let since: Option<Revision> = query
            .get("since")
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Problem::bad_request(format!("since: {error}")))?;
        let filter: Option<ServiceRef> = query
            .get("service")
            .map(|text| text.parse())
            .transpose()
            .map_err(|error| Problem::bad_request(format!("service: {error}")))?;
        let headers = call.request.headers();
        let reader = reader(headers, query.get("observer").map(String::as_str))?;
        if matches!(reader, Reader::Acknowledging(_)) && filter.is_some() {
            return Err(Problem::bad_request(format!(
                "{RECEIVER_HEADER} and service exclude each other: receipts are for the whole catalog"
            )));
        }
        let resume = match headers.get(LAST_EVENT_ID) {
            // A position in another history is a gap like any other: a snapshot heals it.
            _ if headers
                .get(HISTORY)
                .is_some_and(|history| history != self.watchers.history()) =>
            {
                None
            }
            None => since,
            // So is an id that is none of ours.
            Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()),
        };
        let opened = self
            .watchers
            .open(resume, filter, reader)
            .map_err(|full| Problem::unavailable(format!("{full}; try again later"), FULL_RETRY))?;
        let mut response = Response::new(body::stream(opened.events));
        *response.status_mut() = StatusCode::OK;
        insert(&mut response, header::CONTENT_TYPE, sse::CONTENT_TYPE);
        insert(&mut response, header::CACHE_CONTROL, "no-store");
        insert(&mut response, HISTORY, self.watchers.history());
        if let Some(id) = opened.id {
            insert(&mut response, STREAM, &id.to_string());
            insert(&mut response, DRAINING, "counted");
        }
        Ok(response)
    }
}

/// Who reads: somebody who will send receipts, somebody who only looks on, or it is not known.
fn reader(headers: &HeaderMap, observer: Option<&str>) -> Result<Reader, Problem> {
    match (headers.get(RECEIVER_HEADER), observer) {
        (None, None) => Ok(Reader::Unknown),
        (None, Some("true")) => Ok(Reader::Observing),
        (None, Some(_)) => Err(Problem::bad_request(
            "observer: must be true; leave it out if you send requests to instances",
        )),
        (Some(_), Some(_)) => Err(Problem::bad_request(format!(
            "{RECEIVER_HEADER} and observer exclude each other: who sends receipts counts requests"
        ))),
        // What is no text is no receiver either.
        (Some(value), None) => (value.to_str().unwrap_or_default().parse())
            .map(Reader::Acknowledging)
            .map_err(|error| Problem::bad_request(format!("{RECEIVER_HEADER}: {error}"))),
    }
}
