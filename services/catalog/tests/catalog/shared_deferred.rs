//! Calls that are answered later, by several catalogs on one Redis: whichever is asked, whichever carries them out, whichever dies.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use database::jobs::JobLimits;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use service_kit::{client::Client, http::body};

use crate::{
    backend::{Backend, register},
    deferred_calls::{Gate, PATH, asks, later, outcome},
    harness::{Harness, PATIENCE, eventually},
    replicas::replica::{Replica, TOKEN},
    servers::{Durability, PostgresServer, RedisServer},
};

const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A catalog on a Redis, with a service `web` whose instance is on a port.
async fn start(server: &RedisServer, limits: JobLimits, port: u16) -> Harness {
    let url = server.url().parse().unwrap();
    let catalog = Harness::start_with(|config| {
        config.redis = Some(url);
        config.jobs = limits;
    })
    .await;
    catalog.until_redis_connected(1.0).await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", port).await;
    catalog
}

/// Everything that is in the hashes of a Redis, as text.
fn everything(server: &RedisServer) -> String {
    const SCRIPT: &str = "local all = '' for _, key in ipairs(redis.call('KEYS', '*')) do if redis.call('TYPE', key).ok == 'hash' then \
        all = all .. table.concat(redis.call('HGETALL', key), ' ') end end return all";
    let url = server.url();
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/0");
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let ask = format!(
        "AUTH p@ss/w0rd\r\n*3\r\n$4\r\nEVAL\r\n${}\r\n{SCRIPT}\r\n$1\r\n0\r\nQUIT\r\n",
        SCRIPT.len()
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn any_catalog_knows_the_answer() {
    let server = RedisServer::start();
    let gate = Gate::start().await;
    let limits = JobLimits {
        unfinished_max: 2,
        ..JobLimits::default()
    };
    let one = start(&server, limits.clone(), gate.backend.port).await;
    let other = start(&server, limits, gate.backend.port).await;
    let call = one.write(Method::POST, PATH);
    let call = call.header("prefer", "respond-async");
    let call = call.header("x-secret-of-the-service", "hidden-1");
    let accepted = call.send().await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let location = accepted.header("location");
    let second = later(&other, Method::GET, PATH).await;
    gate.waits_for(2).await;
    // What the service is to get is in Redis, but not the token of the catalog.
    let kept = everything(&server);
    assert!(
        kept.contains("hidden-1") && !kept.contains(&one.token),
        "{kept}"
    );
    // One limit for both of them, and one answer.
    for catalog in [&one, &other] {
        assert_eq!(catalog.get(location).await.json()["status"], "pending");
        asks(catalog, Method::GET, PATH).await.problem(503);
    }
    gate.open();
    for location in [location, &second] {
        let report = outcome(&one, location).await;
        assert_eq!(report["answer"]["text"], "ok");
        assert_eq!(other.get(location).await.json(), report);
    }
    // Which is all that is left of it.
    assert!(!everything(&server).contains("hidden-1"));
}

#[tokio::test]
async fn without_redis_the_answer_comes_at_once() {
    let mut server = RedisServer::start();
    let backend = Backend::start("a").await;
    let catalog = start(&server, JobLimits::default(), backend.port).await;
    let location = later(&catalog, Method::GET, PATH).await;
    outcome(&catalog, &location).await;
    server.kill();
    catalog.until_redis_connected(0.0).await;
    let call = catalog.call(Method::POST, PATH);
    let call = call.header("prefer", "respond-async");
    let answer = call.text("text/plain", "hello".to_owned()).send().await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        (&answer.json()["bytes"], answer.header("preference-applied")),
        (&json!(5), "")
    );
    let asked = catalog.get(&location).await;
    asked.problem(503);
    assert_eq!(asked.header("retry-after"), "5");
    server.restart();
    catalog.until_redis_connected(1.0).await;
    // This Redis has forgotten everything, and later calls go through it again.
    catalog.get(&location).await.problem(404);
    let location = later(&catalog, Method::GET, PATH).await;
    assert_eq!(outcome(&catalog, &location).await["status"], "done");
}

#[tokio::test]
async fn what_a_stopped_catalog_cannot_finish_goes_to_the_other() {
    let server = RedisServer::start();
    let gate = Gate::start().await;
    let one = start(&server, JobLimits::default(), gate.backend.port).await;
    let put = later(&one, Method::PUT, PATH).await;
    let post = later(&one, Method::POST, PATH).await;
    gate.waits_for(2).await;
    let other = start(&server, JobLimits::default(), gate.backend.port).await;
    one.stop().await;
    gate.waits_for(3).await;
    gate.open();
    assert_eq!(outcome(&other, &put).await["answer"]["text"], "ok");
    let report = outcome(&other, &post).await;
    assert_eq!(report["problem"]["type"], "urn:problem:outcome-unknown");
    let methods = gate.methods.lock().unwrap().clone();
    let posts = methods.iter().filter(|method| *method == "POST");
    assert_eq!(posts.count(), 1, "{methods:?}");
}

/// A request to a catalog of its own process.
async fn ask(
    replica: &Replica,
    method: &str,
    path: &str,
    content: Option<Value>,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", replica.address))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .header("prefer", "respond-async")
        .body(content.map_or_else(body::empty, |content| body::full(content.to_string())))
        .unwrap();
    let answer = Client::new()
        .fetch(request, PATIENCE, ANSWER_BYTES_MAX)
        .await
        .unwrap();
    let value = serde_json::from_slice(answer.body()).unwrap_or_default();
    (answer.status(), value)
}

/// Waits until a catalog has found Redis; before, it answers at once.
async fn shares(replica: &Replica) {
    eventually("it is connected", async || {
        let (_, ready) = ask(replica, "GET", "/readyz?verbose", None).await;
        let mut conditions = ready["conditions"].as_array()?.iter();
        let redis = conditions.find(|condition| condition["name"] == "redis")?;
        (redis["ok"] == true).then_some(())
    })
    .await;
}

/// Waits until a call is over, and returns what became of it.
async fn over(replica: &Replica, id: &Value) -> Value {
    let path = format!("/services/calls/{}", id.as_str().unwrap());
    eventually("it is over", async || {
        let (status, report) = ask(replica, "GET", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        (report["status"] != "pending").then_some(report)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_catalogs_calls_are_carried_out_by_another_one() {
    let postgres = PostgresServer::start(Durability::Fast);
    let (database, redis) = (postgres.database(), RedisServer::start());
    let gate = Gate::start().await;
    let mut first = Replica::start(&database, redis.url()).await;
    let instance = json!({"address": format!("127.0.0.1:{}", gate.backend.port)});
    ask(&first, "PUT", "/services/web", Some(json!({"name": "web"}))).await;
    let path = "/services/web/instances/a";
    let (status, _) = ask(&first, "PUT", path, Some(instance)).await;
    assert_eq!(status, StatusCode::CREATED);
    shares(&first).await;
    let mut ids = Vec::new();
    for (count, method) in ["GET", "POST"].iter().enumerate() {
        // There is nobody else yet, so it is this one that has it.
        let (status, call) = ask(&first, method, PATH, None).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{call}");
        ids.push(call["id"].clone());
        gate.waits_for(count + 1).await;
    }
    let second = Replica::start(&database, redis.url()).await;
    first.kill();

    // Again what may be sent again, and nothing else.
    gate.waits_for(3).await;
    gate.open();
    let report = over(&second, &ids[0]).await;
    assert_eq!(report["answer"]["text"], "ok", "{report}");
    let report = over(&second, &ids[1]).await;
    assert_eq!(report["problem"]["type"], "urn:problem:outcome-unknown");
    assert_eq!(report["problem"]["status"], 502);
    assert_eq!(*gate.methods.lock().unwrap(), ["GET", "POST", "GET"]);

    // The log tells all of it.
    let told = eventually("the log has them", async || {
        let (_, log) = ask(&second, "GET", "/services/logs?service=web", None).await;
        let calls = log["calls"].as_array()?.iter();
        let mut told: Vec<_> = calls
            .map(|call| {
                let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
                (
                    text("method"),
                    call["run"].as_u64(),
                    text("ended"),
                    call["status"].as_u64(),
                )
            })
            .collect();
        told.sort();
        (told.len() == 3).then_some(told)
    })
    .await;
    let line = |method: &str, run, ended: &str, status| {
        (method.to_owned(), Some(run), ended.to_owned(), status)
    };
    assert_eq!(
        told,
        [
            line("GET", 1, "abandoned", None),
            line("GET", 2, "complete", Some(200)),
            line("POST", 1, "abandoned", Some(502)),
        ]
    );
}
