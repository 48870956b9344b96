//! Calls: their operations, and what is told of those that are answered later.

use serde_json::{Map, Value, json};

use super::{
    operation::Operation,
    parameters::{header, id, path, query, query_of},
    paths::{UNKNOWN, WRONG},
    reference,
    schemas::{object, text, time},
};
use crate::deferred::{ANSWER_BYTES_MAX, BODY_BYTES_MAX};

/// Methods of calls that OpenAPI has a word for, in lower case.
const CALL_METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// Every path and method of them.
pub(super) fn operations() -> Vec<(&'static str, &'static str, Operation)> {
    let mut operations = vec![
        ("/services/calls/{call}", "get", deferred()),
        ("/services/logs", "get", logs()),
        ("/services/stats", "get", statistics()),
    ];
    for method in CALL_METHODS {
        operations.push(("/services/call/{id}", method, call(method, false)));
        operations.push(("/services/call/{id}/{endpoint}", method, call(method, true)));
    }
    operations
}

pub(super) fn schemas() -> Map<String, Value> {
    [("DeferredCall".to_owned(), deferred_call())]
        .into_iter()
        .collect()
}

fn call(method: &str, with_endpoint: bool) -> Operation {
    let name = format!(
        "call{}{method}",
        if with_endpoint { "Endpoint" } else { "" }
    );
    let summary = "Pass a request on to an instance of a service";
    let operation = Operation::new("calls", &name, summary)
        .describe("Everything passes: body, query and header fields, but not those of the connection nor the catalog's token. In turn over the passing instances by weight, again at another one where that is harmless, within the service's timeouts. Whether a token is needed is the service's policy. An answer to GET that the service allows to be kept (RFC 9111) is given to others while it is fresh; Cache-Status (RFC 9211) tells. Other methods than OpenAPI knows work too, but not CONNECT and TRACE. With Prefer: respond-async (RFC 7240) the answer is fetched later.")
        .parameters([id("service-api"), prefer()])
        .whatever()
        .accepted()
        .problem(400, "The path is not valid, or the body broke off")
        .problem(401, "The service's policy asks for the token")
        .problem(403, "The service's policy does not allow it")
        .problem(404, UNKNOWN)
        .problem(408, "The body came too slowly")
        .problem(413, "The answer is to come later, and the body is too long for that")
        .problem(502, "No instance gave a valid answer")
        .problem(503, "No instance takes requests, or too many wait for answers that come later; see Retry-After")
        .problem(504, "No instance answered in time")
        .problem(508, "The request goes round in a circle");
    let operation = match method {
        "get" | "head" => operation,
        _ => operation.any_body(),
    };
    if with_endpoint {
        let description = "Path at the instance, which may have more segments";
        operation.parameter(path("endpoint", description, "name"))
    } else {
        operation
    }
}

fn prefer() -> Value {
    let description = format!(
        "respond-async: the call is taken in whole, with {BODY_BYTES_MAX} bytes of content at most, and answered with 202 at once. Other preferences are passed on"
    );
    header("prefer", &description, "respond-async")
}

impl Operation {
    fn accepted(self) -> Self {
        self.answer(202, "The call is taken in and carried out like any other. Where its answer will be is in Location", "DeferredCall")
            .header(202, "Location", "Where to ask for the answer; nobody else is told")
            .header(202, "Preference-Applied", "respond-async")
            .header(202, "Retry-After", "When to ask, in seconds")
    }
}

fn deferred() -> Operation {
    let id = path(
        "call",
        "The end of the Location",
        "6f1e2d3c-4b5a-4678-8765-43210fedcba9",
    );
    Operation::new("calls", "deferredCall", "What became of a call that is answered later")
        .describe("Needs the token when the call did. An idempotent call is begun again when the catalog that carried it out died, at most twice, so the service may get it more than once. Any other one is begun once; then it fails with the problem outcome-unknown.")
        .parameter(id)
        .answer(200, "Pending, done or failed", "DeferredCall")
        .problem(400, WRONG)
        .problem(401, "The service's policy asked for the token, and none was sent")
        .problem(403, "The token is another one")
        .problem(404, "There is no such call, or it was over too long ago")
        .problem(503, "What is known of calls cannot be reached; see Retry-After")
}

fn deferred_call() -> Value {
    let headers = json!({
        "type": "object",
        "additionalProperties": { "type": "array", "items": { "type": "string" } },
        "description": "By name in lower case, the values in their order, each byte a character (ISO 8859-1)",
    });
    let answer = json!({
        "status": { "type": "integer", "minimum": 100, "maximum": 999, "description": "What the service said, which may be an error" },
        "headers": headers,
        "text": text("The content, if it is UTF-8"),
        "base64": text("The content, if it is not"),
    });
    let mut answer = object(answer, &["status", "headers"]);
    answer["description"] = format!(
        "When it is done. An answer with more than {ANSWER_BYTES_MAX} bytes of content is a failure"
    )
    .into();
    let properties = json!({
        "id": text("Its name, the end of its Location"),
        "status": { "type": "string", "enum": ["pending", "done", "failed"], "description": "done: the service answered. failed: it did not, or nobody knows" },
        "service": text("The name that the service had"),
        "method": text("Method"),
        "request_id": text("Id of the request, as in the log of calls"),
        "accepted_at": time(),
        "finished_at": time(),
        "expires_at": time(),
        "answer": answer,
        "problem": reference("Problem"),
    });
    let every = [
        "id",
        "status",
        "service",
        "method",
        "request_id",
        "accepted_at",
    ];
    object(properties, &every)
}

fn logs() -> Operation {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
    Operation::new(
        "calls",
        "callLog",
        "The newest calls that ended, newest first",
    )
    .parameters([
        query("service", "Of this service, by id or name", "service-api"),
        query(
            "status",
            "Answered with this status, or with one of a class",
            "5xx",
        ),
        query(
            "since",
            "That began at this time or later: RFC 3339, or how long ago",
            "15m",
        ),
        query_of("limit", "Most calls; 100 when left out", limit, 10.into()),
    ])
    .answer(200, "The calls", "CallLog")
    .problem(400, WRONG)
}

fn statistics() -> Operation {
    Operation::new(
        "calls",
        "callStatistics",
        "Calls added up by service and endpoint",
    )
    .answer(200, "The sums", "Statistics")
    .problem(400, WRONG)
}
