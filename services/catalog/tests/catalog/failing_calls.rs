//! Calls to services whose instances fail: what is tried again, what is not, and what the caller is told.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    backend::{Backend, dead_port, register},
    harness::{Harness, PATIENCE, eventually},
};

const PATH: &str = "/services/call/web/x";

/// A catalog with the service `web`, which has a policy.
async fn with_policy(policy: Value) -> Harness {
    let catalog = Harness::start().await;
    let spec = json!({"name": "web", "policy": policy});
    assert_eq!(
        catalog.put("/services/web", spec).await.status,
        StatusCode::CREATED
    );
    catalog
}

/// Reads a request's beginning and closes the connection.
async fn rude() -> Backend {
    Backend::raw(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
    })
    .await
}

/// Takes everything and never answers.
async fn silent() -> Backend {
    Backend::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    })
    .await
}

/// Answers with these bytes, whatever comes.
async fn saying(answer: &'static [u8]) -> Backend {
    Backend::raw(move |mut stream| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(answer).await;
        // The end is the other side's.
        while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    })
    .await
}

#[tokio::test]
async fn what_was_not_sent_is_sent_to_another_instance_whatever_it_is() {
    let catalog = with_policy(json!({})).await;
    let alive = Backend::start("alive").await;
    register(&catalog, "web", "dead", dead_port()).await;
    register(&catalog, "web", "alive", alive.port).await;
    // Longer than what could be kept: it need not be, nothing of it is gone.
    let long = "x".repeat(1024 * 1024);
    for _ in 0..10 {
        let answer = catalog
            .call(Method::POST, PATH)
            .text("text/plain", long.clone())
            .send()
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json()["bytes"], long.len());
    }
    assert_eq!(alive.requests(), 10);
}

#[tokio::test]
async fn what_may_have_been_done_is_only_repeated_when_that_is_harmless() {
    let catalog = with_policy(json!({"retry": {"attempts": 2, "budget_percent": 100}})).await;
    let (rude, alive) = (rude().await, Backend::start("alive").await);
    register(&catalog, "web", "rude", rude.port).await;
    register(&catalog, "web", "alive", alive.port).await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        for _ in 0..4 {
            let call = catalog.call(method.clone(), PATH);
            let answer = call.text("text/plain", "hello".to_owned()).send().await;
            assert_eq!(
                (answer.status, &answer.json()["bytes"]),
                (StatusCode::OK, &json!(5))
            );
        }
    }
    let before = (rude.connections(), alive.requests());
    assert!(before.0 > 0);
    let mut failed = 0;
    for _ in 0..10 {
        let call = catalog.call(Method::POST, PATH);
        let answer = call.text("text/plain", "hello".to_owned()).send().await;
        if answer.status == StatusCode::BAD_GATEWAY {
            answer.problem(502);
            failed += 1;
        }
    }
    // Each once, at the one or the other.
    assert_eq!(rude.connections() - before.0, failed);
    assert_eq!(alive.requests() - before.1, 10 - failed);
    assert!((4..=6).contains(&failed), "{failed}");
}

#[tokio::test]
async fn a_body_that_is_gone_is_not_made_up() {
    let catalog = with_policy(json!({})).await;
    let rude = rude().await;
    for id in ["a", "b", "c"] {
        register(&catalog, "web", id, rude.port).await;
    }
    let answer = catalog
        .call(Method::PUT, PATH)
        .text("text/plain", "x".repeat(4 * 1024 * 1024))
        .send()
        .await;
    answer.problem(502);
    assert_eq!(rude.connections(), 1);
    let short = catalog
        .call(Method::PUT, PATH)
        .text("text/plain", "x".to_owned());
    short.send().await.problem(502);
    assert_eq!(rude.connections(), 4);
}

#[tokio::test]
async fn attempts_are_as_many_as_the_policy_says() {
    for attempts in [1, 2] {
        let catalog = with_policy(json!({"retry": {"attempts": attempts}})).await;
        let rude = rude().await;
        for id in ["a", "b", "c"] {
            register(&catalog, "web", id, rude.port).await;
        }
        let detail = catalog.get(PATH).await.problem(502);
        assert!(
            detail.starts_with("service web: the instance ended"),
            "{detail}"
        );
        assert_eq!(rude.connections(), attempts);
    }
}

