//! What a service may declare to protect itself: limits, a circuit breaker, ejection, panic mode.

use std::sync::Arc;

use gateway::upstream::Health;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    Backend, Behaviour, Connection, Http2, Message, Rig, eventually, get, instance, service,
    steady_service, with,
};

/// A service that tries once, so that the backend sees what the client sends.
fn once(name: &str, backends: &[&Backend]) -> Value {
    with(
        steady_service(name, backends),
        "policy/retry",
        json!({"attempts": 1}),
    )
}

fn is_problem(answer: &Message, status: u16, kind: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:problem:{kind}"));
    assert!(
        problem["detail"].as_str().unwrap().len() > 20,
        "{problem} does not say what to do"
    );
}

fn waits(answer: &Message) -> u64 {
    answer.header("retry-after").unwrap().parse().unwrap()
}

// === the length of content ===

#[tokio::test]
async fn content_that_says_it_is_too_long_is_refused_before_it_is_sent() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(with(
        service("hold", &[&backend]),
        "policy/limits",
        json!({"body_bytes": 1000}),
    ))
    .await;
    rig.put(service("plain", &[&backend])).await;
    let answer = rig.send("POST", "/hold/", &[], &"x".repeat(1000)).await;
    assert_eq!(answer.json()["body"].as_str().unwrap().len(), 1000);
    let hits = backend.hits();
    for (target, length) in [("/hold/", "1001"), ("/plain/", "67108865")] {
        let mut client = Connection::open(rig.address()).await.unwrap();
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head).await.unwrap();
        let answer = client.response().await.unwrap();
        is_problem(&answer, 413, "payload-too-large");
        assert_eq!(answer.header("connection"), Some("close"), "{target}");
    }
    assert_eq!(backend.hits(), hits);
    assert_eq!(rig.rejected("body_too_large").await, 2.0);
}

#[tokio::test]
async fn content_of_unknown_length_is_counted() {
    let rig = Rig::configured(|config| {
        config.h2c_listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(with(
        service("hold", &[&backend]),
        "policy/limits",
        json!({"body_bytes": 100_000}),
    ))
    .await;
    let chunked = |chunks: usize| {
        let chunk = format!("2710\r\n{}\r\n", "x".repeat(10_000));
        let head = "POST /hold/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{}0\r\n\r\n", chunk.repeat(chunks))
    };
    let mut client = Connection::open(rig.address()).await.unwrap();
    client.send(chunked(10)).await.unwrap();
    assert_eq!(client.response().await.unwrap().status(), 200);
    let mut client = Connection::open(rig.address()).await.unwrap();
    // More than buffers hold: the answer arrives although the client is still sending.
    let _sent = client.send(chunked(60)).await;
    let answer = client.response().await.unwrap();
    is_problem(&answer, 413, "payload-too-large");
    assert_eq!(answer.header("connection"), Some("close"));

    let long: &'static str = "x".repeat(100_001).leak();
    let mut client = Http2::open(rig.gateway.h2c_address().unwrap()).await;
    let request = Request::post("http://a/hold/").body(long).unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status(), 413);
    let content = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(content.starts_with(b"{"));
    let (status, _) = client.get("http://a/hold/").await;
    assert_eq!(status, 200, "other streams go on");
    assert_eq!(rig.rejected("body_too_large").await, 2.0);
    let healthy = rig.health("hold", &backend);
    assert_eq!(healthy, Some(Health::Healthy), "it is not to blame");
}

// === requests at once ===

#[tokio::test]
async fn a_full_service_gets_no_more_requests() {
    let rig = Rig::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("b", Behaviour::Held(Arc::clone(&permits))).await;
    let limited = |most: u32| {
        with(
            once("hold", &[&backend]),
            "policy/limits",
            json!({"concurrency": most}),
        )
    };
    rig.put(limited(2)).await;
    let address = rig.address();
    let waiting: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { get(address, "/hold/").await }))
        .collect();
    eventually("two requests are held", async || backend.hits() == 2).await;
    let answer = rig.get("/hold/").await;
    is_problem(&answer, 503, "overloaded");
    assert!(waits(&answer) >= 1);
    assert_eq!(
        answer.header("proxy-status"),
        Some("gateway; error=connection_limit_reached")
    );
    assert_eq!(backend.hits(), 2);
    // Those who are there still count after a change of the policy.
    rig.put(limited(1)).await;
    is_problem(&rig.get("/hold/").await, 503, "overloaded");
    permits.add_permits(1_000);
    for answer in waiting {
        assert_eq!(answer.await.unwrap().status(), 200);
    }
    eventually("their places are free", async || {
        rig.get("/hold/").await.status() == 200
    })
    .await;
    assert!(rig.rejected("concurrency").await >= 2.0);
}

