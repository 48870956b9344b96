//! `?wait=applied`: a write is answered when it is in effect at every connected gateway.

use std::collections::BTreeMap;

use catalog_api::{Revision, ServiceId};
use http::{HeaderName, StatusCode, header};
use serde::Serialize;
use service_kit::{
    http::{Response, body},
    problem::Problem,
};

use super::{Api, X_CATALOG_REVISION, insert};
use crate::receipts::{APPLIED_WAIT_MAX, Behind, Missing};

/// Most gateways that an answer names.
pub(crate) const NAMED_MAX: usize = 100;

/// Says, when that was asked, whether the write is in effect at every connected gateway.
pub(super) const X_CATALOG_APPLIED: HeaderName = HeaderName::from_static("x-catalog-applied");

/// When a write is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// When it is published in this catalog.
    Published,
    /// When it is in effect at every connected gateway.
    Applied,
}

/// The write is done, but not everywhere in effect.
#[derive(Serialize)]
struct Pending {
    revision: Revision,
    detail: String,
    /// How many there are, of whom the first are named.
    missing_count: usize,
    missing: Vec<MissingGateway>,
}

#[derive(Serialize)]
struct MissingGateway {
    gateway: String,
    /// What is in effect there; null = it has not said.
    revision: Option<Revision>,
    /// It has seen the write, and refused the service's new state.
    refused: bool,
}

// === impl Wait ===

impl Wait {
    pub(super) const PARAMETER: &str = "wait";

    pub(super) fn parse(query: &BTreeMap<String, String>) -> Result<Self, Problem> {
        match query.get(Self::PARAMETER).map(String::as_str) {
            None => Ok(Self::Published),
            Some("applied") => Ok(Self::Applied),
            Some(_) => Err(Problem::bad_request(
                "wait: must be applied; leave it out to be answered without the gateways",
            )),
        }
    }
}

// === impl Api ===

impl Api {
    /// Whether a write is in effect everywhere, if that was asked for.
    pub(super) async fn applied(
        &self,
        wait: Wait,
        revision: Revision,
        service: ServiceId,
    ) -> Option<&'static str> {
        match wait {
            Wait::Published => None,
            Wait::Applied => match self.receipts.applied(revision, Some(service)).await {
                Ok(()) => Some("true"),
                Err(_) => Some("false"),
            },
        }
    }

    /// The answer to a write, held back if that was asked for. `service` is what was written, unless that is gone.
    pub(super) async fn settled(
        &self,
        wait: Wait,
        revision: Revision,
        service: Option<ServiceId>,
        mut answer: Response,
    ) -> Response {
        if wait == Wait::Published {
            return answer;
        }
        match self.receipts.applied(revision, service).await {
            Ok(()) => {
                insert(&mut answer, X_CATALOG_APPLIED, "true");
                answer
            }
            Err(missing) => pending(revision, &missing, &answer),
        }
    }
}

/// In place of the answer, with its fields about what was written.
fn pending(revision: Revision, missing: &Missing, answer: &Response) -> Response {
    let mut response = body::json(StatusCode::ACCEPTED, &Pending::new(revision, missing));
    for name in [X_CATALOG_REVISION, header::ETAG, header::LOCATION] {
        if let Some(value) = answer.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    insert(&mut response, X_CATALOG_APPLIED, "false");
    response
}

// === impl Pending ===

impl Pending {
    fn new(revision: Revision, missing: &Missing) -> Self {
        let limit = APPLIED_WAIT_MAX.as_secs();
        let detail = if missing.complete {
            format!(
                "the write is done, but within {limit} s these gateways have not put it into effect"
            )
        } else {
            format!(
                "the write is done, but for {limit} s the store did not say which gateways other catalogs serve"
            )
        };
        Self {
            revision,
            detail,
            missing_count: missing.behind.len(),
            missing: missing
                .behind
                .iter()
                .take(NAMED_MAX)
                .map(MissingGateway::new)
                .collect(),
        }
    }
}

impl MissingGateway {
    fn new(behind: &Behind) -> Self {
        Self {
            gateway: behind.name.to_string(),
            revision: behind.revision,
            refused: behind.refused,
        }
    }
}
