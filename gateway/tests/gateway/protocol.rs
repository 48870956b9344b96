//! HTTP/1.1 as bytes: connections, methods, content, tunnels. What is refused is in `strict.rs`.

use serde_json::json;

use crate::harness::{Backend, Behaviour, Connection, Rig, request, service, with};

async fn rig_with(behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::behaving("b", behaviour).await;
    rig.put(service("hold", &[&backend])).await;
    (rig, backend)
}

async fn open(rig: &Rig) -> Connection {
    Connection::open(rig.address()).await.unwrap()
}

#[tokio::test]
async fn a_body_that_nobody_wanted_is_never_read_as_a_request() {
    let (rig, backend) = rig_with(Behaviour::Name).await;
    let smuggled = request("GET", "/hold/smuggled", &[], "");
    let next = request("GET", "/hold/next", &[], "");
    let chunked = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for refused in [
        request("POST", "/nowhere", &[], &smuggled),
        request("POST", "/nowhere", &[("Transfer-Encoding", "chunked")], "") + &chunked,
    ] {
        let before = backend.hits();
        let mut client = open(&rig).await;
        client.send(refused + &next).await.unwrap();
        assert_eq!(client.response().await.unwrap().status(), 404);
        // Either the body is read and the next request answered, or the connection ends; nothing in between.
        if let Ok(answer) = client.response().await {
            assert_eq!(answer.text(), "b");
        }
        let targets: Vec<_> = backend.received()[before..]
            .iter()
            .map(|request| request.target().to_owned())
            .collect();
        assert!(
            targets.iter().all(|target| target == "/next"),
            "{targets:?}"
        );
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests_also_after_our_own_errors() {
    let (rig, _backend) = rig_with(Behaviour::Name).await;
    let mut client = open(&rig).await;
    for (target, status) in [
        ("/hold/", 200),
        ("/nowhere", 404),
        ("/hold/", 200),
        ("/%zz", 400),
        ("/hold/", 200),
    ] {
        client.send(request("GET", target, &[], "")).await.unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), status, "{target}");
        assert_ne!(answer.header("connection"), Some("close"), "{target}");
    }
}

#[tokio::test]
async fn a_client_that_wants_to_close_is_closed() {
    let (rig, _backend) = rig_with(Behaviour::Name).await;
    for target in ["/hold/", "/nowhere"] {
        let mut client = open(&rig).await;
        let last = request("GET", target, &[("Connection", "close")], "");
        client.send(last).await.unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.header("connection"), Some("close"), "{target}");
        assert!(client.is_closed_by_peer().await, "{target}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (rig, _backend) = rig_with(Behaviour::Echo).await;
    let mut client = open(&rig).await;
    let three = request("GET", "/hold/1", &[], "")
        + &request("POST", "/hold/2", &[], "content")
        + &request("GET", "/hold/3", &[], "");
    client.send(three).await.unwrap();
    for expected in ["/1", "/2", "/3"] {
        let answer = client.response().await.unwrap();
        assert_eq!(answer.json()["target"], expected);
    }
}

#[tokio::test]
async fn head_has_the_header_of_get_and_no_content() {
    let (rig, backend) = rig_with(Behaviour::Name).await;
    let mut client = open(&rig).await;
    for (target, status) in [("/hold/", 200), ("/nowhere", 404), ("/hold/", 200)] {
        client.send(request("HEAD", target, &[], "")).await.unwrap();
        let answer = client.response_head().await.unwrap();
        assert_eq!(answer.status(), status, "{target}");
        assert_ne!(answer.header("content-length"), Some("0"), "{target}");
    }
    // Whatever content there was would stand before this answer.
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    assert_eq!(client.response().await.unwrap().text(), "b");
    assert_eq!(backend.hits(), 3);
}

#[tokio::test]
async fn a_websocket_passes_through_both_ways() {
    let (rig, backend) = rig_with(Behaviour::Tunnel).await;
    let mut client = open(&rig).await;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    client
        .send(request("GET", "/hold/socket", &upgrade, ""))
        .await
        .unwrap();
    let answer = client.response_head().await.unwrap();
    assert_eq!(answer.status(), 101);
    for message in ["first", "second and longer", "3"] {
        client.send(message).await.unwrap();
        let echoed = client.exactly(message.len()).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&echoed), message);
    }
    let arrived = &backend.received()[0];
    assert_eq!(arrived.target(), "/socket");
    assert_eq!(
        arrived
            .header("upgrade")
            .map(str::to_ascii_lowercase)
            .as_deref(),
        Some("websocket")
    );
}

#[tokio::test]
async fn a_tunnel_outlives_the_times_of_requests() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Tunnel).await;
    let short = json!({"total": "100ms", "read": "50ms", "connect": "50ms"});
    rig.put(with(service("hold", &[&backend]), "policy/timeouts", short))
        .await;
    let mut client = open(&rig).await;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    client
        .send(request("GET", "/hold/", &upgrade, ""))
        .await
        .unwrap();
    assert_eq!(client.response_head().await.unwrap().status(), 101);
    // Checks of the endpoint are a clock that does not sleep in the test: 5 of them are 400 ms and more.
    let later = backend.checks() + 5;
    crate::harness::eventually("time passes", async || backend.checks() >= later).await;
    client.send("still here").await.unwrap();
    assert_eq!(client.exactly(10).await.unwrap(), b"still here");
}

#[tokio::test]
async fn a_body_of_a_mebibyte_arrives_whole_in_either_framing() {
    let (rig, backend) = rig_with(Behaviour::Name).await;
    let content = "0123456789abcdef".repeat(1 << 16);
    let answer = rig.send("POST", "/hold/", &[], &content).await;
    assert_eq!(answer.status(), 200);
    let mut client = open(&rig).await;
    let chunked = [("Transfer-Encoding", "chunked")];
    client
        .send(request("POST", "/hold/", &chunked, ""))
        .await
        .unwrap();
    for piece in content.as_bytes().chunks(50_000) {
        client.send(format!("{:x}\r\n", piece.len())).await.unwrap();
        client.send(piece).await.unwrap();
        client.send("\r\n").await.unwrap();
    }
    client.send("0\r\n\r\n").await.unwrap();
    assert_eq!(client.response().await.unwrap().status(), 200);
    for arrived in backend.received() {
        assert!(
            arrived.body == content.as_bytes(),
            "{} bytes",
            arrived.body.len()
        );
    }
}

#[tokio::test]
async fn http_1_0_is_served_with_and_without_a_host() {
    let (rig, backend) = rig_with(Behaviour::Echo).await;
    for bytes in [
        "GET /hold/x HTTP/1.0\r\n\r\n",
        "GET /hold/x HTTP/1.0\r\nHost: a\r\n\r\n",
    ] {
        let mut client = open(&rig).await;
        client.send(bytes).await.unwrap();
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.json()["target"], "/x");
        assert!(client.is_closed_by_peer().await);
    }
    assert_eq!(backend.hits(), 2);
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let (rig, backend) = rig_with(Behaviour::Raw(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ))
    .await;
    let mut client = open(&rig).await;
    let head =
        "POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.send(head).await.unwrap();
    client.send("hello").await.unwrap();
    let mut answer = client.response_head().await.unwrap();
    if answer.status() == 100 {
        answer = client.response().await.unwrap();
    }
    assert_eq!(answer.status(), 200);
    assert_eq!(backend.received()[0].text(), "hello");
}