// === requests over time ===

#[tokio::test]
async fn a_client_has_its_burst_on_every_route_and_then_waits() {
    let rig = Rig::configured(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let backend = Backend::start("b").await;
    let limited = with(
        service("hold", &[&backend]),
        "policy/limits",
        json!({"rate": {"requests": 1, "per": "1h", "burst": 3}}),
    );
    let routes = json!([{"path_prefix": "/hold/"}, {"path_prefix": "/other/"}]);
    rig.put(with(limited, "routes", routes)).await;
    let ask = async |target: &str, client: &str| {
        let headers = [("X-Forwarded-For", client)];
        rig.send("GET", target, &headers, "").await
    };
    for _ in 0..3 {
        assert_eq!(ask("/hold/", "203.0.113.1").await.status(), 200);
    }
    let answer = ask("/hold/", "203.0.113.1").await;
    is_problem(&answer, 429, "rate-limited");
    assert!((3_500..=3_600).contains(&waits(&answer)));
    assert_eq!(ask("/hold/", "203.0.113.2").await.status(), 200);
    assert_eq!(ask("/other/", "203.0.113.1").await.status(), 200);
    assert_eq!(backend.hits(), 5);
    assert_eq!(rig.rejected("rate_limited").await, 1.0);
}

#[tokio::test]
async fn clients_can_be_told_apart_by_a_header_or_not_at_all() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let limited = |name: &str, by: Value| {
        with(
            service(name, &[&backend]),
            "policy/limits",
            json!({"rate": {"requests": 1, "per": "1h", "by": by}}),
        )
    };
    rig.put(limited("keyed", json!({"header": "x-api-key"})))
        .await;
    rig.put(limited("shared", json!("route"))).await;
    for (target, key, status) in [
        ("/keyed/", "a", 200),
        ("/keyed/", "b", 200),
        ("/keyed/", "a", 429),
        ("/shared/", "a", 200),
        ("/shared/", "b", 429),
    ] {
        let answer = rig.send("GET", target, &[("X-API-Key", key)], "").await;
        assert_eq!(answer.status(), status, "{target} {key}");
    }
}

// === the circuit breaker ===

fn breaking(name: &str, backends: &[&Backend], open: &str) -> Value {
    with(
        once(name, backends),
        "policy/breaker",
        json!({"requests_min": 4, "window": "10m", "open": open, "probes": 1}),
    )
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_until_a_probe_succeeds() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Status(500)).await;
    let is_open = r#"gateway_breaker_open{service="hold"}"#;
    let openings = r#"gateway_breaker_openings_total{service="hold"}"#;
    rig.put(breaking("hold", &[&backend], "300ms")).await;
    assert_eq!(rig.metric(is_open).await, Some(0.0));
    for _ in 0..4 {
        assert_eq!(rig.get("/hold/").await.status(), 500);
    }
    assert_eq!(rig.metric(is_open).await, Some(1.0));
    assert_eq!(rig.metric(openings).await, Some(1.0));
    let answer = rig.get("/hold/").await;
    is_problem(&answer, 503, "circuit-open");
    assert_eq!(waits(&answer), 1);
    assert_eq!(backend.hits(), 4);
    assert!(rig.rejected("circuit_open").await >= 1.0);
    eventually("a probe is sent and fails", async || {
        rig.get("/hold/").await.status() == 500
    })
    .await;
    assert_eq!(backend.hits(), 5);
    backend.behave(Behaviour::Name);
    eventually("a probe succeeds", async || {
        rig.get("/hold/").await.status() == 200
    })
    .await;
    for _ in 0..10 {
        assert_eq!(rig.get("/hold/").await.status(), 200);
    }
    assert_eq!(rig.metric(is_open).await, Some(0.0));
    assert!(rig.metric(openings).await >= Some(2.0));
    // Of a service without a breaker nothing is said.
    rig.put(once("hold", &[&backend])).await;
    assert_eq!(rig.metric(is_open).await, None);
}

