//! Receipts, and writes that wait for them.

use catalog_api::{
    draining::DRAINING_MAX,
    receipt::{RECEIVER_NAME_BYTES_MAX, REFUSED_MAX},
};
use serde_json::{Map, Value, json};

use super::{
    operation::Operation,
    parameters::{header, query_of},
    schemas::{array, count, object, text},
};
use crate::{
    api::applied::NAMED_MAX,
    receipts::{APPLIED_WAIT_MAX, SILENCE_MAX},
};

pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("Receipt".to_owned(), receipt());
    all.insert("Pending".to_owned(), pending());
    all
}

/// `POST /services/watch/receipts`.
pub(super) fn send() -> Operation {
    let example = json!({ "stream": "0123456789abcdef0123456789abcdef", "revision": 2 });
    let silence = SILENCE_MAX.as_secs();
    let description = format!(
        "For gateways: everything up to a revision is in effect. Needs no token, because only the reader of a stream knows its id. Of a stream without a receipt for {silence} s nobody is waited for."
    );
    Operation::new(
        "services",
        "sendReceipt",
        "Say how far the reader of a stream is",
    )
    .describe(&description)
    .body("Receipt", &example)
    .answer_of(204, "It is taken in", json!({}))
    .problem(
        400,
        "The body is not right; the detail says what is allowed",
    )
    .problem(404, "There is no such stream; it has ended")
}

/// Announces receipts when a stream is opened.
pub(super) fn announcement() -> Value {
    let description = format!(
        "Of a reader that will send receipts: a name of at most {RECEIVER_NAME_BYTES_MAX} characters and an id of 32 random hexadecimal digits, with / between. The answer's X-Catalog-Stream is what they name. Not together with service"
    );
    let example = "gateway-1-80/fedcba9876543210fedcba9876543210";
    header("x-catalog-receiver", &description, example)
}

impl Operation {
    /// A write that can wait.
    pub(super) fn waits(self) -> Self {
        let schema = json!({ "type": "string", "enum": ["applied"] });
        let limit = APPLIED_WAIT_MAX.as_secs();
        let description = format!(
            "applied: the answer comes when every connected gateway has put the write into effect, or as 202 after {limit} s. X-Catalog-Applied tells which, true or false"
        );
        self.parameter(query_of("wait", &description, schema, "applied".into()))
    }

    /// The answer when that takes too long.
    pub(super) fn or_pending(self) -> Self {
        let description =
            "With wait=applied: it is done, but not in effect at every connected gateway";
        self.answer(202, description, "Pending")
    }
}

fn receipt() -> Value {
    let id = json!({
        "type": "string", "minLength": 32, "maxLength": 32,
        "description": "X-Catalog-Stream of the stream that was read",
    });
    let refused = json!({
        "type": "array",
        "items": count("Id of a service"),
        "maxItems": REFUSED_MAX,
        "description": "Services whose new state the reader refused",
    });
    let properties = json!({
        "stream": id,
        "revision": count("The newest that is in effect"),
        "refused": refused,
        "draining": draining(),
    });
    object(properties, &["stream", "revision"])
}

fn draining() -> Value {
    let count = json!({
        "service": count("Id of its service"),
        "instance": text("Its id"),
        "in_flight": count("Requests that are with it"),
        "finished": count("Requests that have ended since it was first seen draining"),
    });
    let mut list = array(object(
        count,
        &["service", "instance", "in_flight", "finished"],
    ));
    list["maxItems"] = DRAINING_MAX.into();
    list["description"] = "Draining instances. Of one that is left out nothing is known, so it drains for its whole time. Only for a stream with X-Catalog-Draining".into();
    list
}

fn pending() -> Value {
    let gateway = json!({
        "gateway": text("Its name"),
        "revision": { "type": ["integer", "null"], "minimum": 0, "description": "What is in effect there; null = it has not said" },
        "refused": { "type": "boolean", "description": "It has seen the write, and refused the new state of the service" },
    });
    let mut missing = array(object(gateway, &["gateway", "revision", "refused"]));
    missing["maxItems"] = NAMED_MAX.into();
    let properties = json!({
        "revision": count("Of the catalog with the write"),
        "detail": text("What is waited for"),
        "missing_count": count("Gateways in which it is not in effect"),
        "missing": missing,
    });
    object(
        properties,
        &["revision", "detail", "missing_count", "missing"],
    )
}
