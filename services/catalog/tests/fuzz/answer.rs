//! Whether an answer is one that the description promises for a request.

use http::HeaderName;
use serde_json::Value;

use crate::{
    document::{Document, Operation, Place},
    request::Request,
    schema,
    wire::Answer,
};

/// Checks an answer against the description, and says what is wrong with it.
pub(crate) fn check(document: &Document, request: &Request, answer: &Answer) -> Result<(), String> {
    if !request.is_http() {
        return is_one_of(answer, &[400, 414, 431])
            .and_then(|()| problem_of(document, request, answer));
    }
    // Not the catalog's to describe: what HTTP itself could not take.
    if [414, 431].contains(&answer.status) {
        return problem_of(document, request, answer);
    }
    match document.find(&request.method, &request.path()) {
        Place::Nowhere => {
            is_one_of(answer, &[404]).and_then(|()| problem_of(document, request, answer))
        }
        Place::OtherMethod if is_call_with_other_method(request, answer) => Ok(()),
        Place::OtherMethod => {
            is_one_of(answer, &[405]).and_then(|()| problem_of(document, request, answer))
        }
        Place::Operation(operation) => described(document, operation, request, answer),
    }
}

/// Calls pass methods that OpenAPI has no word for.
fn is_call_with_other_method(request: &Request, answer: &Answer) -> bool {
    request.path().starts_with("/services/call/") && answer.status != 405 && answer.status != 500
}

fn is_one_of(answer: &Answer, statuses: &[u16]) -> Result<(), String> {
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    Err(format!("{} where {statuses:?} was expected", answer.status))
}

fn described(
    document: &Document,
    operation: &Operation,
    request: &Request,
    answer: &Answer,
) -> Result<(), String> {
    let status = answer.status;
    if status == 500 || (status == 503 && operation.value.get("security").is_some()) {
        return Err(format!("a {status}, although nothing is broken"));
    }
    let responses = &operation.value["responses"];
    let Some(response) = responses.get(status.to_string()) else {
        // An instance may answer a call as it likes.
        return match responses.get("default") {
            Some(_) => Ok(()),
            None => Err(format!("{status} is not described")),
        };
    };
    let headers = response["headers"].as_object();
    for name in headers.into_iter().flat_map(|headers| headers.keys()) {
        if answer.header(&name.to_ascii_lowercase()).is_empty() {
            return Err(format!("{status} without {name}"));
        }
    }
    if request.method == "HEAD" || status == 204 || status == 304 {
        return Ok(());
    }
    let kind = answer.header("content-type").split(';').next();
    let kind = kind.unwrap_or_default();
    if kind == "application/problem+json" {
        problem(document, answer)?;
    }
    let Some(content) = response["content"].as_object() else {
        return match answer.body.as_slice() {
            [] => Ok(()),
            _ => Err(format!("{status} with a body")),
        };
    };
    let described = content.get(kind).or_else(|| content.get("*/*"));
    let described = described.ok_or_else(|| format!("{status} with {kind}"))?;
    match described.get("schema") {
        Some(schema) if kind.ends_with("json") => {
            let body = body(answer)?;
            schema::check(&document.value, schema, &body)
        }
        _ => Ok(()),
    }
}

fn problem_of(document: &Document, request: &Request, answer: &Answer) -> Result<(), String> {
    if request.method == "HEAD" {
        return Ok(());
    }
    problem(document, answer)
}

/// RFC 9457, with everything that callers rely on.
pub(crate) fn problem(document: &Document, answer: &Answer) -> Result<(), String> {
    if answer.header("content-type") != "application/problem+json" {
        return Err(format!("{} without a problem", answer.status));
    }
    let body = body(answer)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    if body["status"] != answer.status {
        return Err(format!("{} with {body}", answer.status));
    }
    if !text("type").starts_with("urn:problem:") || text("title").is_empty() {
        return Err(format!("no type or title: {body}"));
    }
    if text("detail").is_empty() {
        return Err(format!("it does not say what to do: {body}"));
    }
    if text("instance").is_empty() || text("instance") != answer.header("x-request-id") {
        return Err(format!("it is not the request's: {body}"));
    }
    let needed: &[HeaderName] = match answer.status {
        401 => &[http::header::WWW_AUTHENTICATE],
        405 => &[http::header::ALLOW],
        429 | 503 => &[http::header::RETRY_AFTER],
        _ => &[],
    };
    for name in needed {
        if answer.header(name.as_str()).is_empty() {
            return Err(format!("{} without {name}", answer.status));
        }
    }
    let schema = serde_json::json!({"$ref": "#/components/schemas/Problem"});
    schema::check(&document.value, &schema, &body)
}

fn body(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let text = String::from_utf8_lossy(&answer.body);
        format!("the body is no JSON: {error}: {text}")
    })
}
