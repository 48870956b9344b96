//! Limits of calls that are answered later: of the queue, of times, of bytes; and what becomes of what waits.

use std::{sync::Arc, time::Duration};

use database::jobs::JobLimits;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    backend::{Backend, register},
    deferred_calls::{Gate, PATH, asks, event, later, log, outcome, start},
    harness::{Harness, eventually},
};

/// As many calls as a catalog carries out at once.
const WORKERS: usize = 32;

/// A time that is over soon.
const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn the_queue_is_bounded() {
    let gate = Gate::start().await;
    let limits = JobLimits {
        unfinished_max: 2,
        ..JobLimits::default()
    };
    let catalog = start(limits, gate.backend.port).await;
    let first = later(&catalog, Method::GET, PATH).await;
    let second = later(&catalog, Method::POST, PATH).await;
    let full = asks(&catalog, Method::GET, PATH).await;
    let detail = full.problem(503);
    assert!(detail.contains("without Prefer"), "{detail}");
    assert_eq!(full.header("retry-after"), "5");
    assert_eq!(event(&catalog, "refused").await, 1.0);
    gate.open();
    // Others are served meanwhile, and so is this one when it does not insist.
    assert_eq!(catalog.get(PATH).await.text, "ok");
    for location in [first, second] {
        assert_eq!(outcome(&catalog, &location).await["answer"]["text"], "ok");
    }
    later(&catalog, Method::GET, PATH).await;
    let refused = log(&catalog, 5).await;
    assert!(refused.iter().any(|call| call["status"] == 503));
}

#[tokio::test]
async fn answers_expire() {
    let backend = Backend::start("a").await;
    let limits = JobLimits {
        kept: SOON,
        ..JobLimits::default()
    };
    let catalog = start(limits, backend.port).await;
    let location = later(&catalog, Method::GET, PATH).await;
    let gone = eventually("it is forgotten", async || {
        let answer = catalog.get(&location).await;
        (answer.status == StatusCode::NOT_FOUND).then_some(answer)
    })
    .await;
    gone.problem(404);
    assert_eq!(event(&catalog, "answered").await, 1.0);
}

#[tokio::test]
async fn what_is_too_long_is_said() {
    let backend = Backend::start("a").await;
    let catalog = start(JobLimits::default(), backend.port).await;
    let send = async |length: usize| {
        let call = catalog.call(Method::PUT, PATH);
        let call = call.header("prefer", "respond-async");
        call.text("text/plain", "x".repeat(length)).send().await
    };
    assert_eq!(send(256 * 1024).await.status, StatusCode::ACCEPTED);
    let long = send(256 * 1024 + 1).await;
    assert!(long.problem(413).contains("without Prefer"));
    assert_eq!(long.json()["limit_bytes"], 256 * 1024);
    let spec = json!({"name": "web", "policy": {"limits": {"body_bytes": 10}}});
    catalog.put("/services/web", spec).await;
    assert_eq!(send(10).await.status, StatusCode::ACCEPTED);
    assert_eq!(send(11).await.json()["limit_bytes"], 10);

    let long = Backend::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n")
            .await;
        let _ = stream.write_all(&vec![b'x'; 300_000]).await;
    })
    .await;
    let cut = Backend::raw(|mut stream| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await;
    })
    .await;
    for (name, backend, says) in [("long", long, "262144"), ("cut", cut, "broke off")] {
        catalog.put_service(name).await;
        register(&catalog, name, "a", backend.port).await;
        let path = format!("/services/call/{name}/x");
        let location = later(&catalog, Method::GET, &path).await;
        let report = outcome(&catalog, &location).await;
        assert_eq!(report["status"], "failed");
        let detail = report["problem"]["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{detail}");
        assert_eq!(report["problem"]["status"], 502);
    }
}

/// Every worker stands before a gate, so that what comes now has to wait.
async fn busy(limits: JobLimits) -> (Harness, Gate) {
    let gate = Gate::start().await;
    let catalog = start(limits, gate.backend.port).await;
    for _ in 0..WORKERS {
        later(&catalog, Method::GET, PATH).await;
    }
    gate.waits_for(WORKERS).await;
    (catalog, gate)
}

#[tokio::test]
async fn what_changes_while_a_call_waits_counts() {
    let (catalog, gate) = busy(JobLimits::default()).await;
    let backend = Backend::start("a").await;
    let mut locations = Vec::new();
    for name in ["gone", "closed", "guarded"] {
        catalog.put_service(name).await;
        register(&catalog, name, "a", backend.port).await;
        let path = format!("/services/call/{name}/x");
        locations.push(later(&catalog, Method::GET, &path).await);
    }
    eventually("the metrics tell", async || {
        let waiting = catalog.metric("service_catalog_async_calls_waiting").await;
        let running = catalog.metric("service_catalog_async_calls_running").await;
        ((waiting, running) == (Some(3.0), Some(WORKERS as f64))).then_some(())
    })
    .await;
    catalog.delete("/services/gone").await;
    for (name, access) in [("closed", "off"), ("guarded", "token")] {
        let spec = json!({"name": name, "policy": {"call": access}});
        catalog.put(&format!("/services/{name}"), spec).await;
    }
    gate.open();
    for (location, status) in locations.iter().zip([404, 403, 401]) {
        let report = outcome(&catalog, location).await;
        assert_eq!(report["problem"]["status"], status, "{report}");
    }
    assert_eq!(backend.requests(), 0);
}

#[tokio::test]
async fn what_waits_too_long_is_given_up() {
    let limits = JobLimits {
        wait_max: SOON,
        ..JobLimits::default()
    };
    let (catalog, _gate) = busy(limits).await;
    let location = later(&catalog, Method::GET, PATH).await;
    let report = outcome(&catalog, &location).await;
    assert_eq!(report["problem"]["status"], 503);
    let detail = report["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("was not begun"), "{detail}");
    let calls = log(&catalog, 1).await;
    assert_eq!(
        (&calls[0]["run"], &calls[0]["status"]),
        (&json!(0), &json!(503))
    );
}

#[tokio::test]
async fn a_stop_waits_for_what_was_promised() {
    let (catalog, gate) = busy(JobLimits::default()).await;
    // These have to wait, and nobody else could begin them.
    for _ in 0..3 {
        later(&catalog, Method::POST, PATH).await;
    }
    let gate = Arc::new(gate);
    let opening = {
        let gate = Arc::clone(&gate);
        let url = catalog.url.clone();
        async move {
            let address = url.strip_prefix("http://").unwrap().to_owned();
            eventually("its port is closed", async || {
                tokio::net::TcpStream::connect(&address)
                    .await
                    .is_err()
                    .then_some(())
            })
            .await;
            gate.open();
        }
    };
    let ((drained, _folder), ()) = tokio::join!(catalog.stop(), opening);
    assert!(drained.finished);
    assert_eq!(gate.backend.connections(), WORKERS + 3);
}
