//! How requests are shared among instances.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Backend, Behaviour, Rig, eventually, get, instance, service, with};

fn weighted(backends: &[(&Backend, u16)], balance: &str) -> Value {
    let instances: Vec<_> = backends
        .iter()
        .map(|(backend, weight)| instance(backend, *weight))
        .collect();
    let service = with(service("hold", &[]), "policy/balance", json!(balance));
    with(service, "instances", json!(instances))
}

async fn counts(rig: &Rig, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        let answer = rig.get("/hold/").await;
        assert_eq!(answer.status(), 200);
        *counts.entry(answer.text()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn round_robin_gives_everyone_exactly_its_weight() {
    let rig = Rig::start().await;
    let (a, b, c) = (
        Backend::start("a").await,
        Backend::start("b").await,
        Backend::start("c").await,
    );
    rig.put(weighted(&[(&a, 1), (&b, 2), (&c, 5)], "round_robin"))
        .await;
    let counts = counts(&rig, 40).await;
    let expected = [("a", 5), ("b", 10), ("c", 25)];
    assert_eq!(
        counts,
        expected
            .map(|(name, count)| (name.to_owned(), count))
            .into()
    );
}

#[tokio::test]
async fn least_request_shares_an_idle_service_by_weight() {
    let rig = Rig::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    rig.put(weighted(&[(&a, 1), (&b, 3)], "least_request"))
        .await;
    let counts = counts(&rig, 400).await;
    // A quarter of 400, six standard deviations wide.
    assert!((48..=152).contains(&counts["a"]), "{counts:?}");
}

#[tokio::test]
async fn random_shares_by_weight() {
    let rig = Rig::start().await;
    let (a, b) = (Backend::start("a").await, Backend::start("b").await);
    rig.put(weighted(&[(&a, 1), (&b, 3)], "random")).await;
    let counts = counts(&rig, 400).await;
    // A quarter of 400, six standard deviations wide.
    assert!((48..=152).contains(&counts["a"]), "{counts:?}");
}

#[tokio::test]
async fn least_request_avoids_whoever_is_busy() {
    let rig = Rig::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let busy = Backend::behaving("busy", Behaviour::Held(Arc::clone(&permits))).await;
    let (free, other) = (Backend::start("free").await, Backend::start("other").await);
    rig.put(weighted(&[(&busy, 1)], "least_request")).await;
    let address = rig.address();
    let waiting: Vec<_> = (0..4)
        .map(|_| tokio::spawn(async move { get(address, "/hold/").await }))
        .collect();
    eventually("four requests are held", async || busy.hits() == 4).await;
    rig.put(weighted(
        &[(&busy, 1), (&free, 1), (&other, 1)],
        "least_request",
    ))
    .await;
    permits.add_permits(1_000);
    for answer in waiting {
        assert_eq!(answer.await.unwrap().text(), "busy");
    }
    let before = busy.hits();
    let _load: Vec<_> = rig
        .endpoints("hold")
        .iter()
        .filter(|endpoint| endpoint.address() == busy.address())
        .flat_map(|endpoint| (0..50).map(|_| endpoint.enter()))
        .collect();
    counts(&rig, 90).await;
    // Only drawing it twice can pick it: 1 in 9, so 10 of 90 on average.
    assert!(busy.hits() - before <= 30, "{}", busy.hits() - before);
}

#[tokio::test]
async fn requests_in_flight_are_seen_while_they_last() {
    let rig = Rig::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("b", Behaviour::Held(Arc::clone(&permits))).await;
    rig.put(service("hold", &[&backend])).await;
    let address = rig.address();
    let waiting: Vec<_> = (0..3)
        .map(|_| tokio::spawn(async move { get(address, "/hold/").await }))
        .collect();
    eventually("three requests are held", async || backend.hits() == 3).await;
    let table = rig.admin("/routes").await.json();
    let shown = &table["services"][0];
    assert_eq!(
        (&shown["name"], &shown["in_flight"]),
        (&json!("hold"), &json!(3))
    );
    let endpoint = &shown["endpoints"][0];
    assert_eq!(endpoint["in_flight"], 3);
    assert_eq!(endpoint["health"], "healthy");
    assert_eq!(endpoint["address"], backend.address().to_string());
    assert_eq!(
        rig.metric(r#"gateway_inflight{service="hold"}"#).await,
        Some(3.0)
    );
    permits.add_permits(3);
    for answer in waiting {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    eventually("none is in flight", async || {
        rig.metric(r#"gateway_inflight{service="hold"}"#).await == Some(0.0)
    })
    .await;
}

#[tokio::test]
async fn instances_that_the_catalog_takes_out_get_nothing() {
    let rig = Rig::start().await;
    let (a, b, c) = (
        Backend::start("a").await,
        Backend::start("b").await,
        Backend::start("c").await,
    );
    let all = service("hold", &[&a, &b, &c]);
    let draining = with(all, "instances/0/status", json!("draining"));
    rig.put(with(draining, "instances/1/status", json!("critical")))
        .await;
    let counts = counts(&rig, 20).await;
    assert_eq!(counts.into_keys().collect::<Vec<_>>(), ["c"]);
}