#[tokio::test]
async fn requests_that_find_no_answer_open_the_circuit_and_clients_errors_do_not() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Status(404)).await;
    rig.put(breaking("hold", &[&backend], "1m")).await;
    for _ in 0..8 {
        assert_eq!(rig.get("/hold/").await.status(), 404);
    }
    backend.behave(Behaviour::Close);
    for _ in 0..8 {
        assert_eq!(rig.get("/hold/").await.status(), 502);
    }
    is_problem(&rig.get("/hold/").await, 503, "circuit-open");
    let told = rig.admin("/explain?method=GET&host=a&path=/hold/").await;
    assert_eq!(told.json()["reason"], "circuit_open");
}

// === ejection ===

#[tokio::test]
async fn an_endpoint_on_which_requests_fail_is_left_alone_for_a_while() {
    let rig = Rig::start().await;
    let (good, bad) = (
        Backend::start("good").await,
        Backend::behaving("bad", Behaviour::Status(500)).await,
    );
    let ejecting = |time: &str| {
        let ejection = json!({"failures": 2, "time": time, "percent_max": 100});
        with(once("hold", &[&good, &bad]), "policy/ejection", ejection)
    };
    rig.put(ejecting("1h")).await;
    for _ in 0..20 {
        rig.get("/hold/").await;
    }
    assert_eq!(bad.hits(), 2);
    let series = r#"gateway_ejections_total{service="hold"}"#;
    assert_eq!(rig.metric(series).await, Some(1.0));
    let endpoint = rig.endpoints("hold");
    let ejected: Vec<_> = endpoint.iter().map(|known| known.is_ejected()).collect();
    assert_eq!(ejected, [false, true]);
    // Nobody is left to take its place.
    good.behave(Behaviour::Status(500));
    for _ in 0..10 {
        assert_eq!(rig.get("/hold/").await.status(), 500);
    }
    assert_eq!(bad.hits(), 2);
    assert_eq!(rig.metric(series).await, Some(1.0));
}

#[tokio::test]
async fn an_ejected_endpoint_comes_back_by_itself() {
    let rig = Rig::start().await;
    let (good, bad) = (
        Backend::start("good").await,
        Backend::behaving("bad", Behaviour::Close).await,
    );
    rig.put(with(
        once("hold", &[&good, &bad]),
        "policy/ejection",
        json!({"failures": 1, "time": "300ms"}),
    ))
    .await;
    eventually("it is ejected", async || {
        rig.get("/hold/").await;
        rig.endpoints("hold").iter().any(|known| known.is_ejected())
    })
    .await;
    bad.behave(Behaviour::Name);
    eventually("it gets requests", async || {
        rig.get("/hold/").await.text() == "bad"
    })
    .await;
}

// === panic mode ===

