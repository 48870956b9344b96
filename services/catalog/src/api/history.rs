//! `GET /services/logs` and `GET /services/stats`: what became of calls.

use std::collections::BTreeMap;

use catalog_api::{Span, Timestamp};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::json;
use service_kit::{
    http::{Call, Response, body},
    problem::Problem,
};

use super::{Answer, Api, Endpoint, insert, parameters};
use crate::history::{LogFilter, StatusFilter};

/// Most records in one answer, and how many there are when nothing is said.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

impl Api {
    /// The newest calls.
    pub(super) async fn logs(&self, call: &Call<Endpoint>) -> Answer {
        let query = parameters::query(call, &["service", "status", "since", "limit"])?;
        let (scope, calls) = self.history.newest(&filter(&query)?).await;
        Ok(fresh(&json!({ "scope": scope, "calls": calls })))
    }

    /// Sums over calls.
    pub(super) async fn statistics(&self, call: &Call<Endpoint>) -> Answer {
        parameters::query(call, &[])?;
        Ok(fresh(&self.history.statistics(&self.live.load()).await))
    }
}

fn filter(query: &BTreeMap<String, String>) -> Result<LogFilter, Problem> {
    let refuse =
        |name: &str, allowed: &str| Err(Problem::bad_request(format!("{name}: must be {allowed}")));
    let service = match query.get("service").map(|text| text.parse()) {
        None => None,
        Some(Ok(service)) => Some(service),
        Some(Err(error)) => return Err(Problem::bad_request(format!("service: {error}"))),
    };
    let status = match query.get("status").map(|text| StatusFilter::parse(text)) {
        Some(None) => return refuse("status", "a status such as 404, or a class such as 5xx"),
        found => found.flatten(),
    };
    let since = match query.get("since").map(|text| parse_since(text)) {
        Some(None) => {
            let allowed =
                "a time such as 2026-01-31T12:00:00Z, or how long ago, such as 15m, up to 24h";
            return refuse("since", allowed);
        }
        found => found.flatten(),
    };
    let limit = match query.get("limit").map(|text| text.parse()) {
        None => LIMIT,
        Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
        Some(_) => return refuse("limit", &format!("a number from 1 to {LIMIT_MAX}")),
    };
    Ok(LogFilter {
        service,
        status,
        since,
        limit,
    })
}

fn parse_since(text: &str) -> Option<Timestamp> {
    match text.parse::<Span>() {
        Ok(span) => Some(Timestamp::now().earlier(span.get())),
        Err(_) => Timestamp::try_from(text.to_owned()).ok(),
    }
}

fn fresh(value: &impl Serialize) -> Response {
    let mut response = body::json(StatusCode::OK, value);
    insert(&mut response, header::CACHE_CONTROL, "no-store");
    response
}
