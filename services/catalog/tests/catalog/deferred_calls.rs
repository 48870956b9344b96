//! Calls that are answered later, in one catalog: what is promised, what comes of it, and what is refused.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::{Arc, Mutex};

use catalog::Config;
use database::jobs::JobLimits;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};

use crate::{
    backend::{Backend, dead_port, register},
    harness::{Answer, Harness, eventually},
};

pub(crate) const PATH: &str = "/services/call/web/x";

/// Answers `ok` to nobody before it is opened.
pub(crate) struct Gate {
    pub(crate) backend: Backend,
    /// The methods of those who came.
    pub(crate) methods: Arc<Mutex<Vec<String>>>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) async fn start() -> Self {
        let (open, opened) = watch::channel(false);
        let methods: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&methods);
        let backend = Backend::raw(move |mut stream| {
            let (mut opened, seen) = (opened.clone(), Arc::clone(&seen));
            async move {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&buffer[..length]);
                let method = text.split(' ').next().unwrap_or_default().to_owned();
                seen.lock().unwrap().push(method);
                let _ = opened.wait_for(|open| *open).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(answer).await;
            }
        })
        .await;
        Self {
            backend,
            methods,
            open,
        }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until so many calls stand before it.
    pub(crate) async fn waits_for(&self, calls: usize) {
        eventually("they are under way", async || {
            (self.methods.lock().unwrap().len() >= calls).then_some(())
        })
        .await;
    }
}

/// A catalog with limits and a service `web` whose instance is on a port.
pub(crate) async fn start(limits: JobLimits, port: u16) -> Harness {
    let catalog = Harness::start_with(|config: &mut Config| config.jobs = limits).await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", port).await;
    catalog
}

pub(crate) async fn asks(catalog: &Harness, method: Method, path: &str) -> Answer {
    let call = catalog.call(method, path);
    call.header("prefer", "respond-async").send().await
}

/// Has a call taken in, and returns where its answer will be.
pub(crate) async fn later(catalog: &Harness, method: Method, path: &str) -> String {
    let answer = asks(catalog, method, path).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    answer.header("location").to_owned()
}

/// What becomes of a call.
pub(crate) async fn outcome(catalog: &Harness, location: &str) -> Value {
    eventually("it is over", async || {
        let answer = catalog.get(location).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let report = answer.json();
        (report["status"] != "pending").then_some(report)
    })
    .await
}

pub(crate) async fn event(catalog: &Harness, event: &str) -> f64 {
    let series = format!("service_catalog_async_calls_total{{event=\"{event}\"}}");
    catalog.metric(&series).await.unwrap()
}

/// The log when it has so many calls, the newest first.
pub(crate) async fn log(catalog: &Harness, count: usize) -> Vec<Value> {
    eventually("the calls are in the log", async || {
        let log = catalog.get("/services/logs").await.json();
        let calls = log["calls"].as_array().unwrap().clone();
        (calls.len() >= count).then_some(calls)
    })
    .await
}

