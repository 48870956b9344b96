//! Instances that are taken out, at once or slowly.

use serde_json::{Map, Value, json};

use super::{
    operation::Operation,
    parameters::{header, id, if_match, instance, query},
    paths::{MISMATCH, STORE_DOWN, WRONG},
    reference,
    schemas::{array, count, object, text},
};
use crate::drain::NAMED_MAX;

pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("DrainReport".to_owned(), report());
    all
}

/// `DELETE /services/{id}/instances/{instance}`.
pub(super) fn delete_instance() -> Operation {
    Operation::new(
        "instances",
        "deleteInstance",
        "Take an instance out, at once or slowly",
    )
    .describe("With drain the answer comes when the drain is over, and says what became of the requests; line breaks before it keep the connection alive. The drain goes on when the client leaves.")
    .guarded()
    .parameters([
        id("web"),
        instance("a"),
        query(
            "drain",
            "It gets nothing new, and is taken out when every connected gateway and catalog says that it has no requests with it any more, or after this time, 1ms to 10m",
            "30s",
        ),
        header(
            "prefer",
            "respond-async: the answer to drain comes at once, as 202 with the instance",
            "respond-async",
        ),
        if_match(),
    ])
    .waits()
    .answer(200, "The drain is over", "DrainReport")
    .answer_of(
        202,
        "It drains; or, with wait=applied, it does but not at every connected gateway",
        draining_or_pending(),
    )
    .answer_of(204, "It is gone", json!({}))
    .problem(400, WRONG)
    .problem(404, "There is no such service or instance")
    .problem(412, MISMATCH)
    .problem(503, STORE_DOWN)
}

/// What a drain answers that is not waited for, whose status is 202 in any case.
fn draining_or_pending() -> Value {
    let either = json!({ "oneOf": [reference("Instance"), reference("Pending")] });
    json!({ "application/json": { "schema": either } })
}

fn report() -> Value {
    let outcome = json!({
        "type": "string",
        "enum": ["finished", "time_over", "deleted", "kept", "interrupted"],
        "description": "finished: nobody had requests with it any more. time_over: its time was over. deleted: somebody took it or its service out. kept: somebody registered it with something changed. interrupted: the catalog stops, the drain goes on",
    });
    let who = json!({
        "name": text("A gateway or catalog"),
        "in_flight": { "type": ["integer", "null"], "minimum": 0, "description": "Requests with it when it was heard of last; null = it has not said" },
    });
    let mut unknown = array(object(who, &["name", "in_flight"]));
    unknown["maxItems"] = NAMED_MAX.into();
    let properties = json!({
        "instance": text("Its id"),
        "outcome": outcome,
        "finished": count("Requests that ended while it drained"),
        "cut": count("Requests that were still with it when it was taken out"),
        "unknown_count": count("Gateways and catalogs of which it is not known whether they have requests with it"),
        "unknown": unknown,
        "onlookers": count("Readers of the watch stream that send no receipts and are no observers"),
        "seconds": { "type": "number", "minimum": 0, "description": "How long it drained" },
        "revision": { "type": ["integer", "null"], "minimum": 0, "description": "Of the service afterwards" },
    });
    let required = [
        "instance",
        "outcome",
        "finished",
        "cut",
        "unknown_count",
        "unknown",
        "onlookers",
        "seconds",
        "revision",
    ];
    object(properties, &required)
}
