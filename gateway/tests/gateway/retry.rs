//! When a request is sent again, and when it must not be.

use std::time::Instant;

use gateway::upstream::Health;
use serde_json::json;

use crate::harness::{Backend, Behaviour, Connection, Rig, request, steady_service, with};

async fn retries(rig: &Rig) -> f64 {
    let series = r#"gateway_retries_total{service="hold"}"#;
    rig.metric(series).await.unwrap_or_default()
}

/// A good backend and one that is in rotation and fails in this way; `None` refuses connections.
async fn good_and_bad(rig: &Rig, bad: Option<Behaviour>) -> (Backend, Backend) {
    let (good, failing) = (
        Backend::behaving("good", Behaviour::Echo).await,
        Backend::start("failing").await,
    );
    rig.put(steady_service("hold", &[&good, &failing])).await;
    match bad {
        Some(behaviour) => failing.behave(behaviour),
        None => failing.refuse().await,
    }
    (good, failing)
}

#[tokio::test]
async fn idempotent_requests_survive_an_endpoint_that_fails() {
    for bad in [
        None,
        Some(Behaviour::Close),
        Some(Behaviour::Raw("HTTP/1.1 200")),
        Some(Behaviour::Raw("what?\r\n\r\n")),
    ] {
        let rig = Rig::start().await;
        let (_good, failing) = good_and_bad(&rig, bad.clone()).await;
        for method in ["GET", "PUT", "DELETE"] {
            for _ in 0..4 {
                let answer = rig.send(method, "/hold/x", &[], "content").await;
                assert_eq!(answer.status(), 200, "{method} {bad:?}");
                assert_eq!(answer.json()["body"], "content");
            }
        }
        assert!(retries(&rig).await >= 4.0, "{bad:?}");
        assert_eq!(rig.health("hold", &failing), Some(Health::Healthy));
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_service_closed_costs_nobody_an_answer() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::AnswerThenClose).await;
    rig.put(steady_service("hold", &[&backend])).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    for _ in 0..30 {
        client
            .send(request("GET", "/hold/", &[], ""))
            .await
            .unwrap();
        assert_eq!(client.response().await.unwrap().text(), "b");
    }
    assert_eq!(rig.health("hold", &backend), Some(Health::Healthy));
}

#[tokio::test]
async fn a_kept_connection_that_closes_on_a_request_speaks_not_against_its_endpoint() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::OncePerConnection).await;
    let strict = json!({"path": "/health", "interval": "1h", "unhealthy_after": 1});
    let service = steady_service("hold", &[&backend]);
    rig.put(with(service, "policy/health", strict)).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    for _ in 0..10 {
        client
            .send(request("GET", "/hold/", &[], ""))
            .await
            .unwrap();
        assert_eq!(client.response().await.unwrap().text(), "b");
    }
    assert!(retries(&rig).await >= 1.0);
    assert_eq!(rig.health("hold", &backend), Some(Health::Healthy));
    // What is not idempotent is not repeated on a kept connection either.
    rig.send("POST", "/hold/", &[], "x").await;
    let received = backend.received();
    let posts = received.iter().filter(|request| request.method() == "POST");
    assert_eq!(posts.count(), 1);
}

#[tokio::test]
async fn a_post_that_was_sent_is_not_sent_again() {
    let rig = Rig::start().await;
    let backends = [
        Backend::behaving("a", Behaviour::Close).await,
        Backend::behaving("b", Behaviour::Close).await,
    ];
    rig.put(steady_service("hold", &backends.each_ref())).await;
    let answer = rig.send("POST", "/hold/pay", &[], "10 EUR").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(backends.iter().map(Backend::hits).sum::<usize>(), 1);
    assert_eq!(retries(&rig).await, 0.0);
}

#[tokio::test]
async fn a_post_that_could_not_be_sent_goes_to_someone_else_whole() {
    let rig = Rig::start().await;
    let (good, _refusing) = good_and_bad(&rig, None).await;
    let content = "x".repeat(100_000);
    for arrived in 1..=6 {
        let answer = rig.send("POST", "/hold/pay", &[], &content).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json()["body"], content);
        assert_eq!(good.hits(), arrived);
    }
    assert!(retries(&rig).await >= 2.0);
}

#[tokio::test]
async fn attempts_are_limited_by_the_policy() {
    for attempts in [1, 3, 4] {
        let rig = Rig::start().await;
        let mut backends = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            backends.push(Backend::behaving(name, Behaviour::Close).await);
        }
        let service = steady_service("hold", &backends.iter().collect::<Vec<_>>());
        rig.put(with(service, "policy/retry", json!({"attempts": attempts})))
            .await;
        let answer = rig.get("/hold/").await;
        assert_eq!(answer.status(), 502, "{attempts}");
        assert_eq!(backends.iter().map(Backend::hits).sum::<usize>(), attempts);
        // Nobody is asked twice.
        assert!(backends.iter().all(|backend| backend.hits() <= 1));
    }
}

#[tokio::test]
async fn when_everyone_failed_the_answer_tells_of_the_failure_not_of_the_shortage() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Close).await;
    rig.put(steady_service("hold", &[&backend])).await;
    let answer = rig.get("/hold/").await;
    assert_eq!(answer.status(), 502);
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("broke off"), "{detail}");
}

#[tokio::test]
async fn a_budget_of_zero_leaves_only_the_reserve() {
    let rig = Rig::start().await;
    // So many that none of them fails a hundred times, which would take it out however fast that goes.
    let mut backends = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        backends.push(Backend::behaving(name, Behaviour::Close).await);
    }
    let service = steady_service("hold", &backends.iter().collect::<Vec<_>>());
    let retry = json!({"attempts": 2, "budget_percent": 0});
    let started = Instant::now();
    rig.put(with(service, "policy/retry", retry)).await;
    for _ in 0..250 {
        assert_eq!(rig.get("/hold/").await.status(), 502);
    }
    // The reserve is 100 retries, and time brings 10 a second.
    let allowed = 100.0 + 10.0 * (started.elapsed().as_secs() + 1) as f64;
    let retries = retries(&rig).await;
    assert!(
        (100.0..=allowed).contains(&retries),
        "{retries} of {allowed}"
    );
}