#[tokio::test]
async fn an_answer_is_kept_as_it_would_have_come_at_once() {
    let backend = Backend::start("a").await;
    let catalog = start(JobLimits::default(), backend.port).await;
    let accepted = catalog
        .write(Method::POST, "/services/call/web/a%20b?x=1")
        .header("prefer", "wait=10, respond-async")
        .header("x-request-id", "req-1")
        .text("text/plain", "hello".to_owned())
        .send()
        .await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    for (name, value) in [
        ("preference-applied", "respond-async"),
        ("cache-control", "no-store"),
        ("retry-after", "1"),
    ] {
        assert_eq!(accepted.header(name), value, "{name}");
    }
    let promised = accepted.json();
    assert_eq!(promised["status"], "pending");
    let location = accepted.header("location");
    let id = location.strip_prefix("/services/calls/").unwrap();
    assert_eq!((promised["id"].as_str(), id.len()), (Some(id), 36));

    let report = outcome(&catalog, location).await;
    for name in ["id", "service", "method", "request_id", "accepted_at"] {
        assert_eq!(report[name], promised[name], "{name}");
    }
    assert_eq!(
        (&report["status"], &report["service"]),
        (&json!("done"), &json!("web"))
    );
    let answer = &report["answer"];
    assert_eq!(answer["status"], 200);
    let said: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        said,
        json!({"instance": "a", "method": "POST", "target": "/a%20b?x=1", "bytes": 5})
    );
    for (name, value) in [
        ("x-catalog-instance", json!(["web/a"])),
        ("via", json!(["1.1 service-catalog"])),
        ("x-public", json!(["1"])),
        ("x-private", Value::Null),
    ] {
        assert_eq!(answer["headers"][name], value, "{name}");
    }
    let seen = backend.only();
    assert_eq!(&*seen.body, b"hello");
    assert!(
        seen.headers.get("authorization").is_none(),
        "the catalog's token"
    );
    for (name, value) in [
        ("prefer", "wait=10"),
        ("x-request-id", "req-1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("content-length", "5"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_call_is_in_log_and_statistics_once() {
    let backend = Backend::start("a").await;
    let catalog = start(JobLimits::default(), backend.port).await;
    let location = later(&catalog, Method::GET, PATH).await;
    outcome(&catalog, &location).await;
    let calls = log(&catalog, 1).await;
    assert_eq!(calls.len(), 1);
    let call = &calls[0];
    assert_eq!(
        (&call["run"], &call["status"], &call["ended"]),
        (&json!(1), &json!(200), &json!("complete"))
    );
    // Who reads the log does not learn where the answer is.
    let id = location.rsplit('/').next().unwrap();
    assert!(!call.to_string().contains(id));
    let statistics = catalog.get("/services/stats").await.json();
    assert_eq!(statistics["totals"]["all"]["calls"], 1);
    for name in ["accepted", "begun", "answered"] {
        assert_eq!(event(&catalog, name).await, 1.0, "{name}");
    }
    assert_eq!(event(&catalog, "failed").await, 0.0);
}

#[tokio::test]
async fn any_answer_can_be_kept() {
    let backend = Backend::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let answer = b"HTTP/1.1 418 Tea\r\nset-cookie: a=1\r\nset-cookie: b=\xfc\r\ncontent-length: 3\r\nconnection: close\r\n\r\n\0\xff\n";
        let _ = stream.write_all(answer).await;
    })
    .await;
    let catalog = start(JobLimits::default(), backend.port).await;
    let location = later(&catalog, Method::GET, PATH).await;
    let report = outcome(&catalog, &location).await;
    assert_eq!(report["status"], "done");
    let answer = &report["answer"];
    assert_eq!(answer["status"], 418);
    assert_eq!(answer["headers"]["set-cookie"], json!(["a=1", "b=\u{fc}"]));
    assert_eq!(
        (&answer["base64"], &answer["text"]),
        (&json!("AP8K"), &Value::Null)
    );
    let head = later(&catalog, Method::HEAD, PATH).await;
    let report = outcome(&catalog, &head).await;
    assert_eq!(
        (&report["method"], &report["answer"]["text"]),
        (&json!("HEAD"), &json!(""))
    );
}

