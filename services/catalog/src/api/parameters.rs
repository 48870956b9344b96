//! What stands in path and query. A parameter that would do nothing is refused, so that a typing error is not an answer to another
//! question.

use std::collections::BTreeMap;

use catalog_api::{InstanceId, ServiceRef};
use service_kit::{http::Call, problem::Problem};

use super::Endpoint;

/// The query, with nothing in it but `known`.
pub(super) fn query(
    call: &Call<Endpoint>,
    known: &[&str],
) -> Result<BTreeMap<String, String>, Problem> {
    let query = call.query()?;
    let unknown: Vec<&str> = query
        .keys()
        .map(String::as_str)
        .filter(|name| !known.contains(name))
        .collect();
    if unknown.is_empty() {
        return Ok(query);
    }
    let allowed = match known {
        [] => "it takes none".to_owned(),
        _ => format!("known: {}", known.join(", ")),
    };
    Err(Problem::bad_request(format!(
        "unknown query parameter {}; {allowed}",
        unknown.join(", ")
    )))
}

/// The service that is to be read. What can never exist is not found, with the reason.
pub(super) fn existing(call: &Call<Endpoint>) -> Result<ServiceRef, Problem> {
    call.params
        .get("id")
        .parse()
        .map_err(|error| Problem::not_found(format!("there is no such service: {error}")))
}

/// The service that is to be written.
pub(super) fn target(call: &Call<Endpoint>) -> Result<ServiceRef, Problem> {
    call.params
        .get("id")
        .parse()
        .map_err(|error| Problem::bad_request(format!("in the path: {error}")))
}

/// The instance that is to be written.
pub(super) fn instance(call: &Call<Endpoint>) -> Result<InstanceId, Problem> {
    call.params
        .get("instance")
        .parse()
        .map_err(|error| Problem::bad_request(format!("in the path: {error}")))
}
