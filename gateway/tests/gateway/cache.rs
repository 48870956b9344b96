//! What clients and operators see of the cache.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{
    Answers, Backend, Behaviour, Connection, Message, Rig, eventually, request, steady_service,
    with,
};

/// A service `c` that is cached, on `/c/`.
pub(crate) fn cached(backend: &Backend, policy: Value) -> Value {
    with(steady_service("c", &[backend]), "policy/cache", policy)
}

/// A backend that answers with these fields, and a body of the target and the number of the request.
pub(crate) async fn origin(fields: &str) -> Backend {
    let backend = Backend::start("b").await;
    backend.behave(numbered(fields, None));
    backend
}

/// The behaviour of [`origin`].
pub(crate) fn numbered(fields: &str, permits: Option<Arc<Semaphore>>) -> Behaviour {
    let count = AtomicUsize::new(0);
    let fields = fields.replace('|', "\r\n");
    let answer = move |request: &Message| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let body = format!("{} {number}", request.target());
        format!(
            "HTTP/1.1 200 OK\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    Behaviour::Answers(Answers {
        answer: Arc::new(answer),
        permits,
    })
}

/// Answers a validation with 304, anything else as [`origin`].
fn validating(fields: &'static str, of_304: &'static str) -> Behaviour {
    let Behaviour::Answers(whole) = numbered(fields, None) else {
        unreachable!("it is that")
    };
    let answer = move |request: &Message| match request.header("if-none-match") {
        Some(_) => format!(
            "HTTP/1.1 304 Not Modified\r\n{}\r\n\r\n",
            of_304.replace('|', "\r\n")
        ),
        None => (whole.answer)(request),
    };
    Behaviour::Answers(Answers {
        answer: Arc::new(answer),
        permits: None,
    })
}

fn status(message: &Message) -> &str {
    message.header("cache-status").unwrap()
}

const FRESH: &str = "cache-control: max-age=60";
const STALE: &str = "cache-control: max-age=60|age: 61";

#[tokio::test]
async fn an_answer_is_kept_for_those_who_ask_for_the_same() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60|x-own: 1").await;
    rig.put(cached(&backend, json!({}))).await;
    let first = rig.get("/c/x?q=1").await;
    assert_eq!(
        status(&first),
        "gateway; fwd=uri-miss; fwd-status=200; stored"
    );
    assert_eq!(first.text(), "/x?q=1 1");
    let hit = rig.get("/c/x?q=1").await;
    assert!(status(&hit).starts_with("gateway; hit; ttl="), "{hit:?}");
    assert_eq!(
        (hit.text().as_str(), hit.header("x-own")),
        ("/x?q=1 1", Some("1"))
    );
    assert!(hit.header("age").is_some() && hit.header("date").is_some());
    assert_ne!(first.header("x-request-id"), hit.header("x-request-id"));
    // The same after normalisation, default port included.
    assert_eq!(rig.get("/c/./%78?q=1").await.text(), "/x?q=1 1");
    let port = [("Host", "GATEWAY.test:80")];
    assert_eq!(
        rig.send("GET", "/c/x?q=1", &port, "").await.text(),
        "/x?q=1 1"
    );
    assert_eq!(backend.hits(), 1);
    let metric = r#"gateway_cache_requests_total{result="hit"}"#;
    assert_eq!(rig.metric(metric).await, Some(3.0));
    assert_eq!(
        rig.metric(r#"gateway_cache_requests_total{result="miss"}"#)
            .await,
        Some(1.0)
    );
    assert_eq!(rig.metric("gateway_cache_objects").await, Some(1.0));
}

#[tokio::test]
async fn host_port_query_service_and_target_keep_answers_apart() {
    let rig = Rig::start().await;
    let (backend, other) = (origin(FRESH).await, origin(FRESH).await);
    let routes = json!([{"path_prefix": "/c/", "strip_prefix": true}, {"path_prefix": "/c/", "headers": {"x-raw": "1"}}]);
    rig.put(with(cached(&backend, json!({})), "routes", routes))
        .await;
    let routes = json!([{"path_prefix": "/c/", "headers": {"x-other": "1"}}]);
    let service = with(steady_service("d", &[&other]), "policy/cache", json!({}));
    rig.put(with(service, "routes", routes)).await;
    let mut asked = 0;
    for (target, field) in [
        ("/c/x", ("Host", "a.test")),
        ("/c/x", ("Host", "b.test")),
        ("/c/x", ("Host", "a.test:8080")),
        ("/c/x?a", ("Host", "a.test")),
        ("/c/x?b", ("Host", "a.test")),
        ("/c/x", ("x-raw", "1")),
        ("/c/x", ("x-other", "1")),
    ] {
        asked += 1;
        for _ in 0..2 {
            let answer = rig.send("GET", target, &[field], "").await;
            assert_eq!(answer.status(), 200);
            assert_eq!(backend.hits() + other.hits(), asked, "{target} {field:?}");
        }
    }
    assert_eq!(other.hits(), 1);
}

