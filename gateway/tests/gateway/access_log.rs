//! One event per request, in a form that programs can rely on, and never at the expense of a request.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Semaphore, time::timeout};

use crate::harness::{
    Backend, Behaviour, Catalog, Connection, Message, eventually, get, request, send, service,
    steady_service, with,
};
use crate::program::{Process, command};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A gateway process whose log goes into a file.
struct Logging {
    process: Process,
    log: PathBuf,
    backend: Backend,
    catalog: Catalog,
    _data: TempDir,
}

impl Logging {
    /// With the service `hold`, which is cached.
    async fn start(format: &str) -> Self {
        let data = TempDir::new().unwrap();
        let (catalog, backend) = (Catalog::start().await, Backend::start("b").await);
        let cached = with(
            service("hold", &[&backend]),
            "policy/cache",
            json!({"default_ttl": "1m"}),
        );
        catalog.put(cached);
        let log = data.path().join("log");
        let process = Process::logging(
            command(data.path())
                .env("CATALOG_URL", catalog.url().to_string())
                .env("LOG_FORMAT", format),
            File::create(&log).unwrap().into(),
        );
        let gateway = Self {
            process,
            log,
            backend,
            catalog,
            _data: data,
        };
        eventually("the service is known", async || {
            get(gateway.address(), "/hold/ready").await.status() == 200
        })
        .await;
        gateway
    }

    fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// The line of the request with this id, once it is written.
    async fn line(&self, id: &str) -> String {
        let mut found = None;
        eventually("the event is written", async || {
            let text = std::fs::read_to_string(&self.log).unwrap();
            let mut lines = text.lines().filter(|line| line.contains(id));
            found = lines.next().map(str::to_owned);
            assert!(lines.next().is_none(), "two events: {text}");
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn event(&self, id: &str) -> Value {
        serde_json::from_str(&self.line(id).await).unwrap()
    }
}

const SECRET: &[(&str, &str)] = &[
    ("authorization", "Bearer hush-header"),
    ("cookie", "session=hush-cookie"),
    ("traceparent", TRACE),
];

fn with_id(id: &'static str) -> Vec<(&'static str, &'static str)> {
    [SECRET, &[("x-request-id", id)]].concat()
}

#[tokio::test]
async fn an_event_says_what_became_of_a_request_and_nothing_secret() {
    let gateway = Logging::start("json").await;
    let target = "/hold/a?token=hush-query";
    let answer = send(
        gateway.address(),
        "POST",
        target,
        &with_id("id-1"),
        "hush-body",
    )
    .await;
    assert_eq!(answer.status(), 200);
    let event = gateway.event("id-1").await;
    for (field, expected) in [
        ("target", json!("access")),
        ("level", json!("INFO")),
        ("http.method", json!("POST")),
        ("http.host", json!("gateway.test")),
        ("http.path", json!("/hold/a")),
        ("http.route", json!("hold:/hold/")),
        ("http.status", json!(200)),
        ("http.bytes_received", json!(9)),
        ("http.bytes_sent", json!(answer.text().len())),
        ("service", json!("hold")),
        ("endpoint", json!(gateway.backend.address().to_string())),
        ("retries", json!(0)),
        ("request.id", json!("id-1")),
        ("trace.id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("client.address", json!("127.0.0.1")),
    ] {
        assert_eq!(event[field], expected, "{field} of {event}");
    }
    let durations = ["duration_ms", "upstream_ms"].map(|field| event[field].as_f64().unwrap());
    assert!(
        durations[0] >= durations[1] && durations[1] > 0.0,
        "{event}"
    );
    assert!(!event.to_string().contains("hush"), "{event}");
    let received = gateway.backend.received();
    let traced = |message: &Message| message.header("traceparent") == Some(TRACE);
    assert!(received.iter().any(traced), "it goes on as it came");
}

#[tokio::test]
async fn refused_requests_have_an_event_too() {
    let gateway = Logging::start("json").await;
    send(gateway.address(), "GET", "/%zz", &with_id("id-2"), "").await;
    let event = gateway.event("id-2").await;
    assert_eq!(event["reason"], "malformed", "{event}");
    assert_eq!(event["http.status"], 400);
    assert_eq!(event["trace.id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    // What is no request never reaches Pingora. The gateway names it itself.
    let mut connection = Connection::open(gateway.address()).await.unwrap();
    let broken = "GET /?hush-query HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned();
    connection.send(broken).await.unwrap();
    let problem = connection.response().await.unwrap().json();
    let event = gateway.event(problem["instance"].as_str().unwrap()).await;
    for (field, expected) in [
        ("target", json!("access")),
        ("reason", json!("malformed")),
        ("http.method", json!("GET")),
        ("http.status", json!(400)),
        ("client.address", json!("127.0.0.1")),
    ] {
        assert_eq!(event[field], expected, "{field} of {event}");
    }
    assert!(!event.to_string().contains("hush"), "{event}");
}

#[tokio::test]
async fn what_a_service_is_spared_names_the_service_and_the_reason() {
    let gateway = Logging::start("json").await;
    let held = Arc::new(Semaphore::new(0));
    let full = Backend::behaving("f", Behaviour::Held(Arc::clone(&held))).await;
    let failing = Backend::behaving("b", Behaviour::Status(500)).await;
    let declare = |name: &str, backend: &Backend, policy: &str, value: Value| {
        let once = with(
            steady_service(name, &[backend]),
            "policy/retry",
            json!({"attempts": 1}),
        );
        gateway.catalog.put(with(once, policy, value));
    };
    let limits = "policy/limits";
    declare("short", &gateway.backend, limits, json!({"body_bytes": 8}));
    let rate = json!({"rate": {"requests": 1, "per": "1h"}});
    declare("rare", &gateway.backend, limits, rate);
    declare("full", &full, limits, json!({"concurrency": 1}));
    let breaker = json!({"requests_min": 1, "window": "10m", "open": "10m"});
    declare("broken", &failing, "policy/breaker", breaker);
    let address = gateway.address();
    // What is asked first makes the next one too much; the content of `short` is that by itself.
    eventually("the services are known", async || {
        let mut known = true;
        for (target, expected) in [("/short/", 413), ("/rare/", 429), ("/broken/", 503)] {
            let answer = send(address, "POST", target, &[], "more than 8").await;
            known &= answer.status() == expected;
        }
        known
    })
    .await;
    let waiting = tokio::spawn(async move { get(address, "/full/").await });
    eventually("a request is held", async || full.hits() == 1).await;
    for (id, service, status, reason) in [
        ("id-short", "short", 413, "body_too_large"),
        ("id-rare", "rare", 429, "rate_limited"),
        ("id-full", "full", 503, "concurrency"),
        ("id-broken", "broken", 503, "circuit_open"),
    ] {
        let target = format!("/{service}/");
        let answer = send(address, "POST", &target, &with_id(id), "more than 8").await;
        assert_eq!(answer.status(), status, "{service}");
        let event = gateway.event(id).await;
        for (field, expected) in [
            ("service", json!(service)),
            ("http.route", json!(format!("{service}:{target}"))),
            ("http.status", json!(status)),
            ("reason", json!(reason)),
            ("endpoint", Value::Null),
        ] {
            assert_eq!(event[field], expected, "{field} of {event}");
        }
    }
    held.add_permits(1_000);
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn text_has_the_same_fields() {
    let gateway = Logging::start("text").await;
    // What has an Authorization would not be kept.
    let fields = [("traceparent", TRACE), ("x-request-id", "id-3")];
    send(gateway.address(), "GET", "/hold/a?hush", &fields, "").await;
    let line = gateway.line("id-3").await;
    for part in [
        "INFO access: request",
        "http.method=\"GET\"",
        "http.route=\"hold:/hold/\"",
        "http.status=200",
        "service=\"hold\"",
        "cache=\"miss\"",
        "retries=0",
        "upstream_ms=",
        "trace.id=\"4bf92f3577b34da6a3ce929d0e0e4736\"",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(!line.contains("hush"), "{line}");
}

#[tokio::test]
async fn what_is_logged_of_requests_is_filtered_like_everything_else() {
    for (filter, has_requests, has_others) in [
        ("debug,access=off", false, true),
        ("off,access=info", true, false),
        ("access=debug", true, false),
        ("off", false, false),
    ] {
        let data = TempDir::new().unwrap();
        let log = data.path().join("log");
        let mut process = Process::logging(
            command(data.path()).env("RUST_LOG", filter),
            File::create(&log).unwrap().into(),
        );
        get(process.address, "/anything").await;
        // What waits to be written is written before it exits.
        process.signal("-TERM");
        assert_eq!(process.exit_code().await, Some(0));
        let text = std::fs::read_to_string(&log).unwrap();
        let of_requests = |line: &&str| line.contains("access: request");
        let (requests, others): (Vec<_>, Vec<_>) = text.lines().partition(of_requests);
        assert_eq!(!requests.is_empty(), has_requests, "{filter}: {text}");
        assert_eq!(!others.is_empty(), has_others, "{filter}: {text}");
    }
}

/// A process that keeps the reading end of a pipe open and never reads.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_delays_no_request_and_says_what_it_dropped() {
    const REQUESTS_MAX: usize = 20_000;
    const PATIENCE: Duration = Duration::from_secs(20);
    let data = TempDir::new().unwrap();
    // Far more events per request than by default, so that the pipe and the queue behind it are soon full.
    let (process, log) = unread(
        command(data.path())
            .env("RUST_LOG", "trace")
            .arg("--gateway-static-dir")
            .arg(folder(data.path())),
    );
    let mut connection = Connection::open(process.address).await.unwrap();
    let mut dropped = 0.0;
    for number in 0..REQUESTS_MAX {
        let asked = request("GET", "/static/a.txt", &[], "");
        let answered = async {
            connection.send(asked).await.unwrap();
            connection.response().await.unwrap()
        };
        let answer = timeout(PATIENCE, answered).await.unwrap();
        assert_eq!(answer.status(), 200);
        if number % 100 == 0 {
            dropped = dropped_events(process.admin).await;
            if dropped > 1000.0 {
                break;
            }
        }
    }
    assert!(dropped > 1000.0, "nothing was dropped");
    drop((process, log));
}

fn folder(data: &Path) -> PathBuf {
    let folder = data.join("files");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("a.txt"), "a").unwrap();
    folder
}

/// A process whose stderr is a pipe that is kept open and never read.
fn unread(command: &mut Command) -> (Process, Unread) {
    let mut keeper = Unread(
        Command::new("sleep")
            .arg("600")
            .stdin(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let pipe = keeper.0.stdin.take().unwrap();
    (Process::logging(command, pipe.into()), keeper)
}

async fn dropped_events(admin: SocketAddr) -> f64 {
    let text = get(admin, "/metrics").await.text();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("log_events_dropped_total "));
    line.unwrap().parse().unwrap()
}
