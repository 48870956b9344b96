//! Every path with its operations.

use catalog_api::Status;
use serde_json::{Map, Value, json};

use super::{
    calls, discovery, draining,
    operation::Operation,
    parameters::{header, id, if_match, if_none_match, instance, path, query, query_of},
    receipts,
};

pub(super) const UNKNOWN: &str = "There is no such service";
pub(super) const WRONG: &str =
    "A parameter or the body is not right; the detail says what is allowed";
pub(super) const MISMATCH: &str = "The condition does not hold";
pub(super) const STORE_DOWN: &str = "The store cannot write at the moment; see Retry-After";

pub(super) fn all() -> Map<String, Value> {
    let mut paths = Map::new();
    let mut add = |path: &str, method: &str, operation: Operation| {
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation.build();
    };
    add("/", "get", information());
    for (path, operation) in operations() {
        add(path, "get", operation);
    }
    add("/services", "get", list());
    add("/services", "post", create());
    add("/services/watch", "get", watch());
    add(catalog_api::RECEIPTS_PATH, "post", receipts::send());
    add("/services/health", "get", services_health());
    add("/services/{id}/health", "get", service_health());
    add("/services/discover", "get", discovery::operation());
    add("/services/{id}", "get", read());
    add("/services/{id}", "put", put());
    add("/services/{id}", "delete", delete());
    const INSTANCE: &str = "/services/{id}/instances/{instance}";
    add(INSTANCE, "put", put_instance());
    add(INSTANCE, "delete", draining::delete_instance());
    for (path, method, operation) in calls::operations() {
        add(path, method, operation);
    }
    paths
}

// === what there is ===

fn list() -> Operation {
    let status = json!({ "type": "string", "enum": Status::ALL.map(Status::as_str) });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
    Operation::new("services", "listServices", "All services, or some of them")
        .describe("Conditions are combined with and. The answer's ETag is the catalog's revision.")
        .parameters([
            query("tag", "Has this tag", "demo"),
            query_of(
                "status",
                "Has an instance of this status",
                status,
                "passing".into(),
            ),
            query(
                "name",
                "Has this name, or with * at its end a name that begins so",
                "service-*",
            ),
            query_of("limit", "Most services on one page", limit, 10.into()),
            query("cursor", "The next_cursor of the page before", "after-1"),
            if_none_match(),
        ])
        .answer(200, "The services in the order of their ids", "ServiceList")
        .header(200, "ETag", "Revision of the catalog")
        .answer_of(304, "The client has it already", json!({}))
        .problem(400, WRONG)
}

fn create() -> Operation {
    let example = json!({
        "name": "web", "description": "The shop", "version": "1.4.2", "tags": ["demo"], "metadata": {"team": "core"},
        "min_instances": 1,
        "routes": [{ "host": "*.example.org", "path_prefix": "/shop/", "strip_prefix": true, "methods": ["GET"], "headers": {"x-beta": "1"} }],
        "policy": {
            "health": { "kind": "http", "path": "/health", "interval": "2s", "timeout": "1s", "healthy_after": 1, "unhealthy_after": 2 },
            "timeouts": { "connect": "1s", "read": "30s", "total": "60s" },
            "retry": { "attempts": 3, "budget_percent": 20 },
            "call": "open",
            "cache": { "default_ttl": "10s", "stale_while_revalidate": "30s", "stale_if_error": "5m", "max_object_bytes": 1048576 },
        },
    });
    Operation::new("services", "createService", "A new service")
        .guarded()
        .waits()
        .body("ServiceSpec", &example)
        .answer(201, "It is created", "Service")
        .header(201, "Location", "Where it is")
        .header(201, "ETag", "Its revision")
        .header(201, "X-Catalog-Revision", "Revision of the catalog with it")
        .or_pending()
        .problem(400, WRONG)
        .problem(409, "The name is taken, or the catalog is full")
        .problem(503, STORE_DOWN)
}

fn read() -> Operation {
    Operation::new("services", "readService", "One service with its instances")
        .parameters([id("service-api"), if_none_match()])
        .answer(200, "The service", "Service")
        .header(200, "ETag", "Its revision")
        .answer_of(304, "The client has it already", json!({}))
        .problem(400, WRONG)
        .problem(404, UNKNOWN)
}

fn put() -> Operation {
    Operation::new("services", "putService", "A service is to be as declared")
        .describe("An unknown name creates it, an unknown id does not. The same again makes no revision. Instances stay.")
        .guarded()
        .parameters([id("web"), if_match()])
        .waits()
        .body("ServiceSpec", &json!({ "name": "web", "description": "The new shop", "policy": {"call": "token"} }))
        .answer(200, "It is as declared", "Service")
        .header(200, "ETag", "Its revision")
        .header(200, "X-Catalog-Revision", "Revision of the catalog with it")
        .answer(201, "It is created", "Service")
        .or_pending()
        .problem(400, WRONG)
        .problem(404, "There is no service with this integer id")
        .problem(409, "The catalog is full")
        .problem(412, MISMATCH)
        .problem(422, "The name in the body is another one; renaming is not supported")
        .problem(503, STORE_DOWN)
}

