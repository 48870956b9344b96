//! What is known of calls afterwards.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    backend::{Backend, register},
    harness::{Harness, PATIENCE, eventually},
};

/// The log of the calls that a query lets through, newest first, once there are so many.
async fn logged(catalog: &Harness, query: &str, count: usize) -> Vec<Value> {
    // A call is taken down when its caller has everything, so he can be back before that.
    eventually("the calls are logged", async || {
        let answer = catalog.get(&format!("/services/logs{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        let calls = answer.json()["calls"].as_array().unwrap().clone();
        (calls.len() == count).then_some(calls)
    })
    .await
}

async fn with_calls() -> (Harness, Backend) {
    let catalog = Harness::start().await;
    let backend = Backend::start("a").await;
    catalog.put_service("web").await;
    catalog.put_service("empty").await;
    register(&catalog, "web", "a", backend.port).await;
    let call = catalog.call(Method::POST, "/services/call/web/names/5?secret=1");
    let call = call.header("x-request-id", "first");
    call.text("text/plain", "hello".to_owned()).send().await;
    catalog.get("/services/call/web/status/404").await;
    catalog.get("/services/call/web/status/503").await;
    catalog.get("/services/call/empty/").await.problem(503);
    // Sequential callers, but each call is taken down on its own.
    logged(&catalog, "", 4).await;
    (catalog, backend)
}

#[tokio::test]
async fn the_log_tells_what_became_of_calls() {
    let (catalog, _backend) = with_calls().await;
    let calls = logged(&catalog, "?service=web&status=200", 1).await;
    let call = &calls[0];
    for (key, value) in [
        ("request_id", json!("first")),
        ("service", json!("web")),
        ("service_id", json!(3)),
        ("method", json!("POST")),
        ("endpoint", json!("/names/{n}")),
        ("status", json!(200)),
        ("instance", json!("a")),
        ("attempts", json!(1)),
        ("bytes_in", json!(5)),
        ("ended", json!("complete")),
    ] {
        assert_eq!(call[key], value, "{key} of {call}");
    }
    assert!(call["bytes_out"].as_u64().unwrap() > 10);
    assert!(call["latency_ms"].as_f64().unwrap() <= call["duration_ms"].as_f64().unwrap());
    assert!(!catalog.get("/services/logs").await.text.contains("secret"));

    let refused = &logged(&catalog, "?service=empty", 1).await[0];
    assert_eq!(
        (&refused["status"], &refused["attempts"]),
        (&json!(503), &json!(0))
    );
    assert!(refused.get("instance").is_none());
}

#[tokio::test]
async fn the_log_can_be_filtered() {
    let (catalog, _backend) = with_calls().await;
    for (query, count) in [
        ("", 4),
        ("?service=web", 3),
        ("?service=3", 3),
        ("?service=nobody", 0),
        ("?status=5xx", 2),
        ("?status=404", 1),
        ("?status=5xx&service=web", 1),
        ("?limit=2", 2),
        ("?since=1h", 4),
        ("?since=2020-01-01T00:00:00Z", 4),
        ("?since=2999-01-01T00:00:00Z", 0),
    ] {
        logged(&catalog, query, count).await;
    }
    let newest = logged(&catalog, "?service=web&limit=1", 1).await;
    let all = logged(&catalog, "?service=web", 3).await;
    assert_eq!(newest[0], all[0]);
    let mut times: Vec<_> = all
        .iter()
        .map(|call| call["at"].as_str().unwrap())
        .collect();
    times.reverse();
    assert!(times.is_sorted(), "{times:?}");
    for (query, part) in [
        ("?status=6x", "5xx"),
        ("?status=99", "404"),
        ("?since=yesterday", "15m"),
        ("?since=", "15m"),
        ("?limit=0", "1 to 1000"),
        ("?limit=1001", "1 to 1000"),
        ("?service=No_Name", "service"),
        ("?endpoint=x", "endpoint"),
    ] {
        let detail = catalog
            .get(&format!("/services/logs{query}"))
            .await
            .problem(400);
        assert!(detail.contains(part), "{query}: {detail}");
    }
}

#[tokio::test]
async fn statistics_add_calls_up() {
    let (catalog, _backend) = with_calls().await;
    let answer = catalog.get("/services/stats").await;
    assert_eq!(answer.status, StatusCode::OK);
    let statistics = answer.json();
    for window in ["1m", "15m", "all"] {
        let totals = &statistics["totals"][window];
        assert_eq!(
            (&totals["calls"], &totals["errors"], &totals["bytes_in"]),
            (&json!(4), &json!(2), &json!(5)),
            "{window}"
        );
        let latency = &totals["latency_ms"];
        let [p50, p90, p99] = ["p50", "p90", "p99"].map(|p| latency[p].as_f64().unwrap());
        assert!(p50 <= p90 && p90 <= p99, "{latency}");
    }
    let services = statistics["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["web", "empty"]);
    let endpoints = services[0]["endpoints"].as_array().unwrap();
    let found: Vec<_> = endpoints
        .iter()
        .map(|e| {
            (
                e["endpoint"].as_str().unwrap(),
                &e["all"]["calls"],
                &e["all"]["errors"],
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/names/{n}", &json!(1), &json!(0)),
            ("/status/{n}", &json!(2), &json!(1))
        ]
    );
    assert_eq!(services[0]["totals"]["all"]["calls"], 3);
    catalog.delete("/services/web").await;
    let left = catalog.get("/services/stats").await.json();
    assert_eq!(left["services"].as_array().unwrap().len(), 1);
    assert_eq!(left["totals"]["all"]["calls"], 4);
    catalog.get("/services/stats?x=1").await.problem(400);
}

#[tokio::test]
async fn a_new_catalog_has_nothing_to_tell() {
    let catalog = Harness::start().await;
    assert_eq!(
        catalog.get("/services/logs").await.json(),
        json!({"scope": "process", "calls": []})
    );
    let statistics = catalog.get("/services/stats").await.json();
    assert_eq!(statistics["services"], json!([]));
    assert_eq!(statistics["totals"]["all"]["latency_ms"], Value::Null);
}

#[tokio::test]
async fn calls_that_broke_off_are_told_from_those_whose_caller_left() {
    let catalog = Harness::start().await;
    let half = Backend::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
        let _ = stream.write_all(answer).await;
        if !buffer[..count].starts_with(b"GET /cut") {
            // Until the other side goes.
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", half.port).await;
    for (path, ended) in [("cut", "cut"), ("stay", "left")] {
        let request = Request::get(format!("{}/services/call/web/{path}", catalog.url));
        let request = request.body(body::empty()).unwrap();
        let answer = Client::new().send(request, PATIENCE).await.unwrap();
        if ended == "cut" {
            assert!(answer.into_body().collect().await.is_err());
        } else {
            drop(answer);
        }
        let calls = eventually("it is logged", async || {
            let calls = catalog.get("/services/logs?limit=1").await.json()["calls"].clone();
            (calls[0]["endpoint"] == format!("/{path}")).then_some(calls)
        })
        .await;
        assert_eq!(
            (
                &calls[0]["ended"],
                &calls[0]["bytes_out"],
                &calls[0]["status"]
            ),
            (&json!(ended), &json!(4), &json!(200))
        );
    }
    let totals = catalog.get("/services/stats").await.json()["totals"]["all"].clone();
    assert_eq!(
        (&totals["calls"], &totals["errors"]),
        (&json!(2), &json!(1))
    );
}