#[tokio::test]
async fn only_services_that_say_so_are_cached_and_0_keeps_nothing() {
    let rig = Rig::configured(|config| config.cache_bytes = 0).await;
    let backend = origin(FRESH).await;
    rig.put(cached(&backend, json!({}))).await;
    let answers = [rig.get("/c/x").await, rig.get("/c/x").await];
    assert!(
        answers
            .iter()
            .all(|answer| answer.header("cache-status").is_none())
    );
    assert_eq!(backend.hits(), 2);
    let rig = Rig::start().await;
    rig.put(steady_service("c", &[&backend])).await;
    rig.get("/c/x").await;
    assert!(rig.get("/c/x").await.header("cache-status").is_none());
    assert_eq!(backend.hits(), 4);
}

#[tokio::test]
async fn the_policy_fills_in_what_the_service_does_not_say() {
    let rig = Rig::start().await;
    let backend = origin("x-a: 1").await;
    rig.put(cached(&backend, json!({"default_ttl": "1h"})))
        .await;
    rig.get("/c/x").await;
    assert!(status(&rig.get("/c/x").await).contains("hit; ttl=359"));
    let policy = json!({"stale_while_revalidate": "1h"});
    rig.put(cached(&backend, policy)).await;
    backend.behave(numbered(STALE, None));
    rig.get("/c/y").await;
    assert!(status(&rig.get("/c/y").await).contains("hit; ttl=-"));
}

#[tokio::test]
async fn a_stale_answer_is_validated_and_takes_over_what_the_304_says() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let fields = "cache-control: max-age=60|age: 61|etag: \"v\"|x-a: old|x-b: stays";
    backend.behave(validating(
        fields,
        "cache-control: max-age=70|etag: \"v\"|x-a: new",
    ));
    rig.put(cached(&backend, json!({}))).await;
    rig.get("/c/x").await;
    let validated = rig.get("/c/x").await;
    assert!(
        status(&validated).starts_with("gateway; fwd=stale; fwd-status=304; stored; ttl=6"),
        "{validated:?}"
    );
    assert_eq!(
        (validated.status(), validated.text().as_str()),
        (200, "/x 1")
    );
    assert_eq!(backend.received()[1].header("if-none-match"), Some("\"v\""));
    let hit = rig.get("/c/x").await;
    assert!(status(&hit).starts_with("gateway; hit"), "{hit:?}");
    assert_eq!(
        (hit.header("x-a"), hit.header("x-b")),
        (Some("new"), Some("stays"))
    );
    assert_eq!(backend.hits(), 2);
}

#[tokio::test]
async fn clients_validate_against_the_kept_answer() {
    let rig = Rig::start().await;
    let backend = origin(
        "cache-control: max-age=60|etag: \"v\"|last-modified: Wed, 21 Oct 2015 07:28:00 GMT",
    )
    .await;
    rig.put(cached(&backend, json!({}))).await;
    for (name, value, expected) in [
        ("if-none-match", "\"v\"", 304),
        ("if-none-match", "\"w\", W/\"v\"", 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"w\"", 200),
        ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT", 304),
        ("if-modified-since", "Wed, 21 Oct 2015 07:27:59 GMT", 200),
    ] {
        let answer = rig.send("GET", "/c/x", &[(name, value)], "").await;
        assert_eq!(answer.status(), expected, "{name}: {value}");
        assert_eq!(answer.body.is_empty(), expected == 304);
        assert_eq!(answer.header("etag"), Some("\"v\""));
    }
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn each_variant_is_kept() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60|vary: accept-language").await;
    rig.put(cached(&backend, json!({}))).await;
    for round in 0..2 {
        for (at, language) in ["de", "en", "fr"].into_iter().enumerate() {
            let answer = rig
                .send("GET", "/c/x", &[("accept-language", language)], "")
                .await;
            assert_eq!(answer.text(), format!("/x {}", at + 1), "{round}");
        }
    }
    assert_eq!(backend.hits(), 3);
}

