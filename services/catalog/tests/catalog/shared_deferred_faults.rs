//! Calls that are answered later, while the catalogs that carry them out are killed one after the other: what may be done twice is done at
//! least once, anything else at most once, and nobody is told anything untrue.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, StatusCode};
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};

use crate::{
    backend::Backend,
    replicas::replica::{Replica, TOKEN},
    servers::{Durability, PostgresServer, RedisServer},
};

const CALLS: usize = 60;

/// After how many calls one catalog is killed.
const KILL_EVERY: usize = 15;

/// What the service takes for each, so that some are under way whenever a catalog is killed.
const WORK: Duration = Duration::from_millis(400);

/// Longest wait for the end of all calls.
const PATIENCE: Duration = Duration::from_secs(90);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How often each path was asked for.
type Arrivals = Arc<Mutex<BTreeMap<String, usize>>>;

async fn counting() -> (Backend, Arrivals) {
    let arrivals = Arrivals::default();
    let counts = Arc::clone(&arrivals);
    let backend = Backend::raw(move |mut stream| {
        let counts = Arc::clone(&counts);
        async move {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&buffer[..length]);
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            *counts.lock().unwrap().entry(path).or_default() += 1;
            sleep(WORK).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    })
    .await;
    (backend, arrivals)
}

/// Status and content of an answer; none when the catalog is dead.
async fn ask(
    at: &Replica,
    method: &str,
    path: &str,
    content: Option<Value>,
) -> Option<(StatusCode, Value)> {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", at.address))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .header("prefer", "respond-async")
        .body(content.map_or_else(body::empty, |content| body::full(content.to_string())))
        .unwrap();
    let client = Client::new();
    let answer = client.fetch(request, PATIENCE, ANSWER_BYTES_MAX).await;
    let answer = answer.ok()?;
    let value = serde_json::from_slice(answer.body()).unwrap_or_default();
    Some((answer.status(), value))
}

/// Waits until a request has this status.
async fn until(status: StatusCode, at: &Replica, method: &str, path: &str, content: Option<Value>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(at, method, path, content.clone()).await;
        if answer.is_some_and(|(found, _)| found == status) {
            return;
        }
        assert!(Instant::now() < deadline, "{method} {path}: never {status}");
        sleep(LOOK).await;
    }
}

/// Waits until a catalog knows the instance.
async fn has_instance(at: &Replica) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(at, "GET", "/services/web", None).await;
        let instances =
            answer.and_then(|(_, service)| Some(service["instances"].as_array()?.len()));
        if instances == Some(1) {
            return;
        }
        assert!(Instant::now() < deadline, "the instance is never known");
        sleep(LOOK).await;
    }
}

/// What became of a call.
async fn outcome(at: &Replica, id: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(at, "GET", &format!("/services/calls/{id}"), None).await;
        if let Some((StatusCode::OK, report)) = answer
            && report["status"] != "pending"
        {
            return report;
        }
        assert!(Instant::now() < deadline, "{id} is never over");
        sleep(LOOK).await;
    }
}

/// Checks one call that was taken in.
fn holds(method: &str, report: &Value, arrived: usize) {
    let is_done = report["status"] == "done";
    if method == "GET" {
        assert!(is_done && (1..=3).contains(&arrived), "{arrived}: {report}");
        return;
    }
    assert!(arrived <= 1, "done {arrived} times: {report}");
    if !is_done {
        let kind = &report["problem"]["type"];
        assert_eq!(kind, "urn:problem:outcome-unknown", "{report}");
    } else {
        assert_eq!(arrived, 1, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dies_nothing_is_lost_and_nothing_is_done_twice_that_must_not_be() {
    let postgres = PostgresServer::start(Durability::Fast);
    let (database, redis) = (postgres.database(), RedisServer::start());
    let (backend, arrivals) = counting().await;
    let mut replicas = [
        Replica::start(&database, redis.url()).await,
        Replica::start(&database, redis.url()).await,
    ];
    let spec = json!({"name": "web"});
    until(
        StatusCode::CREATED,
        &replicas[0],
        "PUT",
        "/services/web",
        Some(spec),
    )
    .await;
    let address = json!({"address": format!("127.0.0.1:{}", backend.port)});
    let instance = "/services/web/instances/a";
    until(
        StatusCode::CREATED,
        &replicas[0],
        "PUT",
        instance,
        Some(address),
    )
    .await;
    for replica in &replicas {
        // It knows whom to call, and has found Redis.
        has_instance(replica).await;
        until(
            StatusCode::ACCEPTED,
            replica,
            "GET",
            "/services/call/web/first",
            None,
        )
        .await;
    }

    let mut accepted = Vec::new();
    for number in 0..CALLS {
        let method = ["GET", "POST"][number / 2 % 2];
        let path = format!("/services/call/web/{number}");
        // Who has no answer does not know whether his call was taken in; he is not told anything, either.
        if let Some((StatusCode::ACCEPTED, report)) =
            ask(&replicas[number % 2], method, &path, None).await
        {
            let id = report["id"].as_str().unwrap().to_owned();
            accepted.push((method, format!("/{number}"), id));
        }
        if number % KILL_EVERY == KILL_EVERY - 1 {
            replicas[number / KILL_EVERY % 2].kill_and_restart().await;
        }
    }
    // All but a few, or this would show nothing.
    assert!(accepted.len() > CALLS / 2, "{}", accepted.len());
    let mut unknown = 0;
    for (number, (method, path, id)) in accepted.iter().enumerate() {
        let report = outcome(&replicas[number % 2], id).await;
        let arrived = arrivals.lock().unwrap().get(path).copied();
        holds(method, &report, arrived.unwrap_or(0));
        unknown += usize::from(report["status"] == "failed");
        let other = outcome(&replicas[(number + 1) % 2], id).await;
        assert_eq!(report, other, "both say the same");
    }
    assert!(
        unknown > 0,
        "no catalog was killed while it had something to do"
    );
}
