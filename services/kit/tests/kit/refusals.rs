//! Requests that are refused early or are none: whoever sent them can read why.

use service_kit::http::Limits;

use crate::server::Server;
use crate::wire::Wire;

/// More than any kernel keeps for a reader that does not read.
const LONG_BYTES: usize = 10 * 1024 * 1024;

async fn server() -> Server {
    Server::start(Limits::default()).await
}

#[tokio::test]
async fn whoever_sends_a_long_body_before_he_reads_still_gets_the_answer() {
    let server = server().await;
    let long = "a".repeat(LONG_BYTES);
    for (line, status) in [
        ("POST /wish", 413),
        ("POST /nothing", 404),
        ("PUT /hello", 405),
    ] {
        let mut wire = Wire::connect(server.address).await;
        wire.send(format!(
            "{line} HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: {LONG_BYTES}\r\n\r\n"
        ))
        .await;
        // Not one byte of it meets a reset.
        wire.send(&long).await;
        let answer = wire.answer(true).await;
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(answer.json()["instance"], answer.header("x-request-id"));
        assert_eq!(wire.rest().await, "");
    }
}

#[tokio::test]
async fn what_is_no_request_gets_a_problem() {
    let server = server().await;
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "a".repeat(60_000));
    let long_header = format!(
        "GET / HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n",
        "a".repeat(200_000)
    );
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".as_slice(), 400),
        (b"GET /\xff HTTP/1.1\r\nhost: t\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nhost: t\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad field: t\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nhost: t\r\ncontent-length: -1\r\n\r\n",
            400,
        ),
        (b"GET / HTTP/1.1\r\nhost: t\r\nx: \0\r\n\r\n", 400),
        (long_target.as_bytes(), 404),
        (long_header.as_bytes(), 431),
        // After a request that was one.
        (
            b"GET /hello HTTP/1.1\r\nhost: t\r\n\r\nnonsense\r\n\r\n",
            400,
        ),
    ] {
        let mut wire = Wire::connect(server.address).await;
        wire.send(bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        let mut answer = wire.answer(true).await;
        if bytes.starts_with(b"GET /hello") {
            assert_eq!(answer.body, "hello");
            answer = wire.answer(true).await;
        }
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], answer.header("x-request-id"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        if status != 404 {
            assert_eq!(answer.header("connection"), "close", "{shown}");
            assert_eq!(wire.rest().await, "", "{shown}");
        }
    }
    let metrics = Wire::connect(server.address)
        .await
        .request("GET /metrics")
        .await;
    assert!(
        metrics
            .body
            .contains(r#"endpoint="unmatched",method="OTHER",status="431""#),
        "{}",
        metrics.body
    );
}
