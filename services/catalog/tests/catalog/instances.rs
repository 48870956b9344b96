//! Registering and taking out instances.

use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::Harness;

const INSTANCE: &str = "/services/service-api/instances/a";

#[tokio::test]
async fn register_change_and_take_out() {
    let catalog = Harness::start().await;
    let spec =
        json!({"address": "127.0.0.1:7001", "weight": 5, "zone": "z", "metadata": {"k": "v"}});
    let created = catalog.put(INSTANCE, spec.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.header("location"), "/services/1/instances/a");
    let instance = created.json();
    for (key, value) in [
        ("id", json!("a")),
        ("weight", json!(5)),
        ("status", json!("passing")),
    ] {
        assert_eq!(instance[key], value);
    }
    let service = catalog.get("/services/1").await;
    assert_eq!(service.json()["instances"][0], instance);
    assert_eq!(service.header("etag"), created.header("etag"));

    let again = catalog.put("/services/1/instances/a", spec).await;
    assert_eq!(
        (again.status, again.header("etag")),
        (StatusCode::OK, created.header("etag"))
    );
    let moved = catalog
        .put(INSTANCE, json!({"address": "127.0.0.1:7002"}))
        .await;
    assert_eq!(moved.status, StatusCode::OK);
    assert_ne!(moved.header("etag"), created.header("etag"));

    assert_eq!(
        catalog.delete(INSTANCE).await.status,
        StatusCode::NO_CONTENT
    );
    assert!(
        catalog
            .delete(INSTANCE)
            .await
            .problem(404)
            .contains("no instance a")
    );
    catalog
        .put(
            "/services/nobody/instances/a",
            json!({"address": "127.0.0.1:1"}),
        )
        .await
        .problem(404);
    catalog
        .delete("/services/nobody/instances/a")
        .await
        .problem(404);
}

#[tokio::test]
async fn preconditions_are_about_the_instance_and_its_services_revision() {
    let catalog = Harness::start().await;
    let put = |port: u16, condition: &'static str, value: &str| {
        let body = json!({"address": format!("127.0.0.1:{port}"), "ttl": "60s"});
        catalog
            .write(Method::PUT, INSTANCE)
            .json(&body)
            .header(condition, value)
            .send()
    };
    put(1, "if-match", "*").await.problem(412);
    let created = put(1, "if-none-match", "*").await;
    assert_eq!(created.status, StatusCode::CREATED);
    put(1, "if-none-match", "*").await.problem(412);
    put(1, "if-match", "\"0\"").await.problem(412);
    assert_eq!(put(1, "if-match", "*").await.status, StatusCode::OK);
    assert_eq!(
        put(2, "if-match", created.header("etag")).await.status,
        StatusCode::OK
    );
    put(3, "if-match", created.header("etag"))
        .await
        .problem(412);
    let delete = catalog
        .write(Method::DELETE, INSTANCE)
        .header("if-match", created.header("etag"));
    delete.send().await.problem(412);
}

#[tokio::test]
async fn a_service_takes_its_instances_along() {
    let catalog = Harness::start().await;
    catalog.put_service("alpha").await;
    let instance = json!({"address": "127.0.0.1:7001", "ttl": "60s"});
    catalog
        .put("/services/alpha/instances/a", instance.clone())
        .await;
    catalog.delete("/services/alpha").await;
    catalog
        .put("/services/alpha/instances/a", instance.clone())
        .await
        .problem(404);
    let reborn = catalog.put_service("alpha").await;
    assert_eq!(reborn.json()["instances"], json!([]));
    let registered = catalog.put("/services/alpha/instances/a", instance).await;
    assert_eq!(registered.status, StatusCode::CREATED);
}
