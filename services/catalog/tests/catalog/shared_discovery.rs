//! Several catalogs on one PostgreSQL database that discover the same services and do not see the same.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use service_kit::secret::Secret;

use crate::{
    backend::dead_port,
    harness::{Harness, eventually},
    name_server::{NameServer, says},
    servers::{Durability, PostgresServer},
};

async fn start(url: &str, server: SocketAddr, target: &str) -> Harness {
    Harness::start_with(|config| {
        config.database = Some(url.parse().unwrap());
        config.token = Some(Secret::new("shared".to_owned()));
        config.discovery.targets = vec![target.parse().unwrap()];
        config.discovery.resolver = Some(server);
        config.discovery.interval_max = Duration::from_secs(1);
    })
    .await
}

async fn ids(catalog: &Harness) -> Vec<String> {
    let service = catalog.get("/services/hold").await.json();
    let instances = service["instances"].as_array().cloned().unwrap_or_default();
    let ids = instances
        .iter()
        .map(|found| found["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn have(catalogs: &[&Harness], expected: &[&str]) {
    for catalog in catalogs {
        eventually(&format!("there are {expected:?}"), async || {
            (ids(catalog).await == expected).then_some(())
        })
        .await;
    }
}

async fn statuses(catalog: &Harness) -> Vec<Value> {
    let service = catalog.get("/services/hold").await.json();
    let instances = service["instances"].as_array().unwrap().clone();
    instances
        .iter()
        .map(|found| found["status"].clone())
        .collect()
}

#[tokio::test]
async fn they_find_what_any_of_them_finds_and_do_not_fight() {
    let postgres = PostgresServer::start(Durability::Fast);
    let url = postgres.database();
    let (few, many) = (NameServer::start().await, NameServer::start().await);
    let port = dead_port();
    let target = format!("hold=http://hold.test:{port}");
    few.about("hold.test", says(&["127.0.0.2"], 1));
    many.about("hold.test", says(&["127.0.0.2", "127.0.0.3"], 1));
    let one = start(&url, few.address, &target).await;
    let other = start(&url, many.address, &target).await;
    let [two, three] = ["127.0.0.2", "127.0.0.3"].map(|ip| format!("dns-{ip}-{port}"));
    have(&[&one, &other], &[&two, &three]).await;
    // They are dead, one catalog asks each of them, and then nothing changes any more, whatever each of them sees.
    eventually("both are critical", async || {
        let all = statuses(&one).await;
        all.iter().all(|status| status == "critical").then_some(())
    })
    .await;
    let revision = one.get("/services/hold").await.header("etag").to_owned();
    let asked = few.questions();
    eventually(
        "the one that sees less has looked for longer than a lease",
        async || {
            // Two questions a second, at most.
            (few.questions() > asked + 14).then_some(())
        },
    )
    .await;
    for catalog in [&one, &other] {
        assert_eq!(catalog.get("/services/hold").await.header("etag"), revision);
    }
    let report = one.get("/services/discover").await.json();
    assert_eq!(report["sources"][0]["leaving"], serde_json::json!([three]));

    // Nobody sees it any more: it goes, a lease later. And one of two is enough to keep what there is.
    many.about("hold.test", says(&["127.0.0.2"], 1));
    have(&[&one, &other], &[&two]).await;
    other.stop().await;
    few.about("hold.test", says(&["127.0.0.2", "127.0.0.4"], 1));
    have(&[&one], &[&two, &format!("dns-127.0.0.4-{port}")]).await;
}

#[tokio::test]
async fn what_nobody_looks_for_any_more_goes_with_its_lease() {
    let postgres = PostgresServer::start(Durability::Fast);
    let url = postgres.database();
    let server = NameServer::start().await;
    let alive = crate::backend::Backend::start("alive").await;
    server.about("hold.test", says(&["127.0.0.1"], 1));
    let target = format!("hold=http://hold.test:{}", alive.port);
    let one = start(&url, server.address, &target).await;
    have(&[&one], &[&format!("dns-127.0.0.1-{}", alive.port)]).await;
    one.stop().await;
    // Another catalog with another configuration. It answers, so it gets a second lease's time.
    let other = crate::shared::start(&url).await;
    eventually("it is suspect", async || {
        let all = statuses(&other).await;
        all.iter().any(|status| status == "suspect").then_some(())
    })
    .await;
    have(&[&other], &[]).await;
}