#[tokio::test]
async fn a_minority_of_healthy_endpoints_is_not_left_alone_with_the_load() {
    let rig = Rig::start().await;
    let good = Backend::start("good").await;
    let (strict, other, gone) = (
        Backend::start("strict").await,
        Backend::start("other").await,
        Backend::start("gone").await,
    );
    let checked = service("hold", &[&good, &strict, &other, &gone]);
    let checked = with(checked, "policy/balance", json!("round_robin"));
    rig.put(checked.clone()).await;
    for backend in [&strict, &other] {
        backend.answer_checks(Behaviour::Status(500));
        rig.until("hold", backend, Health::Unhealthy).await;
    }
    for _ in 0..20 {
        assert!(["good", "gone"].contains(&rig.get("/hold/").await.text().as_str()));
    }
    gone.refuse().await;
    rig.until("hold", &gone, Health::Unhealthy).await;
    // One of four.
    for name in ["good", "strict", "other"] {
        eventually("everyone who may be alive gets requests", async || {
            let answer = rig.get("/hold/").await;
            assert_eq!(answer.status(), 200);
            answer.text() == name
        })
        .await;
    }
    let retries = rig.metric(r#"gateway_retries_total{service="hold"}"#).await;
    assert!(retries.unwrap_or(0.0) <= 1.0, "nobody asks who refuses");
    rig.apply(with(checked, "policy/panic_percent", json!(0)))
        .await;
    for _ in 0..20 {
        assert_eq!(rig.get("/hold/").await.text(), "good");
    }
    good.answer_checks(Behaviour::Status(500));
    rig.until("hold", &good, Health::Unhealthy).await;
    assert_eq!(rig.get("/hold/").await.status(), 503);
}

// === memory ===

#[tokio::test]
async fn what_is_known_survives_a_thousand_changes() {
    let rig = Rig::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let failing = Backend::behaving("failing", Behaviour::Status(500)).await;
    let held = Backend::behaving("held", Behaviour::Held(Arc::clone(&permits))).await;
    let (good, bad, dead) = (
        Backend::start("good").await,
        Backend::behaving("bad", Behaviour::Status(500)).await,
        Backend::start("dead").await,
    );
    let weighted = |document: Value, weight: u16| {
        let instances = document["instances"].as_array().unwrap().clone();
        let instances = instances.into_iter().map(|mut instance| {
            instance["weight"] = weight.into();
            instance
        });
        let instances: Vec<_> = instances.collect();
        with(document, "instances", json!(instances))
    };
    let limited = |name: &str, backend: &Backend, limits: Value| {
        with(once(name, &[backend]), "policy/limits", limits)
    };
    let documents = [
        breaking("broken", &[&failing], "10m"),
        limited("full", &held, json!({"concurrency": 1})),
        limited(
            "rated",
            &good,
            json!({"rate": {"requests": 1, "per": "1h"}}),
        ),
        with(
            once("ejecting", &[&good, &bad]),
            "policy/ejection",
            json!({"failures": 1, "time": "1h"}),
        ),
        service("halved", &[&good, &dead]),
    ];
    for document in &documents {
        rig.put(document.clone()).await;
    }
    for _ in 0..4 {
        rig.get("/broken/").await;
        rig.get("/ejecting/").await;
        rig.get("/rated/").await;
    }
    let address = rig.address();
    let waiting = tokio::spawn(async move { get(address, "/full/").await });
    eventually("a request is held", async || held.hits() == 1).await;
    dead.answer_checks(Behaviour::Status(500));
    rig.until("halved", &dead, Health::Unhealthy).await;
    let before = (failing.hits(), bad.hits(), dead.hits());
    for change in 0..1_000u16 {
        let noise =
            json!({"name": format!("noise-{}", change % 50), "description": change.to_string()});
        rig.catalog.put(noise);
        if change % 50 == 0 {
            for document in &documents {
                rig.catalog.put(weighted(document.clone(), change % 7 + 1));
            }
        }
    }
    let last = rig.catalog.put(weighted(documents[0].clone(), 9));
    rig.at(last).await;
    for _ in 0..20 {
        is_problem(&rig.get("/broken/").await, 503, "circuit-open");
        is_problem(&rig.get("/full/").await, 503, "overloaded");
        is_problem(&rig.get("/rated/").await, 429, "rate-limited");
        assert_eq!(rig.get("/ejecting/").await.text(), "good");
        assert_eq!(rig.get("/halved/").await.text(), "good");
    }
    assert_eq!((failing.hits(), bad.hits(), dead.hits()), before);
    permits.add_permits(10);
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_impossible_policy_is_refused_alone() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    for (policy, name) in [
        (json!({"limits": {"concurrency": 0}}), "limits.concurrency"),
        (
            json!({"limits": {"rate": {"requests": 1, "per": "2h"}}}),
            "limits.rate.per",
        ),
        (
            json!({"breaker": {"error_percent": 101}}),
            "breaker.error_percent",
        ),
        (
            json!({"ejection": {"time": "1h", "time_max": "1s"}}),
            "ejection.time_max",
        ),
        (json!({"panic_percent": 101}), "panic_percent"),
        (json!({"jwt": {}}), "unknown field `jwt`"),
    ] {
        rig.catalog
            .put(with(service("hold", &[]), "policy", policy));
        eventually("readiness names it", async || {
            let text = rig.admin("/readyz?verbose").await.text();
            text.contains(name)
        })
        .await;
        let answer = get(rig.address(), "/hold/").await;
        assert_eq!(answer.text(), "b", "{name}");
    }
    let instances = json!([instance(&backend, 2)]);
    rig.put(with(service("hold", &[]), "instances", instances))
        .await;
}
