//! Discovery: its operation and its report.

use serde_json::{Map, Value, json};

use super::{
    operation::Operation,
    reference,
    schemas::{array, count, object, source, text, time},
};

pub(super) fn operation() -> Operation {
    Operation::new("instances", "discover", "Discovery now, and what it found")
        .describe("Resolves every name and looks at the file, as happens by itself all the time, and reports each source. Who asks while somebody else does gets the same report, and none is made within a second of another. Needs no token: it does nothing that would not be done within seconds anyway.")
        .answer(200, "The report; a source that fails is part of it", "DiscoveryReport")
        .problem(400, "There are no parameters")
        .problem(503, "It took too long, mostly because the store cannot be written; see Retry-After")
}

pub(super) fn schemas() -> Map<String, Value> {
    [
        ("DiscoveryReport".to_owned(), report()),
        ("DiscoverySource".to_owned(), source_report()),
    ]
    .into_iter()
    .collect()
}

fn report() -> Value {
    let properties = json!({
        "checked_at": time(),
        "revision": count("Of the catalog, with all that was done"),
        "sources": array(reference("DiscoverySource")),
    });
    object(properties, &["checked_at", "revision", "sources"])
}

fn source_report() -> Value {
    let ids = |description: &str| array(text(description));
    let properties = json!({
        "source": source("Names that are resolved, or the file"),
        "service": text("Whose instances; left out = the file as a whole"),
        "status": { "type": "string", "enum": ["ok", "failing"] },
        "problems": array(text("Why it is not as it should be")),
        "found": array(text("An address that it has, or may still have")),
        "added": ids("Id of an instance that is new"),
        "removed": ids("Id of an instance that is gone"),
        "leaving": ids("Id of an instance that this catalog does not find, but another one has found within the last 6 s"),
        "registered": array(text("An address it has that somebody else put into the catalog")),
    });
    let every = [
        "source",
        "status",
        "problems",
        "found",
        "added",
        "removed",
        "leaving",
        "registered",
    ];
    object(properties, &every)
}
