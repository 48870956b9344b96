//! Instances that leave slowly.

use http::{Method, StatusCode};
use serde_json::json;

use crate::{
    backend::{Backend, register},
    harness::{Answer, Harness, eventually},
};

const SERVICE: &str = "web";

fn path(instance: &str) -> String {
    format!("/services/{SERVICE}/instances/{instance}")
}

async fn drain(catalog: &Harness, instance: &str, time: &str) -> Answer {
    let path = format!("{}?drain={time}", path(instance));
    let call = catalog.write(Method::DELETE, &path);
    call.header("prefer", "respond-async").send().await
}

async fn gone(catalog: &Harness, instance: &str) {
    eventually(&format!("{instance} is gone"), async || {
        let status = catalog.status_of(SERVICE, instance).await;
        status.is_none().then_some(())
    })
    .await;
}

/// A catalog with two instances of `web` that need no lease.
async fn with_two() -> (Harness, Backend, Backend) {
    let catalog = Harness::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    catalog.put_service(SERVICE).await;
    register(&catalog, SERVICE, "a", a.port).await;
    register(&catalog, SERVICE, "b", b.port).await;
    (catalog, a, b)
}

#[tokio::test]
async fn who_drains_gets_nothing_new_and_goes_in_time() {
    let (catalog, a, _b) = with_two().await;
    let mut watch = catalog.watch(&format!("?service={SERVICE}")).await;
    watch.next().await;
    let answer = drain(&catalog, "a", "400ms").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(answer.json()["status"], "draining");
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let (_, revision, service) = watch.next().await;
    assert_eq!(service["instances"][0]["status"], "draining");
    assert_eq!(answer.header("x-catalog-revision"), revision.to_string());
    assert_eq!(answer.header("etag"), format!("\"{revision}\""));
    for _ in 0..10 {
        let call = catalog.get("/services/call/web/x").await;
        assert_eq!(call.json()["instance"], "b");
    }
    assert_eq!(a.requests(), 0);
    let (_, _, service) = watch.next().await;
    assert_eq!(service["instances"].as_array().unwrap().len(), 1);
    drain(&catalog, "a", "400ms").await.problem(404);
}

#[tokio::test]
async fn a_renewal_does_not_end_the_drain_and_another_drain_replaces_it() {
    let (catalog, _a, _b) = with_two().await;
    let leased = json!({"address": "127.0.0.1:7001", "ttl": "60s"});
    catalog.put(&path("c"), leased.clone()).await;
    assert_eq!(
        drain(&catalog, "c", "10m").await.status,
        StatusCode::ACCEPTED
    );
    let renewed = catalog.put(&path("c"), leased).await;
    assert_eq!(
        (renewed.status, &renewed.json()["status"]),
        (StatusCode::OK, &json!("draining"))
    );
    let revision = catalog.revision().await;
    // It drains already, so only its time changes.
    assert_eq!(
        drain(&catalog, "c", "100ms").await.status,
        StatusCode::ACCEPTED
    );
    gone(&catalog, "c").await;
    assert_eq!(catalog.revision().await, revision + 1);
    // In a hurry.
    drain(&catalog, "b", "10m").await;
    assert_eq!(
        catalog.delete(&path("b")).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn whoever_registers_otherwise_stays() {
    let (catalog, _a, b) = with_two().await;
    drain(&catalog, "b", "200ms").await;
    let moved = json!({"address": format!("127.0.0.1:{}", b.port), "weight": 2});
    let registered = catalog.put(&path("b"), moved).await;
    assert_eq!(registered.json()["status"], "passing");
    // Long after the other's time.
    drain(&catalog, "a", "500ms").await;
    gone(&catalog, "a").await;
    assert_eq!(
        catalog.status_of(SERVICE, "b").await.as_deref(),
        Some("passing")
    );
}

#[tokio::test]
async fn a_restarted_catalog_goes_on_draining() {
    let (catalog, _a, _b) = with_two().await;
    drain(&catalog, "a", "10m").await;
    let catalog = catalog.restart().await;
    assert_eq!(
        catalog.status_of(SERVICE, "a").await.as_deref(),
        Some("draining")
    );
    assert_eq!(
        drain(&catalog, "a", "50ms").await.status,
        StatusCode::ACCEPTED
    );
    gone(&catalog, "a").await;
}

#[tokio::test]
async fn wrong_drains_are_refused() {
    let (catalog, _a, _b) = with_two().await;
    for time in ["0s", "11m", "soon", "", "30"] {
        let detail = drain(&catalog, "a", time).await.problem(400);
        assert!(detail.contains("1ms to 10m"), "{time}: {detail}");
    }
    drain(&catalog, "nobody", "1s").await.problem(404);
    let unknown = catalog
        .delete("/services/nobody/instances/a?drain=1s")
        .await;
    unknown.problem(404);
    let anyone = catalog.call(Method::DELETE, &format!("{}?drain=1s", path("a")));
    anyone.send().await.problem(401);
    let conditional = catalog
        .write(Method::DELETE, &format!("{}?drain=1s", path("a")))
        .header("if-match", "\"1\"")
        .send()
        .await;
    assert!(conditional.problem(400).contains("if-match"));
    assert_eq!(
        catalog.status_of(SERVICE, "a").await.as_deref(),
        Some("passing")
    );
}