#[tokio::test]
async fn head_is_answered_from_a_get_and_the_other_way_round() {
    let rig = Rig::start().await;
    let backend = origin(FRESH).await;
    rig.put(cached(&backend, json!({}))).await;
    let mut connection = Connection::open(rig.address()).await.unwrap();
    connection
        .send(request("HEAD", "/c/x", &[], ""))
        .await
        .unwrap();
    let head = connection.response_head().await.unwrap();
    assert_eq!(
        (head.status(), head.header("content-length")),
        (200, Some("4"))
    );
    eventually("the answer is kept", async || {
        rig.metric("gateway_cache_objects").await == Some(1.0)
    })
    .await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    connection
        .send(request("HEAD", "/c/x", &[], ""))
        .await
        .unwrap();
    let head = connection.response_head().await.unwrap();
    assert!(status(&head).starts_with("gateway; hit"));
    assert_eq!(head.header("content-length"), Some("4"));
    assert_eq!(backend.hits(), 1);
}

#[tokio::test]
async fn ranges_come_out_of_the_kept_whole() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60|etag: \"v\"").await;
    rig.put(cached(&backend, json!({}))).await;
    // The whole is "/0123456789 1".
    for (fields, expected, range, body) in [
        (
            vec![("range", "bytes=1-3")],
            206,
            Some("bytes 1-3/13"),
            "012",
        ),
        (
            vec![("range", "bytes=-3")],
            206,
            Some("bytes 10-12/13"),
            "9 1",
        ),
        (
            vec![("range", "bytes=11-")],
            206,
            Some("bytes 11-12/13"),
            " 1",
        ),
        (vec![("range", "bytes=50-")], 416, Some("bytes */13"), ""),
        (vec![("range", "bytes=3-1")], 416, Some("bytes */13"), ""),
        (vec![("range", "lines=1-3")], 200, None, "/0123456789 1"),
        (
            vec![("range", "bytes=1-3"), ("if-range", "\"v\"")],
            206,
            Some("bytes 1-3/13"),
            "012",
        ),
        (
            vec![("range", "bytes=1-3"), ("if-range", "\"w\"")],
            200,
            None,
            "/0123456789 1",
        ),
        (
            vec![("range", "bytes=1-3"), ("if-range", "W/\"v\"")],
            200,
            None,
            "/0123456789 1",
        ),
    ] {
        let answer = rig.send("GET", "/c/0123456789", &fields, "").await;
        assert_eq!(answer.status(), expected, "{fields:?}");
        assert_eq!(
            (answer.header("content-range"), answer.text().as_str()),
            (range, body),
            "{fields:?}"
        );
    }
    let several = rig
        .send("GET", "/c/0123456789", &[("range", "bytes=0-0,2-3")], "")
        .await;
    assert_eq!(several.status(), 206);
    assert!(
        several
            .header("content-type")
            .unwrap()
            .starts_with("multipart/byteranges")
    );
    assert!(
        several.text().contains("bytes 2-3/13\r\n\r\n12\r\n"),
        "{}",
        several.text()
    );
    // The service was asked once, and for the whole.
    assert_eq!(backend.hits(), 1);
    assert_eq!(backend.received()[0].header("range"), None);
}

