//! A shared database that is not there yet, goes away, and comes back.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    harness::{Harness, eventually},
    servers::{Durability, PostgresServer},
    shared::{becomes, dead, path, probed_by_tcp, start},
};

const UP: &str = "service_catalog_store_up";

async fn condition(catalog: &Harness, name: &str) -> Value {
    let report = catalog.get("/readyz?verbose").await.json();
    let conditions = report["conditions"].as_array().unwrap().clone();
    let found = conditions.into_iter().find(|found| found["name"] == name);
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let mut server = PostgresServer::start(Durability::Durable);
    let url = server.database();
    server.kill();
    let catalog = start(&url).await;
    let early = catalog.get("/services").await;
    early.problem(503);
    assert_eq!(early.header("retry-after"), "1");
    catalog.put_service("alpha").await.problem(503);
    assert_eq!(catalog.get("/livez").await.status, StatusCode::OK);
    assert_eq!(catalog.get("/health").await.json()["status"], "starting");
    let ready = catalog.get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(condition(&catalog, "store").await["ok"], false);

    server.restart();
    catalog.running.begun().await;
    assert_eq!(catalog.get("/readyz").await.status, StatusCode::OK);
    assert_eq!(condition(&catalog, "store").await["ok"], true);
    assert_eq!(
        catalog.get("/services/1").await.json()["name"],
        "service-api"
    );
    assert_eq!(
        catalog.put_service("alpha").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_database_can_be_stopped() {
    let mut server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    server.kill();
    let catalog = start(&url).await;
    let (drained, _) = catalog.stop().await;
    assert!(drained.finished);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn down_and_back() {
    let mut server = PostgresServer::start(Durability::Durable);
    let url = server.database();
    let (one, other) = (start(&url).await, start(&url).await);
    probed_by_tcp(&[&one, &other]).await;
    one.put_service("alpha").await;
    one.put(&path("leased"), dead("1s")).await;
    let forever = json!({"address": "127.0.0.1:9"});
    one.put(&path("forever"), forever.clone()).await;
    becomes(&other, "leased", Some("passing")).await;
    becomes(&other, "forever", Some("passing")).await;
    let mut watch = other.watch("?service=alpha").await;
    watch.next().await;
    server.kill();

    for catalog in [&one, &other] {
        eventually("it has noticed", async || {
            (catalog.metric(UP).await == Some(0.0)).then_some(())
        })
        .await;
        let failed = catalog.put_service("beta").await;
        let detail = failed.problem(503);
        assert!(
            !detail.contains("127.0.0.1"),
            "internal text was sent: {detail}"
        );
        assert_eq!(failed.header("retry-after"), "5");
        // What has no lease is never a renewal: another catalog may have taken it out meanwhile.
        catalog
            .put(&path("forever"), forever.clone())
            .await
            .problem(503);
        // What it knows it goes on to show, and it stays in the rotation.
        assert_eq!(catalog.get("/services/alpha").await.status, StatusCode::OK);
        assert_eq!(catalog.get("/readyz").await.status, StatusCode::OK);
        let store = condition(catalog, "store").await;
        assert!(
            store["reason"].as_str().unwrap().contains("stale since"),
            "{store}"
        );
        assert!(store["since"].as_str().unwrap().ends_with('Z'), "{store}");
    }
    let (kind, _, _) = other.watch("").await.next().await;
    assert_eq!(kind, "snapshot");

    server.restart();
    for catalog in [&one, &other] {
        eventually("it has noticed", async || {
            (catalog.metric(UP).await == Some(1.0)).then_some(())
        })
        .await;
        assert_eq!(condition(catalog, "store").await["ok"], true);
    }
    // No restart, no new stream: what is written at one is heard at the other.
    let spec = json!({"name": "alpha", "description": "back"});
    eventually("writes are taken", async || {
        let put = one.put("/services/alpha", spec.clone()).await;
        (put.status == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(watch.next().await.2["description"], "back");
    assert_eq!(one.revision().await, other.revision().await);
    // Leases run again.
    becomes(&one, "leased", None).await;
    becomes(&other, "leased", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_kills_nobody_who_renewed_during_it() {
    let mut server = PostgresServer::start(Durability::Durable);
    let url = server.database();
    let (one, other) = (start(&url).await, start(&url).await);
    probed_by_tcp(&[&one, &other]).await;
    // Nobody answers there, so whoever takes the lease for expired evicts it at once.
    let spec = dead("2s");
    one.put(&path("a"), spec.clone()).await;
    becomes(&other, "a", Some("passing")).await;
    let renew = async || {
        let renewed = one.put(&path("a"), spec.clone()).await;
        assert_eq!(
            (renewed.status, &renewed.json()["status"]),
            (StatusCode::OK, &json!("passing"))
        );
    };
    server.kill();
    // Longer than a lease.
    let down = tokio::time::Instant::now();
    while down.elapsed().as_secs() < 3 {
        renew().await;
    }
    server.restart();
    for catalog in [&one, &other] {
        eventually("it has noticed", async || {
            renew().await;
            (catalog.metric(UP).await == Some(1.0)).then_some(())
        })
        .await;
    }
    let back = tokio::time::Instant::now();
    while back.elapsed().as_secs() < 5 {
        renew().await;
        for catalog in [&one, &other] {
            let status = catalog.status_of("service-api", "a").await;
            assert_eq!(status.as_deref(), Some("passing"));
        }
    }
    becomes(&one, "a", None).await;
}
