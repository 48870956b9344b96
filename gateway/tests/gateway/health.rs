//! Who is in rotation, and what it takes to leave it and to come back.

use std::sync::Arc;

use gateway::upstream::Health;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Backend, Behaviour, Rig, eventually, instance, service, with};

fn checked(service: Value, health: Value) -> Value {
    let mut merged = service["policy"]["health"].clone();
    for (key, value) in health.as_object().unwrap() {
        merged[key] = value.clone();
    }
    with(service, "policy/health", merged)
}

async fn two(rig: &Rig, health: Value) -> (Backend, Backend) {
    let (good, other) = (Backend::start("good").await, Backend::start("other").await);
    rig.put(checked(service("hold", &[&good, &other]), health))
        .await;
    (good, other)
}

async fn only_good_answers(rig: &Rig) {
    for _ in 0..20 {
        let answer = rig.get("/hold/").await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "good"));
    }
}

async fn gets_traffic(rig: &Rig, backend: &Backend) {
    eventually("it gets requests", async || {
        rig.get("/hold/").await.text() == backend.name()
    })
    .await;
}

#[tokio::test]
async fn a_new_endpoint_is_checked_before_it_gets_traffic() {
    let rig = Rig::start().await;
    let (good, new) = (Backend::start("good").await, Backend::start("new").await);
    let permits = Arc::new(Semaphore::new(0));
    new.answer_checks(Behaviour::Held(Arc::clone(&permits)));
    let patient = json!({"timeout": "1m"});
    rig.put(checked(service("hold", &[&good]), patient.clone()))
        .await;
    rig.apply(checked(service("hold", &[&good, &new]), patient))
        .await;
    eventually("its check is under way", async || new.checks() == 1).await;
    assert_eq!(rig.health("hold", &new), Some(Health::Unknown));
    only_good_answers(&rig).await;
    permits.add_permits(1_000);
    rig.until("hold", &new, Health::Healthy).await;
    gets_traffic(&rig, &new).await;
}

#[tokio::test]
async fn whom_the_catalog_does_not_reach_gets_nothing_unless_it_reaches_nobody() {
    let rig = Rig::start().await;
    let (good, other) = (Backend::start("good").await, Backend::start("other").await);
    let statuses = |first: &str, second: &str| {
        let mut service = service("hold", &[&good, &other]);
        for (index, status) in [first, second].into_iter().enumerate() {
            service["instances"][index]["status"] = status.into();
        }
        service
    };
    rig.put(statuses("passing", "critical")).await;
    rig.until("hold", &other, Health::Healthy).await;
    only_good_answers(&rig).await;
    // A catalog that is cut off calls everybody critical. The checks made here know better.
    rig.apply(statuses("critical", "critical")).await;
    gets_traffic(&rig, &other).await;
    gets_traffic(&rig, &good).await;
    // One that drains is no way out.
    rig.apply(statuses("critical", "draining")).await;
    only_good_answers(&rig).await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_leaves_and_comes_back() {
    let rig = Rig::start().await;
    let (_good, other) = two(&rig, json!({})).await;
    other.refuse().await;
    rig.until("hold", &other, Health::Unhealthy).await;
    only_good_answers(&rig).await;
    other.accept_again();
    rig.until("hold", &other, Health::Healthy).await;
    gets_traffic(&rig, &other).await;
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_never_answers_leaves_and_comes_back() {
    let rig = Rig::start().await;
    let (_good, other) = two(&rig, json!({})).await;
    other.answer_checks(Behaviour::Silent);
    rig.until("hold", &other, Health::Unhealthy).await;
    only_good_answers(&rig).await;
    other.answer_checks(Behaviour::Status(200));
    rig.until("hold", &other, Health::Healthy).await;
    gets_traffic(&rig, &other).await;
}

#[tokio::test]
async fn statuses_that_are_no_success_eject() {
    let rig = Rig::start().await;
    let (_good, other) = two(&rig, json!({})).await;
    for status in [500, 404, 503] {
        other.answer_checks(Behaviour::Status(status));
        rig.until("hold", &other, Health::Unhealthy).await;
        only_good_answers(&rig).await;
        other.answer_checks(Behaviour::Status(204));
        rig.until("hold", &other, Health::Healthy).await;
    }
}

#[tokio::test]
async fn thresholds_are_kept_in_both_directions() {
    let rig = Rig::start().await;
    let (_good, other) = two(&rig, json!({"unhealthy_after": 4, "healthy_after": 3})).await;
    for (status, health, needed) in [(500, Health::Unhealthy, 4), (200, Health::Healthy, 3)] {
        let before = other.checks();
        other.answer_checks(Behaviour::Status(status));
        rig.until("hold", &other, health).await;
        let checks = other.checks() - before;
        assert!(checks >= needed, "{health:?} after {checks} checks");
    }
}

#[tokio::test]
async fn without_a_path_a_connection_is_what_counts() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let tcp = json!({"interval": "100ms", "timeout": "100ms"});
    rig.put(with(service("hold", &[&backend]), "policy/health", tcp))
        .await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    assert_eq!(backend.checks(), 0);
    backend.refuse().await;
    rig.until("hold", &backend, Health::Unhealthy).await;
}

#[tokio::test]
async fn what_is_known_survives_every_change() {
    let rig = Rig::start().await;
    let (good, other) = two(&rig, json!({})).await;
    other.answer_checks(Behaviour::Status(500));
    rig.until("hold", &other, Health::Unhealthy).await;
    let known = rig.endpoints("hold");
    for weight in 2..30 {
        let instances = json!([instance(&good, weight), instance(&other, weight)]);
        rig.apply(with(service("hold", &[]), "instances", instances))
            .await;
        let now = rig.endpoints("hold");
        assert!(
            known
                .iter()
                .zip(&now)
                .all(|(before, now)| Arc::ptr_eq(before, now))
        );
        let health: Vec<_> = now.iter().map(|endpoint| endpoint.health()).collect();
        assert_eq!(health, [Health::Healthy, Health::Unhealthy]);
    }
    only_good_answers(&rig).await;
}

#[tokio::test]
async fn a_removed_endpoint_is_not_checked_any_more() {
    let rig = Rig::start().await;
    let (good, other) = two(&rig, json!({})).await;
    rig.put(service("hold", &[&good])).await;
    // One that was under way may still arrive; after as many of the neighbour's, none may.
    let settled = good.checks() + 2;
    eventually("the neighbour is checked", async || {
        good.checks() >= settled
    })
    .await;
    let (last, much_later) = (other.checks(), good.checks() + 3);
    eventually("the neighbour is checked", async || {
        good.checks() >= much_later
    })
    .await;
    assert_eq!(other.checks(), last);
}
