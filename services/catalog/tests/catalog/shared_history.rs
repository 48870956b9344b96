//! Several catalogs on one Redis: one log, one set of sums, and calls that go on without it.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    backend::{Backend, register},
    harness::{Harness, eventually},
    servers::RedisServer,
};

/// A catalog with a backend as service `web`.
async fn start(server: &RedisServer, backend: &Backend) -> Harness {
    let url = server.url().parse().unwrap();
    let catalog = Harness::start_with(|config| config.redis = Some(url)).await;
    catalog.until_redis_connected(1.0).await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", backend.port).await;
    catalog
}

async fn call(catalog: &Harness, path: &str) {
    let answer = catalog.get(&format!("/services/call/web/{path}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

/// Waits until a catalog shows so many calls, of all catalogs or of its own.
async fn shows(catalog: &Harness, scope: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} calls, {scope}"), async || {
        let log = catalog.get("/services/logs").await.json();
        let calls = log["calls"].as_array().unwrap().clone();
        let statistics = catalog.get("/services/stats").await.json();
        let counted = statistics["totals"]["all"]["calls"] == count;
        let scoped = log["scope"] == scope && statistics["scope"] == scope;
        (calls.len() == count && counted && scoped).then_some(calls)
    })
    .await
}

#[tokio::test]
async fn catalogs_show_the_same_history() {
    let server = RedisServer::start();
    let backend = Backend::start("a").await;
    let catalogs = [
        start(&server, &backend).await,
        start(&server, &backend).await,
    ];
    for (path, catalog) in ["one", "two", "three"].iter().zip(catalogs.iter().cycle()) {
        call(catalog, path).await;
        let calls = shows(&catalogs[0], "shared", path_index(path)).await;
        assert_eq!(calls[0]["endpoint"], format!("/{path}"), "newest first");
    }
    let shown = shows(&catalogs[0], "shared", 3).await;
    assert_eq!(shown, shows(&catalogs[1], "shared", 3).await);
    let sums: Vec<Value> = [
        catalogs[0].get("/services/stats").await.json(),
        catalogs[1].get("/services/stats").await.json(),
    ]
    .into();
    assert_eq!(sums[0], sums[1]);
    let totals = &sums[0]["totals"];
    assert_eq!(
        (&totals["1m"], &totals["15m"]),
        (&totals["all"], &totals["all"])
    );
    assert!(totals["all"]["latency_ms"]["p99"].as_f64().unwrap() > 0.0);
    assert_eq!(sums[0]["services"][0]["name"], "web");
    assert_eq!(
        catalogs[1].metric("service_catalog_redis_configured").await,
        Some(1.0)
    );

    // What was taken down at the last moment is not lost with its catalog.
    let [first, second] = catalogs;
    call(&first, "last").await;
    let (drained, _) = first.stop().await;
    assert!(drained.finished);
    shows(&second, "shared", 4).await;
}

fn path_index(path: &str) -> usize {
    ["one", "two", "three"]
        .iter()
        .position(|name| *name == path)
        .unwrap()
        + 1
}

#[tokio::test]
async fn calls_go_on_without_redis_and_are_in_the_log_when_it_is_back() {
    let mut server = RedisServer::start();
    let backend = Backend::start("a").await;
    let catalogs = [
        start(&server, &backend).await,
        start(&server, &backend).await,
    ];
    server.kill();
    for catalog in &catalogs {
        call(catalog, "during").await;
        catalog.until_redis_connected(0.0).await;
        call(catalog, "during").await;
        // Each tells what it knows itself.
        shows(catalog, "process", 2).await;
        let ready = catalog.get("/readyz?verbose").await;
        assert_eq!(ready.status, StatusCode::OK);
        assert!(ready.text.contains("Redis is away"), "{}", ready.text);
        assert_eq!(catalog.put_service("new").await.status.as_u16() / 100, 2);
    }
    server.restart();
    for catalog in &catalogs {
        catalog.until_redis_connected(1.0).await;
        shows(catalog, "shared", 4).await;
        let left_out = catalog
            .metric("service_catalog_history_left_out_total")
            .await;
        assert_eq!(left_out, Some(0.0));
    }
}

#[tokio::test]
async fn a_catalog_begins_while_redis_is_away() {
    let mut server = RedisServer::start();
    server.kill();
    let url = server.url().parse().unwrap();
    let backend = Backend::start("a").await;
    let catalog = Harness::start_with(|config| config.redis = Some(url)).await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", backend.port).await;
    assert_eq!(
        catalog.metric("service_catalog_redis_connected").await,
        Some(0.0)
    );
    call(&catalog, "early").await;
    server.restart();
    let calls = shows(&catalog, "shared", 1).await;
    assert_eq!(calls[0]["endpoint"], json!("/early"));
}

#[tokio::test]
async fn without_redis_the_metrics_say_so() {
    let catalog = Harness::start().await;
    for series in [
        "service_catalog_redis_connected",
        "service_catalog_redis_configured",
    ] {
        assert_eq!(catalog.metric(series).await, Some(0.0), "{series}");
    }
}
