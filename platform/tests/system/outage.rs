//! Parts that are down.

use serde_json::json;

use crate::support::{
    backend::Backend, eventually, load::Load, registry::Registry, stack::Stack, strict::Strict,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_catalog_the_gateway_goes_on_and_later_catches_up() {
    let mut stack = Stack::start(2).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/api/name", 4);
    load.more(100).await;
    stack.stop_catalog().await;
    eventually("the gateway notices", || async {
        stack
            .admin("/metrics")
            .await
            .1
            .contains("gateway_catalog_connected 0")
    })
    .await;
    load.more(500).await;
    let (status, report) = stack.admin("/readyz?verbose").await;
    assert_eq!(status, 200, "a gateway with a snapshot can serve: {report}");

    stack.restart_catalog().await;
    eventually("the gateway is connected", || async {
        stack
            .admin("/metrics")
            .await
            .1
            .contains("gateway_catalog_connected 1")
    })
    .await;
    let backend = Backend::start("late").await;
    let registry = stack.registry();
    registry
        .put_service("late", json!({"routes": [{"path_prefix": "/late/"}]}))
        .await;
    registry
        .put_instance("late", "a", json!({"address": backend.address.to_string()}))
        .await;
    stack.until_healthy("late", 1).await;
    load.more(100).await;
    load.finish().await.assert_no_failure();
    assert_eq!(
        Strict::new(stack.gateway_address())
            .get("/late/")
            .await
            .unwrap()
            .body,
        "late"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_starts_without_the_catalog_serves_from_its_copy() {
    let mut stack = Stack::start(2).await;
    stack.stop_gateway().await;
    stack.stop_catalog().await;
    stack.start_gateway(&[]).await;
    assert_eq!(stack.admin("/readyz").await.0, 200);
    stack.until_healthy("service-api", 2).await;
    let load = Load::start(stack.gateway_address(), "localhost", "/api/name", 4);
    load.more(200).await;
    load.finish().await.assert_no_failure();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_a_damaged_copy_sets_it_aside_and_asks_the_catalog() {
    let mut stack = Stack::start(1).await;
    stack.stop_gateway().await;
    let copy = stack.folder.path().join("gateway-snapshot.json");
    let whole = std::fs::read(&copy).unwrap();
    std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    stack.start_gateway(&[]).await;
    stack.until_healthy("service-api", 1).await;
    let kept = std::fs::read(stack.folder.path().join("gateway-snapshot.json.corrupt")).unwrap();
    assert_eq!(kept, whole[..whole.len() / 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_without_copy_and_catalog_says_that_it_is_not_ready() {
    let mut stack = Stack::start(1).await;
    stack.stop_gateway().await;
    stack.stop_catalog().await;
    std::fs::remove_file(stack.folder.path().join("gateway-snapshot.json")).unwrap();
    stack.start_gateway(&[]).await;
    let (status, report) = stack.admin("/readyz?verbose").await;
    assert_eq!(status, 503);
    assert!(report.contains("snapshot"), "{report}");
    let answer = Strict::new(stack.gateway_address())
        .get("/api/name")
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (503, Some("application/problem+json"))
    );
    stack.restart_catalog().await;
    stack.until_healthy("service-api", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_restarts_keeps_its_services_and_ids() {
    let mut stack = Stack::start(1).await;
    let registry = stack.registry();
    registry
        .put_service("kept", json!({"description": "to be kept"}))
        .await;
    let before = registry.get("/services/kept").await;
    stack.stop_catalog().await;
    stack.restart_catalog().await;
    assert_eq!(stack.registry().get("/services/kept").await, before);
    assert_eq!(
        stack
            .registry()
            .get(&format!("/services/{}", before["id"]))
            .await["name"],
        "kept"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_restored_from_a_backup_is_followed_even_when_its_revisions_have_caught_up() {
    let mut stack = Stack::start(0).await;
    let database = stack.folder.path().join("catalog.db");
    let backup = stack.folder.path().join("backup.db");
    stack.stop_catalog().await;
    std::fs::copy(&database, &backup).unwrap();
    stack.restart_catalog().await;
    for name in ["lost-1", "lost-2"] {
        stack.registry().put_service(name, json!({})).await;
    }
    eventually("the gateway knows them", || async {
        stack.admin("/routes").await.1.contains("lost-2")
    })
    .await;

    stack.stop_catalog().await;
    for leftover in ["catalog.db-wal", "catalog.db-shm"] {
        // A clean stop leaves none of them.
        let _ = std::fs::remove_file(stack.folder.path().join(leftover));
    }
    std::fs::copy(&backup, &database).unwrap();
    let elsewhere = stack.restart_catalog_elsewhere().await;
    let registry = Registry::new(elsewhere, &stack.token);
    for index in 0..20 {
        registry
            .put_service(&format!("new-{index}"), json!({}))
            .await;
    }
    stack.stop_catalog().await;
    stack.restart_catalog().await;
    eventually("the gateway has what the catalog has", || async {
        let table: serde_json::Value =
            serde_json::from_str(&stack.admin("/routes").await.1).unwrap();
        let known: Vec<String> = table["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|service| service["name"].to_string())
            .collect();
        (0..20).all(|index| known.contains(&format!("\"new-{index}\"")))
            && !known.iter().any(|name| name.contains("lost"))
    })
    .await;
}