#[tokio::test]
async fn a_thousand_clients_cost_the_service_one_request() {
    const CLIENTS: usize = 1000;
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let permits = Arc::new(Semaphore::new(0));
    backend.behave(numbered(FRESH, Some(Arc::clone(&permits))));
    rig.put(cached(&backend, json!({}))).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let address = rig.address();
            tokio::spawn(async move { crate::harness::get(address, "/c/x").await })
        })
        .collect();
    eventually("all of them wait", async || {
        let health = rig.admin("/health").await.json();
        health["in_flight"] == CLIENTS
    })
    .await;
    // More than one request may get an answer; one is enough.
    permits.add_permits(CLIENTS);
    for answer in join_all(clients).await {
        let answer = answer.unwrap();
        assert_eq!((answer.status(), answer.text().as_str()), (200, "/x 1"));
    }
    assert_eq!(backend.hits(), 1);
    assert_eq!(
        rig.metric(r#"gateway_cache_requests_total{result="hit"}"#)
            .await,
        Some(CLIENTS as f64 - 1.0)
    );
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60, stale-while-revalidate=60|age: 61").await;
    rig.put(cached(&backend, json!({}))).await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    backend.behave(numbered(FRESH, None));
    let stale = rig.get("/c/x").await;
    assert!(
        status(&stale).starts_with("gateway; hit; ttl=-"),
        "{stale:?}"
    );
    assert_eq!(stale.text(), "/x 1");
    eventually("the new answer is there", async || {
        status(&rig.get("/c/x").await).starts_with("gateway; hit; ttl=5")
    })
    .await;
    assert_eq!(backend.hits(), 2);
    // Renewals are nobody's requests.
    let text = rig.admin("/metrics").await.text();
    let hits = rig
        .metric(r#"gateway_cache_requests_total{result="expired"}"#)
        .await;
    assert_eq!(hits, Some(0.0), "{text}");
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_errors() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60, stale-if-error=60|age: 61").await;
    rig.put(cached(&backend, json!({}))).await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    for failure in [
        Behaviour::Status(500),
        Behaviour::Status(503),
        Behaviour::Close,
        Behaviour::Raw("no HTTP\r\n\r\n"),
    ] {
        backend.behave(failure.clone());
        let stale = rig.get("/c/x").await;
        assert_eq!(
            (stale.status(), stale.text().as_str()),
            (200, "/x 1"),
            "{failure:?}"
        );
        assert!(
            status(&stale).ends_with("detail=stale-if-error"),
            "{stale:?}"
        );
    }
    backend.refuse().await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    backend.accept_again();
    // No error: the service says that it is gone.
    backend.behave(Behaviour::Status(404));
    assert_eq!(rig.get("/c/x").await.status(), 404);
}

#[tokio::test]
async fn no_stale_answer_hides_that_a_client_asks_too_much() {
    let rig = Rig::start().await;
    let backend = origin("cache-control: max-age=60, stale-if-error=60|age: 61").await;
    let kept = cached(&backend, json!({"stale_if_error": "1h"}));
    let limits = |limits: Value| with(kept.clone(), "policy/limits", limits);
    rig.put(limits(json!({"body_bytes": 100}))).await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    backend.behave(Behaviour::Status(500));
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    let long = "x".repeat(101);
    for method in ["GET", "POST"] {
        let refused = rig.send(method, "/c/x", &[], &long).await;
        assert_eq!(refused.status(), 413, "{method}");
    }
    // Found out when the request is on its way to the service already.
    let chunks = "3c\r\n{}\r\n".replace("{}", &"x".repeat(60)).repeat(2);
    let head = "GET /c/x HTTP/1.1\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(format!("{head}{chunks}0\r\n\r\n"))
        .await
        .unwrap();
    assert_eq!(client.response().await.unwrap().status(), 413);

    rig.put(limits(json!({"rate": {"requests": 1, "per": "1h"}})))
        .await;
    assert_eq!(rig.get("/c/x").await.text(), "/x 1");
    assert_eq!(rig.get("/c/x").await.status(), 429);
}

#[tokio::test]
async fn no_stale_answer_is_given_where_that_is_forbidden() {
    let rig = Rig::start().await;
    let backend =
        origin("cache-control: max-age=60, stale-if-error=60, must-revalidate|age: 61|etag: \"v\"")
            .await;
    rig.put(cached(&backend, json!({"stale_if_error": "1h"})))
        .await;
    rig.get("/c/x").await;
    backend.behave(Behaviour::Status(500));
    assert_eq!(rig.get("/c/x").await.status(), 500);
    backend.behave(numbered(
        "cache-control: max-age=60, stale-if-error=60",
        None,
    ));
    rig.get("/c/y").await;
    backend.behave(Behaviour::Close);
    let demanded = [("cache-control", "no-cache")];
    assert_eq!(rig.send("GET", "/c/y", &demanded, "").await.status(), 502);
}

#[tokio::test]
async fn only_if_cached_is_not_passed_on() {
    let rig = Rig::start().await;
    let backend = origin(FRESH).await;
    rig.put(cached(&backend, json!({}))).await;
    let wish = [("cache-control", "only-if-cached")];
    let none = rig.send("GET", "/c/x", &wish, "").await;
    assert_eq!(
        (none.status(), none.header("content-type")),
        (504, Some("application/problem+json"))
    );
    assert_eq!(none.json()["type"], "urn:problem:not-cached");
    assert_eq!(backend.hits(), 0);
    rig.get("/c/x").await;
    assert_eq!(rig.send("GET", "/c/x", &wish, "").await.status(), 200);
}