#[tokio::test]
async fn the_policy_holds_as_for_any_call() {
    let backend = Backend::start("b").await;
    let catalog = start(JobLimits::default(), dead_port()).await;
    register(&catalog, "web", "b", backend.port).await;
    // Whoever's turn it is, the other one answers.
    for _ in 0..2 {
        let location = later(&catalog, Method::PUT, PATH).await;
        let report = outcome(&catalog, &location).await;
        assert_eq!(
            report["answer"]["headers"]["x-catalog-instance"],
            json!(["web/b"])
        );
    }
    let silent = Gate::start().await;
    let timeouts = json!({"connect": "100ms", "read": "100ms", "total": "200ms"});
    let spec = json!({"name": "slow", "policy": {"timeouts": timeouts}});
    catalog.put("/services/slow", spec).await;
    register(&catalog, "slow", "a", silent.backend.port).await;
    catalog.put_service("empty").await;
    for (service, status, kind) in [
        ("slow", 504, "urn:problem:gateway-timeout"),
        ("empty", 503, "urn:problem:unavailable"),
    ] {
        let path = format!("/services/call/{service}/x");
        let location = later(&catalog, Method::POST, &path).await;
        let report = outcome(&catalog, &location).await;
        assert_eq!(report["status"], "failed");
        let problem = &report["problem"];
        assert_eq!(
            (&problem["status"], &problem["type"]),
            (&json!(status), &json!(kind))
        );
        assert_eq!(problem["instance"], report["request_id"]);
        assert!(problem["detail"].as_str().unwrap().contains(service));
    }
    assert_eq!(event(&catalog, "failed").await, 2.0);
    let calls = log(&catalog, 4).await;
    assert_eq!(calls[0]["status"], 503);
}

#[tokio::test]
async fn preferences_that_make_no_sense_are_passed_over() {
    let backend = Backend::start("a").await;
    let catalog = start(JobLimits::default(), backend.port).await;
    for prefer in [
        "",
        ";;;=",
        "wait=99999999999999999999",
        "respond-async=yes",
        "respond-asynchronously",
        "x=\"respond-async",
    ] {
        let call = catalog.call(Method::GET, PATH).header("prefer", prefer);
        let answer = call.send().await;
        assert_eq!(answer.status, StatusCode::OK, "{prefer}");
        assert_eq!(answer.header("preference-applied"), "");
        assert_eq!(
            backend.only().headers["prefer"],
            prefer,
            "it is the service's"
        );
    }
    assert_eq!(event(&catalog, "accepted").await, 0.0);
}

#[tokio::test]
async fn calls_that_nobody_knows_are_not_found() {
    let catalog = Harness::start().await;
    for id in [
        "6f1e2d3c-4b5a-4678-8765-43210fedcba9",
        "6F1E2D3C-4B5A-4678-8765-43210FEDCBA9",
        "6f1e2d3c4b5a4678876543210fedcba9",
        "health",
        "1",
        "%00",
    ] {
        let detail = catalog
            .get(&format!("/services/calls/{id}"))
            .await
            .problem(404);
        assert!(detail.contains("600 s after"), "{detail}");
    }
    let path = "/services/calls/6f1e2d3c-4b5a-4678-8765-43210fedcba9";
    catalog.call(Method::DELETE, path).send().await.problem(405);
    catalog.get(&format!("{path}?x=1")).await.problem(400);
    asks(&catalog, Method::GET, "/services/call/nobody/x")
        .await
        .problem(404);
}

#[tokio::test]
async fn what_needs_the_token_is_told_to_its_owner_only() {
    let backend = Backend::start("a").await;
    let catalog = start(JobLimits::default(), backend.port).await;
    let policy = |access: &str| json!({"name": "web", "policy": {"call": access}});
    catalog.put("/services/web", policy("token")).await;
    asks(&catalog, Method::GET, PATH).await.problem(401);
    let call = catalog.write(Method::GET, PATH);
    let accepted = call.header("prefer", "respond-async").send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    let location = accepted.header("location");
    catalog.get(location).await.problem(401);
    let wrong = catalog.call(Method::GET, location);
    let wrong = wrong.header("authorization", "Bearer x");
    wrong.send().await.problem(403);
    eventually("it is over", async || {
        let report = catalog.write(Method::GET, location).send().await.json();
        (report["answer"]["status"] == 200).then_some(())
    })
    .await;
    assert!(backend.only().headers.get("authorization").is_none());
    catalog.put("/services/web", policy("off")).await;
    asks(&catalog, Method::GET, PATH).await.problem(403);
}
