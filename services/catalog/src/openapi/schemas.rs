//! Schemas of services and instances.
//!
//! What is sent is closed: the catalog refuses fields it does not know. What is answered is open only where a policy is, which
//! newer releases add rules to.

use catalog_api::{
    Source, Status,
    label::{
        DESCRIPTION_BYTES_MAX, LABEL_BYTES_MAX, METADATA_ENTRIES_MAX, METADATA_VALUE_BYTES_MAX,
        TAGS_MAX,
    },
    name::{INSTANCE_ID_BYTES_MAX, RESERVED, SERVICE_NAME_BYTES_MAX},
    number::COUNT_MAX,
    route::{HEADER_CONDITIONS_MAX, ROUTES_MAX},
};
use serde_json::{Map, Value, json};

use super::reference;

/// An object with these properties and no others. The names of those that are always there follow.
pub(super) fn object(properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A list of one kind of thing.
pub(super) fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// Text, explained.
pub(super) fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// A whole number from 0, explained.
pub(super) fn count(description: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": description })
}

pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, schema: Value| {
        all.insert(name.to_owned(), schema);
    };
    add("ServiceSpec", service_spec());
    add("Service", service());
    add("ServiceList", service_list());
    add("InstanceSpec", instance_spec());
    add("Instance", instance());
    add("Status", status());
    add("Route", route());
    add("Policy", policy());
    add("Metadata", metadata());
    add("Problem", problem());
    all
}

/// What an owner declares; the service as answered has the same and more.
fn declared() -> Value {
    json!({
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": SERVICE_NAME_BYTES_MAX,
            "description": format!("Unique; a DNS label in lower case, not a number and none of {}", RESERVED.join(", ")),
        },
        "description": { "type": "string", "maxLength": DESCRIPTION_BYTES_MAX },
        "version": { "type": "string", "maxLength": LABEL_BYTES_MAX, "description": "Not interpreted" },
        "tags": {
            "type": "array",
            "items": { "type": "string", "minLength": 1, "maxLength": LABEL_BYTES_MAX },
            "maxItems": TAGS_MAX,
        },
        "metadata": reference("Metadata"),
        "min_instances": {
            "type": "integer", "minimum": 0, "maximum": COUNT_MAX,
            "description": "Passing instances below which its health counts as breached",
        },
        "routes": { "type": "array", "items": reference("Route"), "maxItems": ROUTES_MAX },
        "policy": reference("Policy"),
    })
}

fn service_spec() -> Value {
    let mut schema = object(declared(), &["name"]);
    schema["description"] =
        "What an owner declares about a service. Everything but the name has a default.".into();
    schema
}

fn service() -> Value {
    let mut properties = declared();
    properties["id"] = count("Stable; never given again");
    properties["revision"] = count("Of the last write that changed it");
    properties["created_at"] = time();
    properties["updated_at"] = time();
    properties["source"] = source("What declared it; left out = its owner did");
    properties["instances"] = array(reference("Instance"));
    let every = [
        "id",
        "name",
        "description",
        "version",
        "tags",
        "metadata",
        "min_instances",
        "routes",
        "policy",
        "revision",
        "created_at",
        "updated_at",
        "instances",
    ];
    object(properties, &every)
}

fn service_list() -> Value {
    let properties = json!({
        "services": array(reference("Service")),
        "revision": count("Of the newest write that is part of it"),
        "next_cursor": text("Where the next page begins; missing on the last one"),
    });
    object(properties, &["services", "revision"])
}

fn registered() -> Value {
    json!({
        "address": text("host:port; IPv6 in brackets"),
        "ttl": text("How long the lease lasts without a renewal; left out = it stays until it is deleted"),
        "weight": { "type": "integer", "minimum": 1, "maximum": COUNT_MAX, "description": "Share of the traffic" },
        "zone": { "type": "string", "minLength": 1, "maxLength": LABEL_BYTES_MAX, "description": "Failure domain" },
        "metadata": reference("Metadata"),
    })
}

fn instance_spec() -> Value {
    object(registered(), &["address"])
}

fn instance() -> Value {
    let mut properties = registered();
    properties["id"] =
        json!({ "type": "string", "minLength": 1, "maxLength": INSTANCE_ID_BYTES_MAX });
    properties["status"] = reference("Status");
    properties["source"] = source("What found it; left out = it was registered");
    object(
        properties,
        &["id", "address", "weight", "metadata", "status"],
    )
}

fn status() -> Value {
    json!({
        "type": "string",
        "enum": Status::ALL.map(Status::as_str),
        "description": "passing: gets requests. suspect: its lease ran out, but it answered. critical: was discovered and does not answer. draining: finishes what it has",
    })
}

pub(super) fn source(description: &str) -> Value {
    json!({ "type": "string", "enum": Source::ALL.map(Source::as_str), "description": description })
}

