//! Calls through the catalog: what arrives, what comes back, and who answers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use service_kit::{client::Client, http::body};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};

use crate::{
    backend::{Backend, dead_port, register},
    harness::{Harness, PATIENCE},
};

/// A catalog with one service, `web`, that has one instance, `a`.
async fn with_backend() -> (Harness, Backend) {
    let catalog = Harness::start().await;
    let backend = Backend::start("a").await;
    catalog.put_service("web").await;
    register(&catalog, "web", "a", backend.port).await;
    (catalog, backend)
}

#[tokio::test]
async fn a_call_arrives_as_it_was_sent_and_the_answer_comes_back() {
    let (catalog, backend) = with_backend().await;
    let answer = catalog
        .call(Method::POST, "/services/call/web/a%20b/c?x=1&y=%2F")
        .header("x-mine", "1")
        .header("x-request-id", "req-1")
        .text("text/plain", "hello".to_owned())
        .send()
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({"instance": "a", "method": "POST", "target": "/a%20b/c?x=1&y=%2F", "bytes": 5})
    );
    for (name, value) in [
        ("x-public", "1"),
        ("x-catalog-instance", "web/a"),
        ("via", "1.1 service-catalog"),
        ("x-request-id", "req-1"),
        ("x-private", ""),
        ("proxy-authenticate", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let seen = backend.only();
    assert_eq!(&*seen.body, b"hello");
    let own = catalog.running.address;
    for (name, value) in [
        ("host", format!("127.0.0.1:{}", backend.port)),
        ("x-mine", "1".to_owned()),
        ("content-type", "text/plain".to_owned()),
        ("content-length", "5".to_owned()),
        ("x-request-id", "req-1".to_owned()),
        ("x-forwarded-for", "127.0.0.1".to_owned()),
        ("x-forwarded-host", own.to_string()),
        ("x-forwarded-proto", "http".to_owned()),
        ("via", "1.1 service-catalog".to_owned()),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
}

#[tokio::test]
async fn every_method_and_status_passes() {
    let (catalog, backend) = with_backend().await;
    for method in [
        "GET", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY",
    ] {
        let method: Method = method.parse().unwrap();
        let answer = catalog
            .call(method.clone(), "/services/call/web/x")
            .send()
            .await;
        assert_eq!(answer.json()["method"], method.as_str());
    }
    let head = catalog
        .call(Method::HEAD, "/services/call/web/x")
        .send()
        .await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(backend.seen.lock().unwrap().last().unwrap().method, "HEAD");
    for status in [204, 301, 302, 404, 418, 500, 599] {
        let path = format!("/services/call/web/status/{status}");
        let answer = catalog.get(&path).await;
        assert_eq!(answer.status.as_u16(), status);
        // A redirect is the caller's to follow.
        assert_eq!(answer.header("location"), "http://127.0.0.1:1/elsewhere");
    }
    let trace = catalog
        .call(Method::TRACE, "/services/call/web/x")
        .send()
        .await;
    trace.problem(405);
    // By id, and without an endpoint.
    let id = catalog.get("/services/web").await.json()["id"].clone();
    for (path, target) in [("", "/"), ("/", "/"), ("/?q", "/?q"), ("?q", "/?q")] {
        let answer = catalog.get(&format!("/services/call/{id}{path}")).await;
        assert_eq!(answer.json()["target"], target, "{path}");
    }
}

#[tokio::test]
async fn calls_are_spread_over_those_that_pass() {
    let (catalog, _first) = with_backend().await;
    let second = Backend::start("b").await;
    register(&catalog, "web", "b", second.port).await;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 {
        let answer = catalog.get("/services/call/web/x").await;
        let instance = answer.json()["instance"].as_str().unwrap().to_owned();
        *counts.entry(instance).or_default() += 1;
    }
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(
        counts.values().all(|count| (18..=22).contains(count)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    let catalog = Harness::start().await;
    // Sends back each piece as it comes; the first piece must be back before the caller sends the second.
    let echo = Backend::raw(|mut stream| async move {
        let mut buffer = vec![0; 4096];
        let mut header = Vec::new();
        while !header.windows(4).any(|window| window == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).await.unwrap();
            header.extend_from_slice(&buffer[..count]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let start = header
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap()
            + 4;
        // Chunked in, chunked out: the bytes are the same.
        let mut piece = header.split_off(start);
        while !piece.ends_with(b"0\r\n\r\n") {
            stream.write_all(&piece).await.unwrap();
            let count = stream.read(&mut buffer).await.unwrap();
            piece = buffer[..count].to_vec();
        }
        stream.write_all(&piece).await.unwrap();
    })
    .await;
    catalog.put_service("echo").await;
    register(&catalog, "echo", "a", echo.port).await;
    let (pieces, sent) = mpsc::channel::<Bytes>(1);
    let body = stream::unfold(sent, |mut sent| async {
        sent.recv().await.map(|piece| (Ok(piece), sent))
    });
    let request = Request::post(format!("{}/services/call/echo/x", catalog.url))
        .body(body::stream(body))
        .unwrap();
    pieces.send(Bytes::from_static(b"first")).await.unwrap();
    let answer = Client::new().send(request, PATIENCE).await.unwrap();
    let mut answer = answer.into_body();
    for (piece, next) in [
        ("first", Some("second")),
        ("second", Some("third")),
        ("third", None),
    ] {
        let frame = tokio::time::timeout(PATIENCE, answer.frame())
            .await
            .unwrap();
        assert_eq!(
            &*frame.unwrap().unwrap().into_data().unwrap(),
            piece.as_bytes()
        );
        if let Some(next) = next {
            pieces
                .send(Bytes::from_static(next.as_bytes()))
                .await
                .unwrap();
        }
    }
    drop(pieces);
    assert!(answer.frame().await.is_none());
}

#[tokio::test]
async fn large_bodies_pass() {
    let (catalog, backend) = with_backend().await;
    let bytes = 8 * 1024 * 1024;
    let answer = catalog
        .call(Method::PUT, "/services/call/web/x")
        .text("application/octet-stream", "x".repeat(bytes))
        .send()
        .await;
    assert_eq!(answer.json()["bytes"], bytes);
    assert_eq!(backend.only().body.len(), bytes);
}

#[tokio::test]
async fn calls_are_counted_until_the_service_is_gone() {
    let (catalog, _backend) = with_backend().await;
    catalog.put_service("empty").await;
    catalog.get("/services/call/web/x").await;
    catalog.get("/services/call/web/status/404").await;
    catalog.get("/services/call/empty/x").await.problem(503);
    let series = |service: &str, status: &str| {
        format!(r#"service_catalog_proxy_calls_total{{service="{service}",status="{status}"}}"#)
    };
    for (service, status) in [("web", "200"), ("web", "404"), ("empty", "503")] {
        assert_eq!(
            catalog.metric(&series(service, status)).await,
            Some(1.0),
            "{service}"
        );
    }
    catalog.delete("/services/web").await;
    assert_eq!(catalog.metric(&series("web", "200")).await, None);
    assert_eq!(catalog.metric(&series("web", "404")).await, None);
    assert_eq!(catalog.metric(&series("empty", "503")).await, Some(1.0));
}

#[tokio::test]
async fn who_may_call_is_the_services_decision() {
    let (catalog, backend) = with_backend().await;
    let policy = |access: &str| json!({"name": "web", "policy": {"call": access}});
    let path = "/services/call/web/x";
    // The default is not written out.
    let open = catalog.get("/services/web").await.json();
    assert!(open["policy"].get("call").is_none());
    catalog.put("/services/web", policy("token")).await;
    let refused = catalog.get(path).await;
    refused.problem(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let wrong = catalog
        .call(Method::GET, path)
        .header("authorization", "Bearer x");
    wrong.send().await.problem(403);
    let right = catalog.write(Method::GET, path).send().await;
    assert_eq!(right.status, StatusCode::OK);
    assert!(backend.only().headers.get("authorization").is_none());

    catalog.put("/services/web", policy("off")).await;
    assert!(
        catalog
            .write(Method::GET, path)
            .send()
            .await
            .problem(403)
            .contains("policy")
    );
    assert_eq!(backend.requests(), 0);
    let wrong = catalog.put("/services/web", policy("everyone")).await;
    assert!(wrong.problem(400).contains("open"));

    catalog.put("/services/web", policy("open")).await;
    catalog.write(Method::GET, path).send().await;
    assert!(backend.only().headers.get("authorization").is_none());
    // What is meant for the service reaches it.
    let own = catalog
        .call(Method::GET, path)
        .header("authorization", "Bearer its-own");
    own.send().await;
    assert_eq!(backend.only().headers["authorization"], "Bearer its-own");
}

#[tokio::test]
async fn no_path_leads_anywhere_else() {
    let (catalog, backend) = with_backend().await;
    let elsewhere = Backend::start("elsewhere").await;
    let host = format!("127.0.0.1:{}", elsewhere.port);
    let own = format!("127.0.0.1:{}", backend.port);
    for (path, target) in [
        (
            format!("/services/call/web//{host}/x"),
            format!("/{host}/x"),
        ),
        (
            format!("/services/call/web/http://{host}/x"),
            format!("/http://{host}/x"),
        ),
        (
            format!("/services/call/web/../../{host}/x"),
            format!("/{host}/x"),
        ),
        (
            format!("/services/call/web/%2e%2e/%2E./{host}"),
            format!("/{host}"),
        ),
        (
            format!("/services/call/web/a/..//{host}"),
            format!("/{host}"),
        ),
        (format!("/services/call/web/\\\\{host}"), format!("/{host}")),
        (format!("/services/call/web/@{host}/"), format!("/@{host}/")),
        (
            format!("/services/call/web/%2f%2f{host}"),
            format!("/%2f%2f{host}"),
        ),
        (
            format!("http://{host}/services/call/web/x"),
            "/x".to_owned(),
        ),
    ] {
        let answer = raw(&catalog, &path, &host).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let seen = backend.only();
        assert_eq!(seen.target, target, "{path}");
        assert_eq!(seen.headers["host"], own, "{path}");
    }
    // The service itself cannot be made up either.
    for path in [
        format!("/services/call/{host}/x"),
        "/services/call/..%2fweb/x".to_owned(),
        "/services/call/%2e%2e/x".to_owned(),
        "/services/call//web/x".to_owned(),
    ] {
        let answer = raw(&catalog, &path, &host).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert_eq!((backend.requests(), elsewhere.connections()), (0, 0));
}

async fn raw(catalog: &Harness, target: &str, host: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(catalog.running.address)
        .await
        .unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let reading = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap()
        .unwrap();
    answer
}

#[tokio::test]
async fn a_circle_is_broken() {
    let catalog = Harness::start().await;
    let circle = "/services/call/service-catalog".repeat(4);
    let answer = catalog.get(&format!("{circle}/services/1")).await;
    assert_eq!(answer.json()["name"], "service-api");
    let answer = catalog
        .get(&format!("{circle}/services/call/service-catalog/x"))
        .await;
    assert_eq!(answer.status, StatusCode::LOOP_DETECTED, "{}", answer.text);
}

#[tokio::test]
async fn unknown_services_are_not_found() {
    let catalog = Harness::start().await;
    catalog.get("/services/call/nobody/x").await.problem(404);
    catalog.get("/services/call/99/x").await.problem(404);
    let reserved = catalog.get("/services/call/health").await.problem(404);
    assert!(reserved.contains("reserved"));
    catalog.put_service("web").await;
    register(&catalog, "web", "a", dead_port()).await;
    catalog.get("/services/call/web/x").await.problem(502);
}
