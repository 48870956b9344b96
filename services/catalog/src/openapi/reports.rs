//! Schemas of what the catalog tells about health, calls and itself.

use serde_json::{Map, Value, json};

use super::{
    reference,
    schemas::{array, count, object, text, time},
};

pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, schema: Value| {
        all.insert(name.to_owned(), schema);
    };
    add("HealthReport", health_report());
    add("ServiceHealth", service_health());
    add("Verdict", verdict());
    add("Scope", scope());
    add("CallLog", call_log());
    add("Statistics", statistics());
    add("Windows", windows());
    add("WindowSum", window_sum());
    add("Information", information());
    add("Condition", condition());
    add("Readiness", readiness());
    all
}

fn number(description: &str) -> Value {
    json!({ "type": "number", "minimum": 0, "description": description })
}

fn verdict() -> Value {
    json!({
        "type": "string",
        "enum": ["ok", "degraded", "failing"],
        "description": "degraded: enough instances answer, but not all. failing: fewer than min_instances answer, or none of those there are",
    })
}

fn health_report() -> Value {
    let properties = json!({
        "status": reference("Verdict"),
        "revision": count("Of the catalog whose instances were asked"),
        "services": array(reference("ServiceHealth")),
    });
    object(properties, &["status", "revision", "services"])
}

fn service_health() -> Value {
    let instance = json!({
        "id": text("Id of the instance"),
        "address": text("Where it was asked"),
        "status": reference("Status"),
        "health": { "type": "string", "enum": ["healthy", "unhealthy", "unknown"], "description": "unknown: its turn did not come in time" },
        "latency_ms": number("How long a healthy one took"),
        "reason": text("Why it is not healthy"),
    });
    let properties = json!({
        "id": count("Id of the service"),
        "name": text("Name of the service"),
        "status": reference("Verdict"),
        "revision": count("Of the service whose instances were asked"),
        "checked_at": time(),
        "min_instances": count("How many it needs"),
        "healthy": count("How many answered and may get requests"),
        "breached": { "type": "boolean", "description": "Those are fewer than it needs" },
        "instances": array(object(instance, &["id", "address", "status", "health"])),
    });
    let every = [
        "id",
        "name",
        "status",
        "revision",
        "checked_at",
        "min_instances",
        "healthy",
        "breached",
        "instances",
    ];
    object(properties, &every)
}

fn call_log() -> Value {
    let call = json!({
        "at": time(),
        "request_id": text("Id of the request"),
        "service_id": count("Whom it was for"),
        "service": text("The name it had"),
        "method": text("Method"),
        "endpoint": text("Path at the instance, as a template"),
        "status": { "type": ["integer", "null"], "description": "What the caller got, or will get; null when there was none" },
        "instance": text("The last instance that was tried"),
        "attempts": count("How many were tried"),
        "latency_ms": number("Until the header of the answer"),
        "duration_ms": number("Until the end of its body"),
        "bytes_in": count("Of the request's body"),
        "bytes_out": count("Of the body of the instance's answer"),
        "ended": { "type": "string", "enum": ["complete", "cut", "left", "abandoned"], "description": "cut: the instance broke off. left: the caller did, or the answer was too long to be kept for him. abandoned: nobody waited, and the catalog that carried it out died or stopped" },
        "cache": { "type": "string", "enum": ["hit", "miss"], "description": "Whether a kept answer was found; missing when none was looked for" },
        "run": count("Of a call that is answered later: how often it was begun, 0 when it never was; missing for any other"),
    });
    let every = [
        "at",
        "request_id",
        "service_id",
        "service",
        "method",
        "endpoint",
        "status",
        "attempts",
        "latency_ms",
        "duration_ms",
        "bytes_in",
        "bytes_out",
        "ended",
    ];
    let properties = json!({ "scope": reference("Scope"), "calls": array(object(call, &every)) });
    object(properties, &["scope", "calls"])
}

fn scope() -> Value {
    json!({
        "type": "string",
        "enum": ["shared", "process"],
        "description": "shared: calls through all catalogs that share a Redis. process: through this one since it began, because there is no Redis or it is away",
    })
}

fn statistics() -> Value {
    let endpoint = json!({
        "endpoint": text("Path as a template; \"other\" is all that have no place of their own"),
        "1m": reference("WindowSum"),
        "15m": reference("WindowSum"),
        "all": reference("WindowSum"),
    });
    let service = json!({
        "id": count("Id of the service"),
        "name": text("Name of the service"),
        "totals": reference("Windows"),
        "endpoints": array(object(endpoint, &["endpoint", "1m", "15m", "all"])),
    });
    let properties = json!({
        "scope": reference("Scope"),
        "since": time(),
        "totals": reference("Windows"),
        "services": array(object(service, &["id", "name", "totals", "endpoints"])),
    });
    object(properties, &["scope", "since", "totals", "services"])
}

fn windows() -> Value {
    let properties = json!({
        "1m": reference("WindowSum"),
        "15m": reference("WindowSum"),
        "all": reference("WindowSum"),
    });
    let mut schema = object(properties, &["1m", "15m", "all"]);
    schema["description"] =
        "The last minute, the last quarter of an hour, and since the beginning. The first two are longer by up to 10 s; in a shared history the second by up to a minute".into();
    schema
}

fn window_sum() -> Value {
    let latency = json!({
        "type": ["object", "null"],
        "properties": { "p50": number("Median"), "p90": number("90 %"), "p99": number("99 %") },
        "required": ["p50", "p90", "p99"],
        "additionalProperties": false,
        "description": "Until the header of the answer; within 6 %; null without calls",
    });
    let properties = json!({
        "calls": count("Calls that ended"),
        "errors": count("Answered with 5xx, or cut"),
        "bytes_in": count("Of requests' bodies"),
        "bytes_out": count("Of instances' answers' bodies"),
        "cache_hits": count("Calls that were answered with a kept answer"),
        "cache_misses": count("Calls for which a kept answer was looked for in vain"),
        "cache_hit_ratio": { "type": ["number", "null"], "description": "Hits among both, 0 to 1; null when none was looked for" },
        "latency_ms": latency,
    });
    let every = [
        "calls",
        "errors",
        "bytes_in",
        "bytes_out",
        "cache_hits",
        "cache_misses",
        "cache_hit_ratio",
        "latency_ms",
    ];
    object(properties, &every)
}

fn information() -> Value {
    let properties = json!({
        "name": text("service-catalog"),
        "version": text("Of the program"),
        "description": text("What it does"),
        "revision": count("Of the catalog"),
        "links": { "type": "object", "additionalProperties": { "type": "string" } },
    });
    object(
        properties,
        &["name", "version", "description", "revision", "links"],
    )
}

fn condition() -> Value {
    let properties = json!({
        "status": { "type": "string", "enum": ["ok", "starting", "failing", "stopping"] },
        "name": text("service-catalog"),
        "version": text("Of the program"),
        "revision": count("Of the catalog"),
        "services": count("How many there are"),
    });
    object(
        properties,
        &["status", "name", "version", "revision", "services"],
    )
}

fn readiness() -> Value {
    let condition = json!({
        "name": text("What it is about"),
        "ok": { "type": "boolean" },
        "reason": text("Why it does not hold"),
        "gates": { "type": "boolean", "description": "Whether readiness depends on it" },
        "since": time(),
    });
    let properties = json!({
        "status": { "type": "string", "enum": ["ok", "starting", "failing", "stopping"] },
        "conditions": array(object(condition, &["name", "ok", "gates", "since"])),
    });
    object(properties, &["status"])
}
