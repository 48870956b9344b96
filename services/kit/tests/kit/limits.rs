//! What a client can take from the server, and what not.

use std::time::Duration;

use service_kit::http::Limits;

use crate::server::Server;
use crate::wire::{Wire, get};

fn impatient() -> Limits {
    Limits {
        header_read_timeout: Duration::from_millis(500),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_header_over_the_limit_is_a_431_and_one_below_is_served() {
    let server = Server::start(Limits {
        header_bytes_max: 16 * 1024,
        ..Limits::default()
    })
    .await;
    for (bytes, status) in [(12 * 1024, 200), (64 * 1024, 431)] {
        let mut wire = Wire::connect(server.address).await;
        let filler = "a".repeat(bytes);
        wire.send_what_is_taken(format!(
            "GET /hello HTTP/1.1\r\nhost: t\r\nx-filler: {filler}\r\n\r\n"
        ))
        .await;
        assert_eq!(wire.answer(true).await.status, status, "{bytes}");
    }
}

#[tokio::test]
async fn connections_that_do_not_bring_a_header_in_time_are_closed() {
    let server = Server::start(impatient()).await;
    // Nothing, half a header, and half of the HTTP/2 preface.
    for start in ["", "GET /hello HTTP/1.1\r\nho", "PRI * HT"] {
        let mut wire = Wire::connect(server.address).await;
        wire.send(start).await;
        let rest = wire.rest().await;
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 408"),
            "{start:?}: {rest}"
        );
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_last_request() {
    let server = Server::start(impatient()).await;
    let mut wire = Wire::connect(server.address).await;
    assert_eq!(wire.request("GET /hello").await.status, 200);
    assert_eq!(wire.rest().await, "");
}

#[tokio::test]
async fn a_preface_in_pieces_is_still_read() {
    let server = Server::start(Limits::default()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("PRI").await;
    // A request on another connection: the server has seen the first piece alone.
    assert_eq!(get(server.address, "/hello").await.status, 200);
    wire.send(" / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        .await;
    // It was not HTTP/2 after all; an unknown method is an answer.
    assert!(wire.rest().await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_a_408() {
    let server = Server::start(Limits::default()).await;
    let mut wire = Wire::connect(server.address).await;
    wire.send("POST /slow HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\nbegin")
        .await;
    let answer = wire.answer(true).await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.json()["type"], "urn:problem:request-timeout");
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_a_413() {
    let server = Server::start(Limits::default()).await;
    let mut wire = Wire::connect(server.address).await;
    let chunk = format!("400\r\n{}\r\n", "a".repeat(1024));
    wire.send("POST /slow HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    wire.send_what_is_taken(chunk.repeat(2)).await;
    assert_eq!(wire.answer(true).await.status, 413);
}

#[tokio::test]
async fn connections_over_the_maximum_wait_for_their_turn() {
    let server = Server::start(Limits {
        connections_max: 1,
        ..Limits::default()
    })
    .await;
    let request = "GET /hold HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n";
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::connect(server.address).await;
        wire.send(request).await;
        wires.push(wire);
    }
    for mut wire in wires {
        server.example.entered().await;
        server.example.release();
        assert!(wire.rest().await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(server.example.held_max(), 1);
}
