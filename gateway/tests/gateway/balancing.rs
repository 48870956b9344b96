//! How requests are shared among instances.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    Backend, Behaviour, Rig, eventually, get, instance, service, steady_service, with,
};

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
    // A quarter of 400; seven sixteenths when one of them was slow by accident, six standard deviations wide. That idle endpoints
    // share by weight exactly is a test of the selection alone.
    assert!((1..=235).contains(&counts["a"]), "{counts:?}");
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
async fn least_request_learns_who_is_slow() {
    let rig = Rig::start().await;
    let (slow, fast) = (Backend::start("slow").await, Backend::start("fast").await);
    let balanced = with(
        steady_service("hold", &[&slow, &fast]),
        "policy/balance",
        json!("least_request"),
    );
    rig.put(balanced).await;
    eventually("both have answered", async || {
        rig.get("/hold/").await;
        let endpoints = rig.endpoints("hold");
        let now = Instant::now();
        endpoints
            .iter()
            .all(|endpoint| endpoint.latency(now).is_some())
    })
    .await;
    let endpoints = rig.endpoints("hold");
    for endpoint in endpoints
        .iter()
        .filter(|known| known.address() == slow.address())
    {
        endpoint.answered(Duration::from_secs(600), Instant::now());
    }
    let before = slow.hits();
    counts(&rig, 400).await;
    // Only drawing it twice can pick it: a quarter, 100 of 400 on average instead of 200.
    let hits = slow.hits() - before;
    assert!(hits <= 152, "{hits}");
    let shown = rig.admin("/routes").await.json();
    let latency = &shown["services"][0]["endpoints"][0]["latency_ms"];
    assert!(latency.as_f64().unwrap() > 1_000.0, "{latency}");
}

#[tokio::test]
async fn a_slow_start_spares_whoever_has_just_come() {
    let rig = Rig::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    let slow = json!({"kind": "round_robin", "slow_start": "1s"});
    let slowly = |backends: &[&Backend]| {
        with(
            steady_service("hold", backends),
            "policy/balance",
            slow.clone(),
        )
    };
    rig.put(slowly(&[&old])).await;
    let entered = Instant::now();
    rig.put(slowly(&[&old, &new])).await;
    // Its start does not end during the test.
    let later = Instant::now() + Duration::from_secs(3_600);
    let endpoints = rig.endpoints("hold");
    for endpoint in endpoints
        .iter()
        .filter(|known| known.address() == new.address())
    {
        endpoint.enter_rotation(later);
    }
    eventually("the start of the old one is over", async || {
        entered.elapsed() > Duration::from_secs(1)
    })
    .await;
    let shares = counts(&rig, 200).await;
    // A tenth of every second turn: 10 on average.
    assert!(
        (1..=40).contains(&shares.get("new").copied().unwrap_or(0)),
        "{shares:?}"
    );
    rig.put(steady_service("hold", &[&old, &new])).await;
    assert_eq!(counts(&rig, 40).await["new"], 20);
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
