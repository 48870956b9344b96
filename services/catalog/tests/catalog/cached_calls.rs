//! Answers to calls that are kept, in a process and for all catalogs on one Redis.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    backend::{Backend, register},
    harness::{Answer, Harness, eventually},
    servers::RedisServer,
};

/// Counts its requests and tells the number; the path is the header that it sends, with an encoded | between the fields.
async fn counting() -> (Backend, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let backend = Backend::raw(move |mut stream| {
        let counter = Arc::clone(&counter);
        async move {
            let mut buffer = vec![0; 16 * 1024];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let fields = path[1..].split('?').next().unwrap().replace("%7C", "\r\n");
            let body = format!("{number}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\n{fields}\r\nconnection: close\r\n{}\r\n{body}",
                if path.contains("unframed") {
                    String::new()
                } else {
                    format!("content-length: {}\r\n", body.len())
                }
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    (backend, count)
}

async fn with_counting() -> (Harness, Backend, Arc<AtomicUsize>) {
    let catalog = Harness::start().await;
    let (backend, count) = counting().await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", backend.port).await;
    (catalog, backend, count)
}

/// Of a service whose header says that it may be kept for a minute.
const MINUTE: &str = "/services/call/web/cache-control:max-age=60";

/// Asks until the answer is out of the cache: it gets there when its first caller has it already.
async fn hit(catalog: &Harness, path: &str) -> Answer {
    eventually("it is kept", async || {
        let answer = catalog.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let status = answer.header("cache-status").to_owned();
        (status == "service-catalog; hit").then_some(answer)
    })
    .await
}

#[tokio::test]
async fn an_answer_is_given_again_while_it_is_fresh() {
    let (catalog, _backend, count) = with_counting().await;
    let first = catalog.get(MINUTE).await;
    assert_eq!(first.header("cache-status"), "service-catalog; fwd=miss");
    assert_eq!(first.header("age"), "");
    hit(&catalog, MINUTE).await;
    let asked = count.load(Ordering::SeqCst);
    let again = catalog.get(MINUTE).await;
    assert_eq!(again.text, asked.to_string());
    assert_eq!(count.load(Ordering::SeqCst), asked);
    assert_eq!(again.header("cache-control"), "max-age=60");
    assert_eq!(again.header("x-catalog-instance"), "web/a");
    assert!(again.header("age").parse::<u64>().unwrap() < 60);
    // Another target is another answer.
    let other = catalog.get(&format!("{MINUTE}?x=1")).await;
    assert_eq!(other.header("cache-status"), "service-catalog; fwd=miss");

    let hits = catalog.metric("service_catalog_cache_hits_total").await;
    let misses = catalog.metric("service_catalog_cache_misses_total").await;
    let (hits, misses) = (hits.unwrap(), misses.unwrap());
    assert!(hits >= 2.0 && misses >= 2.0, "{hits} {misses}");
    let totals = eventually("the calls are counted", async || {
        let totals = catalog.get("/services/stats").await.json()["totals"]["all"].clone();
        (totals["calls"] == json!((hits + misses) as u64)).then_some(totals)
    })
    .await;
    assert_eq!(totals["cache_hits"], json!(hits as u64));
    assert_eq!(totals["cache_misses"], json!(misses as u64));
    assert_eq!(totals["cache_hit_ratio"], json!(hits / (hits + misses)));
    let log = catalog.get("/services/logs?limit=1000").await.json();
    let logged = log["calls"].as_array().unwrap().iter();
    let cached = logged.filter(|call| call["cache"] == "hit" && call["attempts"] == 0);
    assert_eq!(cached.count(), hits as usize);
}

#[tokio::test]
async fn what_may_not_be_kept_is_asked_for_again() {
    let (catalog, _backend, count) = with_counting().await;
    for fields in [
        "x:y",
        "cache-control:no-store,max-age=60",
        "cache-control:private,max-age=60",
        "cache-control:max-age=0",
        "cache-control:max-age=60|set-cookie:a=1",
        "cache-control:max-age=60|vary:*",
        "cache-control:max-age=60|x:unframed",
    ] {
        let path = format!("/services/call/web/{}", fields.replace('|', "%7C"));
        for _ in 0..3 {
            let answer = catalog.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{fields}: {}", answer.text);
            let said = answer.header("cache-status");
            assert_eq!(said, "service-catalog; fwd=miss", "{fields}");
            assert_eq!(answer.text, count.load(Ordering::SeqCst).to_string());
        }
    }
}

#[tokio::test]
async fn some_requests_pass_by() {
    let (catalog, _backend, _count) = with_counting().await;
    hit(&catalog, MINUTE).await;
    let token = format!("Bearer {}", catalog.token);
    for (method, name, value) in [
        (Method::GET, "authorization", "Basic eA=="),
        (Method::GET, "authorization", token.as_str()),
        (Method::GET, "cookie", "a=1"),
        (Method::GET, "cache-control", "no-cache"),
        (Method::GET, "cache-control", "no-store"),
        (Method::GET, "range", "bytes=0-0"),
        (Method::HEAD, "accept", "*/*"),
    ] {
        let answer = catalog
            .call(method, MINUTE)
            .header(name, value)
            .send()
            .await;
        assert_eq!(
            answer.header("cache-status"),
            "service-catalog; fwd=bypass",
            "{name}"
        );
    }
    // The host that the service is told belongs to the question.
    let call = catalog.call(Method::GET, MINUTE);
    let other = call.header("x-forwarded-host", "evil.example").send().await;
    assert_eq!(other.header("cache-status"), "service-catalog; fwd=miss");
}

#[tokio::test]
async fn what_an_answer_depends_on_is_compared() {
    let (catalog, _backend, _count) = with_counting().await;
    let path = format!("{MINUTE}%7Cvary:accept-language");
    let ask = async |language: &str| {
        let call = catalog.call(Method::GET, &path);
        call.header("accept-language", language).send().await
    };
    eventually("it is kept", async || {
        let said = ask("en").await.header("cache-status").to_owned();
        (said == "service-catalog; hit").then_some(())
    })
    .await;
    assert_eq!(
        ask("ru").await.header("cache-status"),
        "service-catalog; fwd=miss"
    );
}

#[tokio::test]
async fn a_successful_write_removes_what_it_makes_untrue() {
    let (catalog, _backend, _count) = with_counting().await;
    let old = hit(&catalog, MINUTE).await;
    let written = catalog.call(Method::POST, MINUTE).send().await;
    assert_eq!(written.status, StatusCode::OK);
    let new = catalog.get(MINUTE).await;
    assert_eq!(new.header("cache-status"), "service-catalog; fwd=miss");
    assert_ne!(new.text, old.text);
}

#[tokio::test]
async fn catalogs_share_what_is_kept_and_go_on_without() {
    let mut server = RedisServer::start();
    let (backend, count) = counting().await;
    let mut catalogs = Vec::new();
    for _ in 0..2 {
        let url = server.url().parse().unwrap();
        let catalog = Harness::start_with(|config| config.redis = Some(url)).await;
        catalog.until_redis_connected(1.0).await;
        catalog.put_service("web").await;
        register(&catalog, "web", "a", backend.port).await;
        catalogs.push(catalog);
    }
    let ask = async |method: Method, catalog: usize| {
        // As they come by way of a gateway: whichever catalog is asked, it is for the same host.
        let call = catalogs[catalog].call(method, MINUTE);
        let answer = call.header("x-forwarded-host", "example.org").send().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let said = answer.header("cache-status").to_owned();
        said.trim_start_matches("service-catalog; ").to_owned()
    };
    let kept = async |catalog| {
        eventually("it is kept", async || {
            (ask(Method::GET, catalog).await == "hit").then_some(())
        })
        .await;
    };
    kept(0).await;
    let asked = count.load(Ordering::SeqCst);
    // At once: the other one never asked for it.
    assert_eq!(ask(Method::GET, 1).await, "hit");
    assert_eq!(count.load(Ordering::SeqCst), asked);
    ask(Method::POST, 1).await;
    assert_eq!(ask(Method::GET, 0).await, "fwd=miss");

    server.kill();
    for catalog in 0..2 {
        assert_eq!(ask(Method::GET, catalog).await, "fwd=miss");
    }
    server.restart();
    kept(1).await;
}
