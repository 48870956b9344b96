//! Endpoints for those who run the program: the same in every program.

use http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Application, Response, body};
use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// What the endpoints report on.
#[derive(Clone, Debug)]
pub struct Operations {
    /// Behind `/readyz`.
    pub readiness: Readiness,
    /// Behind `/metrics`.
    pub metrics: Metrics,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Health,
    Live,
    Ready,
    Metrics,
}

impl Operation {
    pub(super) const ROUTES: [(Method, &'static str, Self); 4] = [
        (Method::GET, "/health", Self::Health),
        (Method::GET, "/livez", Self::Live),
        (Method::GET, "/readyz", Self::Ready),
        (Method::GET, "/metrics", Self::Metrics),
    ];
}

impl Operations {
    pub(super) fn respond(
        &self,
        operation: Operation,
        application: &impl Application,
        query: Option<&str>,
    ) -> Response {
        let mut response = match operation {
            Operation::Health => body::json(StatusCode::OK, &application.health()),
            Operation::Live => body::text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
            Operation::Ready => self.ready(query),
            Operation::Metrics => {
                body::text(StatusCode::OK, Metrics::CONTENT_TYPE, self.metrics.encode())
            }
        };
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Not a problem document when it is not ready: the body has the same form in both cases, for one reader.
    fn ready(&self, query: Option<&str>) -> Response {
        let report = self.readiness.report();
        let status = match report.status {
            "ok" => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let verbose = query
            .unwrap_or_default()
            .split('&')
            .any(|part| part == "verbose" || part.starts_with("verbose="));
        let mut response = if verbose {
            body::json(status, &report)
        } else {
            body::json(status, &json!({ "status": report.status }))
        };
        if status != StatusCode::OK {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