#[tokio::test]
async fn nobody_there_says_when_to_come_back() {
    let catalog = with_policy(json!({})).await;
    let answer = catalog.get(PATH).await;
    assert!(answer.problem(503).contains("no instance"));
    assert_eq!(answer.header("retry-after"), "2");
    register(&catalog, "web", "a", dead_port()).await;
    assert!(
        catalog
            .get(PATH)
            .await
            .problem(502)
            .contains("no connection")
    );
}

#[tokio::test]
async fn suspects_are_asked_when_nobody_passes() {
    let health = json!({"kind": "tcp", "interval": "100ms"});
    let catalog = with_policy(json!({"health": health})).await;
    let backend = Backend::start("a").await;
    let spec = json!({"address": format!("127.0.0.1:{}", backend.port), "ttl": "100ms"});
    catalog.put("/services/web/instances/a", spec).await;
    eventually("it is suspect", async || {
        (catalog.status_of("web", "a").await? == "suspect").then_some(())
    })
    .await;
    assert_eq!(catalog.get(PATH).await.status, StatusCode::OK);
}

#[tokio::test]
async fn silence_ends_at_the_read_timeout_or_at_the_total_one() {
    for timeouts in [
        json!({"connect": "1s", "read": "100ms", "total": "30s"}),
        json!({"total": "200ms"}),
    ] {
        let catalog = with_policy(json!({"timeouts": timeouts})).await;
        let silent = silent().await;
        register(&catalog, "web", "silent", silent.port).await;
        let answer = tokio::time::timeout(PATIENCE, catalog.get(PATH)).await;
        answer.unwrap().problem(504);
    }
    // Somebody else may know.
    let timeouts = json!({"connect": "1s", "read": "100ms", "total": "30s"});
    let catalog = with_policy(json!({"timeouts": timeouts})).await;
    let (silent, alive) = (silent().await, Backend::start("alive").await);
    register(&catalog, "web", "silent", silent.port).await;
    register(&catalog, "web", "alive", alive.port).await;
    for _ in 0..4 {
        assert_eq!(catalog.get(PATH).await.status, StatusCode::OK);
    }
    assert!(silent.connections() > 0);
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let timeouts = json!({"connect": "1s", "read": "100ms", "total": "30s"});
    let catalog = with_policy(json!({"timeouts": timeouts})).await;
    let half = saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    register(&catalog, "web", "half", half.port).await;
    let request = Request::get(format!("{}{PATH}", catalog.url))
        .body(body::empty())
        .unwrap();
    let answer = Client::new().send(request, PATIENCE).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let collected = tokio::time::timeout(PATIENCE, answer.into_body().collect());
    assert!(collected.await.unwrap().is_err());
}

#[tokio::test]
async fn nonsense_is_a_bad_gateway() {
    for nonsense in [
        &b"hello\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let catalog = with_policy(json!({})).await;
        let backend = saying(nonsense).await;
        register(&catalog, "web", "a", backend.port).await;
        catalog.get(PATH).await.problem(502);
    }
}

#[tokio::test]
async fn a_caller_that_is_slow_or_breaks_off_is_told_apart_from_the_instance() {
    let timeouts = json!({"connect": "1s", "read": "200ms", "total": "30s"});
    let catalog = with_policy(json!({"timeouts": timeouts})).await;
    let backend = Backend::start("a").await;
    register(&catalog, "web", "a", backend.port).await;
    let mut stream = tokio::net::TcpStream::connect(catalog.running.address)
        .await
        .unwrap();
    let request = format!("PUT {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let reading = stream.read(&mut answer);
    let count = tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(backend.requests(), 0);

    // One that goes away takes nothing with it.
    let mut stream = tokio::net::TcpStream::connect(catalog.running.address)
        .await
        .unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    assert_eq!(catalog.get(PATH).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_upload_is_not_the_instances_silence() {
    let timeouts = json!({"connect": "1s", "read": "300ms", "total": "30s"});
    let catalog = with_policy(json!({"timeouts": timeouts})).await;
    let backend = Arc::new(Backend::start("a").await);
    register(&catalog, "web", "a", backend.port).await;
    // Longer than the read timeout in all, but never silent for so long.
    let pieces = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (n < 12).then(|| (Ok("x".into()), n + 1))
    });
    let request = Request::post(format!("{}{PATH}", catalog.url))
        .body(body::stream(pieces))
        .unwrap();
    let answer = Client::new().send(request, PATIENCE).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(backend.only().body.len(), 12);
}