fn route() -> Value {
    let properties = json!({
        "host": text("example.org, or *.example.org for every name below it; left out = any"),
        "path_prefix": text("In whole segments, kept with its final slash: /api/ matches /api and /api/x"),
        "path": text("One whole path, in place of path_prefix; its final slash counts"),
        "strip_prefix": { "type": "boolean", "description": "Whether the prefix is taken off" },
        "rewrite": text("What takes the place of the prefix, or of the whole path"),
        "redirect": redirect(),
        "methods": {
            "type": "array",
            "items": { "type": "string", "enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] },
            "description": "Left out = any",
        },
        "headers": {
            "type": "object",
            "additionalProperties": { "type": "string" },
            "maxProperties": HEADER_CONDITIONS_MAX,
            "description": "Fields that must be there with just this value",
        },
    });
    object(properties, &[])
}

fn redirect() -> Value {
    let properties = json!({
        "to": text("A path on the same host, such as /new/, or a URL without query, such as https://example.org/new/"),
        "status": { "type": "integer", "enum": [301, 302, 303, 307, 308], "description": "308 when left out" },
        "keep_rest": { "type": "boolean", "description": "Whether what follows the prefix is appended, and the query" },
    });
    let mut schema = object(properties, &["to"]);
    schema["description"] =
        "Answers with another place to ask, and the service gets nothing".into();
    schema
}

fn policy() -> Value {
    let part = |properties: Value| json!({ "type": "object", "properties": properties, "additionalProperties": true });
    part(json!({
        "balance": { "description": "How the gateway chooses an instance, such as \"least_request\" or \"round_robin\"" },
        "health": part(json!({
            "kind": { "type": "string", "enum": ["http", "tcp"] },
            "path": text("What is asked; 2xx and 3xx pass"),
            "interval": text("Time between two checks"),
            "timeout": text("How long one check may take"),
            "healthy_after": count("Successes in a row until it gets traffic"),
            "unhealthy_after": count("Failures in a row until it gets none"),
        })),
        "timeouts": part(json!({
            "connect": text("Opening a connection"),
            "read": text("Longest silence of an instance that has the whole request; with h2, from its head on"),
            "write": text("Longest wait for an instance to take more of the request; 30s is not written out; not with h2"),
            "total": text("The whole exchange with all its attempts"),
        })),
        "retry": part(json!({
            "attempts": count("In all; 1 = no retry"),
            "budget_percent": count("Retries as a share of requests"),
        })),
        "protocol": {
            "type": "string", "enum": ["http1", "h2"],
            "description": "What the instances speak: HTTP/1.1 (the default, not written out), or HTTP/2 without TLS, which gRPC needs",
        },
        "call": {
            "type": "string", "enum": ["open", "token", "off"],
            "description": "Who may use /services/call: everyone (the default, not written out), whoever has the token, nobody",
        },
        "cache": part(json!({
            "default_ttl": text("How long an answer is fresh that does not say so itself; left out = it is not kept"),
            "stale_while_revalidate": text("How long after that it may be given while a new one is fetched"),
            "stale_if_error": text("How long after that it may be given in place of an error"),
            "max_object_bytes": count("Longest body that is kept"),
        })),
        "limits": part(json!({
            "body_bytes": count("Longest content of a request; 64 MiB when left out"),
            "concurrency": count("Most requests at once; left out = no limit"),
            "rate": part(json!({
                "requests": count("How many requests of one client come back in each time"),
                "per": text("That time"),
                "burst": count("How many a client that was quiet has at once; as many as requests when left out"),
                "by": { "description": "What tells clients apart: \"client_address\" (left out), {\"header\": name} or \"route\"" },
            })),
        })),
        "breaker": part(json!({
            "error_percent": count("Share of failed requests from which the service is left alone"),
            "window": text("Over which time"),
            "requests_min": count("Fewest requests for a verdict"),
            "open": text("How long it is left alone"),
            "probes": count("How many requests have to succeed afterwards"),
        })),
        "ejection": part(json!({
            "failures": count("Failures in a row after which an instance is left alone"),
            "time": text("For how long the first time"),
            "time_max": text("For how long at most"),
            "percent_max": count("Largest share of instances that is left alone at once"),
        })),
        "panic_percent": count("Share of healthy instances below which the unhealthy ones get requests, too; 50 is not written out"),
    }))
}

fn metadata() -> Value {
    json!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": METADATA_VALUE_BYTES_MAX },
        "maxProperties": METADATA_ENTRIES_MAX,
        "description": "Owner's own entries. Not interpreted",
    })
}

fn problem() -> Value {
    let properties = json!({
        "type": text("urn:problem:<what>, which does not change"),
        "title": text("The same in words"),
        "status": count("Status of the answer"),
        "detail": text("What happened this time, and what to do"),
        "instance": text("Id of the request; logs have it too"),
    });
    let mut schema = object(properties, &["type", "title", "status"]);
    // Some have members of their own, such as the limit that was exceeded.
    schema["additionalProperties"] = true.into();
    schema["description"] = "RFC 9457".into();
    schema
}

/// A point in time.
pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}
