//! How services are, found out when somebody asks.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    backend::{Backend, dead_port, register},
    harness::Harness,
};

async fn declare(catalog: &Harness, name: &str, min_instances: u8, health: Value) {
    let spec = json!({"name": name, "min_instances": min_instances, "policy": {"health": health}});
    let answer = catalog.put(&format!("/services/{name}"), spec).await;
    assert!(answer.status.is_success(), "{}", answer.text);
}

/// The report on one service among those on all.
async fn among_all(catalog: &Harness, name: &str) -> Value {
    let report = catalog.get("/services/health").await;
    assert_eq!(report.status, StatusCode::OK);
    assert_eq!(report.header("cache-control"), "no-store");
    let services = report.json()["services"].as_array().unwrap().clone();
    services.into_iter().find(|s| s["name"] == name).unwrap()
}

#[tokio::test]
async fn everyone_is_asked_and_the_worst_shows() {
    let catalog = Harness::start().await;
    let (well, ill) = (Backend::start("well").await, Backend::start("ill").await);
    declare(&catalog, "web", 1, json!({"path": "/ready"})).await;
    register(&catalog, "web", "a", well.port).await;
    let report = catalog.get("/services/health").await.json();
    assert_eq!(report["status"], "ok", "{report}");
    assert_eq!(report["revision"], catalog.revision().await);
    assert_eq!(well.only().target, "/ready");

    declare(&catalog, "web", 2, json!({"path": "/status/503"})).await;
    register(&catalog, "web", "b", dead_port()).await;
    declare(&catalog, "db", 0, json!({"kind": "tcp"})).await;
    register(&catalog, "db", "a", ill.port).await;
    register(&catalog, "db", "b", dead_port()).await;

    let web = among_all(&catalog, "web").await;
    assert_eq!(
        (
            &web["status"],
            &web["healthy"],
            &web["breached"],
            &web["min_instances"]
        ),
        (&json!("failing"), &json!(0), &json!(true), &json!(2))
    );
    let (a, b) = (&web["instances"][0], &web["instances"][1]);
    assert_eq!(
        (&a["health"], &a["reason"], &a["status"]),
        (
            &json!("unhealthy"),
            &json!("answered 503"),
            &json!("passing")
        )
    );
    assert_eq!(b["reason"], "no connection");
    let db = among_all(&catalog, "db").await;
    assert_eq!(
        (&db["status"], &db["breached"]),
        (&json!("degraded"), &json!(false))
    );
    assert!(db["instances"][0]["latency_ms"].as_f64().unwrap() >= 0.0);
    assert_eq!(ill.requests(), 0);
    assert_eq!(
        catalog.get("/services/health").await.json()["status"],
        "failing"
    );

    let one = catalog.get("/services/db/health").await.json();
    assert_eq!((&one["name"], &one["status"]), (&db["name"], &db["status"]));
    // A service without instances that needs none is well.
    assert_eq!(
        catalog.get("/services/1/health").await.json()["status"],
        "ok"
    );
}

#[tokio::test]
async fn many_askers_are_one_question() {
    let catalog = Harness::start().await;
    let backend = Backend::start("a").await;
    declare(&catalog, "web", 1, json!({"path": "/ready"})).await;
    register(&catalog, "web", "a", backend.port).await;
    let asked =
        futures_util::future::join_all((0..50).map(|n| among_or_one(&catalog, n % 2 == 0))).await;
    assert!(asked.into_iter().all(|status| status == "ok"));
    // Fifty at once are one; a second of tests' time can bring another.
    assert!(
        (1..=3).contains(&backend.requests()),
        "{}",
        backend.requests()
    );
    // A change is seen at once, however young the report is.
    let before = backend.requests();
    register(&catalog, "web", "b", dead_port()).await;
    assert_eq!(
        catalog.get("/services/web/health").await.json()["status"],
        "degraded"
    );
    assert_eq!(backend.requests(), before + 1);
}

async fn among_or_one(catalog: &Harness, one: bool) -> Value {
    if one {
        catalog.get("/services/web/health").await.json()["status"].clone()
    } else {
        among_all(catalog, "web").await["status"].clone()
    }
}

#[tokio::test]
async fn silence_does_not_hold_the_answer_up() {
    let catalog = Harness::start().await;
    let silent = Backend::raw(|stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let health = json!({"path": "/", "timeout": "60s"});
    declare(&catalog, "web", 0, health.clone()).await;
    register(&catalog, "web", "a", silent.port).await;
    let answer = catalog.get("/services/web/health");
    let report = tokio::time::timeout(Duration::from_secs(10), answer).await;
    let report = report.unwrap().json();
    assert_eq!(report["status"], "failing");
    assert_eq!(report["instances"][0]["reason"], "no answer within 1s");

    // More than can be asked in time: what is not known is said to be so.
    for n in 0..200 {
        register(&catalog, "web", &format!("i-{n}"), silent.port).await;
    }
    let answer = catalog.get("/services/web/health");
    let report = tokio::time::timeout(Duration::from_secs(10), answer).await;
    let report = report.unwrap().json();
    let instances = report["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 201);
    let unknown = instances
        .iter()
        .filter(|i| i["health"] == "unknown")
        .count();
    assert!(unknown > 0 && unknown < 201, "{unknown}");
}

#[tokio::test]
async fn unknown_services_and_parameters_are_refused() {
    let catalog = Harness::start().await;
    catalog.get("/services/nobody/health").await.problem(404);
    catalog.get("/services/health?x=1").await.problem(400);
    catalog.get("/services/1/health?x=1").await.problem(400);
}