fn delete() -> Operation {
    Operation::new(
        "services",
        "deleteService",
        "A service is to be gone, with its instances",
    )
    .guarded()
    .parameters([id("web"), if_match()])
    .waits()
    .or_pending()
    .answer_of(204, "It is gone", json!({}))
    .header(
        204,
        "X-Catalog-Revision",
        "Revision of the catalog without it",
    )
    .problem(400, WRONG)
    .problem(404, UNKNOWN)
    .problem(412, MISMATCH)
    .problem(503, STORE_DOWN)
}

fn watch() -> Operation {
    let resume = header(
        "last-event-id",
        "Continue after this revision; goes before since",
        "1",
    );
    Operation::new("services", "watchServices", "Every change, as it happens")
        .describe("Server-Sent Events; the id is always the revision. snapshot: everything, sent first and after a gap; forget what was before. service: one service, whole. deleted: id, name and revision of a service that is gone. Comments keep the stream alive.")
        .parameters([
            query("since", "Continue after this revision; when that is too long ago, a snapshot comes", "1"),
            query("service", "Only this service, by id or name", "service-api"),
            query_of("observer", "The reader sends no requests to instances, so that drains need not wait for it. Not together with x-catalog-receiver", json!({ "type": "string", "enum": ["true"] }), "true".into()),
            resume,
            receipts::announcement(),
        ])
        .answer_of(200, "A stream without an end", json!({ "text/event-stream": { "schema": { "type": "string" } } }))
        .problem(400, WRONG)
        .problem(503, "Too many streams are open; see Retry-After")
}

// === where it runs ===

fn put_instance() -> Operation {
    let example = json!({ "address": "127.0.0.1:7001", "ttl": "30s", "weight": 1, "zone": "a", "metadata": {} });
    Operation::new("instances", "putInstance", "Register an instance, or renew its lease")
        .describe("The same again renews the lease and makes no revision. A draining instance goes on draining, unless it is registered with something changed.")
        .guarded()
        .parameters([id("web"), instance("a"), if_match()])
        .waits()
        .body("InstanceSpec", &example)
        .answer(200, "It is as declared", "Instance")
        .header(200, "ETag", "Revision of its service")
        .header(200, "X-Catalog-Revision", "Revision of the catalog with it")
        .answer(201, "It is registered", "Instance")
        .header(201, "Location", "Where it is")
        .or_pending()
        .problem(400, WRONG)
        .problem(404, UNKNOWN)
        .problem(409, "The service has as many instances as it can have")
        .problem(412, MISMATCH)
        .problem(503, STORE_DOWN)
}

fn services_health() -> Operation {
    Operation::new("instances", "servicesHealth", "How every service is")
        .describe("Every instance is probed as its service's health check says. There is an answer within about 2 s, and none is older than 1 s. The status is 200 whatever it says.")
        .answer(200, "The report", "HealthReport")
        .problem(400, WRONG)
}

fn service_health() -> Operation {
    Operation::new("instances", "serviceHealth", "How one service is")
        .parameter(id("service-api"))
        .answer(200, "The report", "ServiceHealth")
        .problem(400, WRONG)
        .problem(404, UNKNOWN)
}

// === the catalog itself ===

fn information() -> Operation {
    let content = json!({
        "application/json": { "schema": { "$ref": "#/components/schemas/Information" } },
        "text/html": { "schema": { "type": "string" } },
    });
    Operation::new("operation", "information", "What this is")
        .describe("A browser (Accept with text/html before JSON) gets the console.")
        .answer_of(200, "Name, version and where to go on", content)
}

fn operations() -> [(&'static str, Operation); 8] {
    let plain = json!({ "text/plain": { "schema": { "type": "string" } } });
    let html = json!({ "text/html": { "schema": { "type": "string" } } });
    let json = json!({ "application/json": {} });
    [
        (
            "/health",
            Operation::new("operation", "health", "How the catalog is, for people").answer(
                200,
                "It lives",
                "Condition",
            ),
        ),
        (
            "/livez",
            Operation::new("operation", "live", "Whether it lives").answer_of(
                200,
                "It does",
                plain.clone(),
            ),
        ),
        (
            "/readyz",
            Operation::new("operation", "ready", "Whether it can serve")
                .parameter(query("verbose", "With every condition", ""))
                .answer(200, "It can", "Readiness")
                .answer(503, "It cannot now", "Readiness"),
        ),
        (
            "/metrics",
            Operation::new("operation", "metrics", "Metrics for Prometheus").answer_of(
                200,
                "Text format",
                plain,
            ),
        ),
        (
            "/openapi.json",
            Operation::new("operation", "openapi", "This document").answer_of(
                200,
                "OpenAPI 3.1",
                json,
            ),
        ),
        (
            "/docs",
            Operation::new("operation", "documentation", "This document for people")
                .answer_of(308, "To /docs/", json!({}))
                .answer_of(200, "Swagger UI", html),
        ),
        (
            "/docs/{file}",
            Operation::new(
                "operation",
                "documentationFile",
                "What the page consists of",
            )
            .parameter(path("file", "Name of a file", "index.html"))
            .answer_of(200, "The file", json!({ "*/*": {} }))
            .problem(400, WRONG)
            .problem(404, "There is no such file"),
        ),
        (
            "/console/{file}",
            Operation::new("operation", "consoleFile", "What the console consists of")
                .parameter(path("file", "Name of a file", "console.js"))
                .answer_of(200, "The file", json!({ "*/*": {} }))
                .problem(400, WRONG)
                .problem(404, "There is no such file"),
        ),
    ]
}
