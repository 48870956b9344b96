//! Requests and their responses.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use service_kit::http::Limits;

use crate::server::{Server, WISH_BYTES_MAX};
use crate::wire::{Wire, get, within};

async fn server() -> Server {
    Server::start(Limits::default()).await
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    for path in ["/hello", "/names/7", "/hello"] {
        let answer = wire.request(&format!("GET {path}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(["hello", "7"].contains(&answer.body.as_str()));
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_and_a_wrong_method_a_405_with_allow() {
    let server = server().await;
    let answer = get(server.address, "/nothing?token=hunter2").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.json()["type"], "urn:problem:not-found");
    assert_eq!(answer.json()["instance"], answer.header("x-request-id"));
    assert!(!answer.body.contains("hunter2"));

    let answer = Wire::connect(server.address)
        .await
        .request("DELETE /hello")
        .await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "GET, HEAD");
    assert_eq!(answer.json()["status"], 405);
    let answer = get(server.address, "/wish").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn head_gets_the_header_of_get_and_no_body() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    for path in ["/hello", "/health", "/metrics", "/nothing"] {
        let full = wire.request(&format!("GET {path}")).await;
        // Whatever follows the header would be read as the start of the next answer.
        let head = wire.request(&format!("HEAD {path}")).await;
        assert_eq!(head.status, full.status);
        assert_eq!(head.header("content-type"), full.header("content-type"));
        if path != "/metrics" {
            assert_eq!(head.header("content-length"), full.header("content-length"));
        }
    }
    assert_eq!(
        wire.request("HEAD /stream").await.header("content-length"),
        ""
    );
    assert_eq!(wire.request("GET /hello").await.body, "hello");
}

#[tokio::test]
async fn path_parameters_are_decoded_and_must_be_utf8() {
    let server = server().await;
    assert_eq!(
        get(server.address, "/names/a%2F%D0%AF%20b").await.body,
        "a/Я b"
    );
    let answer = get(server.address, "/names/%ff").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("count in the path"), "{answer:?}");
}

#[tokio::test]
async fn query_and_token_reach_the_application() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("GET /query?a=1 HTTP/1.1\r\nhost: t\r\nauthorization: bearer abc\r\n\r\n")
        .await;
    assert_eq!(wire.answer(true).await.body, r#"abc {"a": "1"}"#);
    wire.send("GET /query HTTP/1.1\r\nhost: t\r\nauthorization: Basic abc\r\n\r\n")
        .await;
    assert_eq!(wire.answer(true).await.body, "nobody {}");
    assert_eq!(wire.request("GET /query?a=1&a=2").await.status, 400);
}

#[tokio::test]
async fn every_response_has_the_callers_request_id_or_a_new_one() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    for (given, kept) in [("abc-1.2_3", true), ("a b", false), ("", false)] {
        for path in ["/hello", "/nothing"] {
            wire.send(format!(
                "GET {path} HTTP/1.1\r\nhost: t\r\nx-request-id: {given}\r\n\r\n"
            ))
            .await;
            let answer = wire.answer(true).await;
            let id = answer.header("x-request-id");
            assert_eq!(id == given, kept, "{given:?} became {id:?}");
            assert!(!id.is_empty());
        }
    }
    let first = wire.request("GET /hello").await;
    let second = wire.request("GET /hello").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn a_panic_is_a_500_without_internal_text_and_the_server_goes_on() {
    let server = server().await;
    let answer = get(server.address, "/panic").await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["type"], "urn:problem:internal");
    assert!(!answer.body.contains("as the test wants it"));
    assert_eq!(get(server.address, "/hello").await.status, 200);
}

#[tokio::test]
async fn json_is_read_over_the_wire_and_refused_beyond_the_limit() {
    let server = server().await;
    let mut wire = Wire::connect(server.address).await;
    let post = |length: usize, body: &str| {
        format!(
            "POST /wish HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    wire.send(post(12, r#"{"name":"x"}"#)).await;
    assert_eq!(wire.answer(true).await.body, "x");
    wire.send(post(12, r#"{"nmae":"x"}"#)).await;
    let answer = wire.answer(true).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["detail"].as_str().unwrap().contains("`nmae`"));

    // Refused by its declared length: not one byte of the body is sent.
    wire.send(post(WISH_BYTES_MAX + 1, "")).await;
    assert_eq!(wire.answer(true).await.status, 413);
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_on_the_same_port() {
    let server = server().await;
    let stream = Wire::connect(server.address).await.into_stream();
    let (mut sender, connection) =
        within(http2::handshake(TokioExecutor::new(), TokioIo::new(stream)))
            .await
            .unwrap();
    tokio::spawn(connection);
    for (method, body) in [(Method::GET, "hello"), (Method::HEAD, "")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/hello", server.address))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = within(sender.send_request(request)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-length"], "5");
        let collected = within(response.into_body().collect())
            .await
            .unwrap()
            .to_bytes();
        assert_eq!(collected, body);
    }
}
