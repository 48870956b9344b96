//! HTTP/2 of clients, without TLS on its own address.

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;

use crate::harness::{
    Backend, Behaviour, Connection, Http2, Rig, eventually, frames::frame, request, service,
};

async fn rig() -> (Rig, Backend) {
    rig_with(Duration::from_secs(75)).await
}

async fn rig_with(idle: Duration) -> (Rig, Backend) {
    let rig = Rig::configured(|config| {
        config.h2c_listen = Some("127.0.0.1:0".parse().unwrap());
        config.limits.idle_timeout = idle;
        config.limits.header_timeout = Duration::from_millis(300);
        config.limits.target_bytes_max = 1000;
    })
    .await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(service("hold", &[&backend])).await;
    (rig, backend)
}

async fn client(rig: &Rig) -> Http2 {
    Http2::open(rig.gateway.h2c_address().unwrap()).await
}

#[tokio::test]
async fn requests_and_answers_pass_with_their_fields() {
    let (rig, backend) = rig().await;
    let mut client = client(&rig).await;
    let request = Request::post("http://shop.test/hold/x?q=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body("content")
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(!answer.headers().contains_key("connection"));
    let content = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(content.starts_with(b"{"));
    let arrived = &backend.received()[0];
    assert_eq!((arrived.method(), arrived.target()), ("POST", "/x?q=1"));
    assert_eq!(arrived.header("host"), Some("shop.test"));
    assert_eq!(arrived.header("x-forwarded-host"), Some("shop.test"));
    // RFC 9113 §8.2.3: crumbs are put together for a service that speaks HTTP/1.1.
    assert_eq!(arrived.header("cookie"), Some("a=1; b=2"));
    assert_eq!(arrived.header("via"), Some("2 gateway"));
    assert_eq!(arrived.header("te"), None);
    assert_eq!(arrived.text(), "content");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    let (rig, backend) = rig().await;
    let mut client = client(&rig).await;
    for index in 0..150 {
        let url = format!("http://shop.test/hold/{index}");
        assert_eq!(client.get(&url).await.0, 200);
    }
    assert_eq!(backend.hits(), 150);
    assert_eq!(rig.metric("gateway_client_connections").await, Some(1.0));
}

#[tokio::test]
async fn our_own_answers_are_problems_here_too() {
    let (rig, backend) = rig().await;
    let mut client = client(&rig).await;
    let long = format!("http://shop.test/hold/{}", "x".repeat(2000));
    for (url, status) in [("http://shop.test/hold/%zz", 400), (&long, 414)] {
        let (answered, content) = client.get(url).await;
        assert_eq!(answered, status, "{content}");
        assert!(content.contains("urn:problem:"), "{content}");
    }
    // The connection is good for more.
    assert_eq!(client.get("http://shop.test/hold/").await.0, 200);
    assert_eq!(backend.hits(), 1);
}

/// RFC 9113 §8.3.1: a `Host` that is not the authority makes a request malformed.
#[tokio::test]
async fn two_authorities_are_refused() {
    let (rig, backend) = rig().await;
    let mut client = client(&rig).await;
    let request = Request::get("http://shop.test/hold/")
        .header("host", "other.test")
        .body("")
        .unwrap();
    let answer = client.send(request).await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 400));
    assert_eq!(backend.hits(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (rig, _backend) = rig_with(Duration::from_millis(500)).await;
    let mut client = client(&rig).await;
    assert_eq!(client.get("http://shop.test/hold/").await.0, 200);
    eventually("it is closed", async || client.is_closed()).await;
}

#[tokio::test]
async fn whoever_speaks_something_else_is_told_or_closed() {
    let (rig, _backend) = rig().await;
    let address = rig.gateway.h2c_address().unwrap();
    let mut http1 = Connection::open(address).await.unwrap();
    http1.send(request("GET", "/hold/", &[], "")).await.unwrap();
    let answer = http1.response().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("HTTP/2"), "{}", answer.text());
    // Half a preface is no head that comes in time.
    let mut slow = Connection::open(address).await.unwrap();
    slow.send("PRI * HTTP/2.0\r\n").await.unwrap();
    assert!(slow.is_closed_by_peer().await);
}

#[tokio::test]
async fn a_stop_lets_streams_end_and_opens_no_new_ones() {
    let (rig, _backend) = rig().await;
    let permits = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = Backend::behaving("h", Behaviour::Held(std::sync::Arc::clone(&permits))).await;
    rig.put(service("slow", &[&held])).await;
    let mut client = client(&rig).await;
    let under_way = tokio::spawn(async move {
        let answer = client.get("http://shop.test/slow/").await;
        (answer, client)
    });
    eventually("the request is held", async || held.hits() == 1).await;
    rig.stop.trigger();
    eventually("new connections are refused", async || {
        Connection::open(rig.address()).await.is_err()
    })
    .await;
    permits.add_permits(1);
    let ((status, content), client) = under_way.await.unwrap();
    assert_eq!((status, content.as_str()), (200, "h"));
    assert_eq!(rig.gateway.finished().await.cut, 0);
    eventually("the connection ends", async || client.is_closed()).await;
}

/// CVE-2023-44487: streams that are opened and reset at once end the connection, not the gateway.
#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let (rig, _backend) = rig().await;
    let address = rig.gateway.h2c_address().unwrap();
    let mut client = Connection::open(address).await.unwrap();
    client
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    client.send(frame(4, 0, 0, &[])).await.unwrap();
    // :method GET, :scheme http, :path /, :authority a (RFC 7541 §6.1 and §6.2.2).
    let head = [0x82, 0x86, 0x84, 0x01, 1, b'a'];
    let mut flood = Vec::new();
    for stream in (1..2000).step_by(2) {
        flood.extend(frame(1, 5, stream, &head));
        flood.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    // It may be cut off midway.
    let _sent = client.send(flood).await;
    match client.rest().await {
        // GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 §7) in its last four bytes.
        Ok(said) => {
            let is_goaway = |frame: &[u8]| frame[3] == 7 && frame[13..17] == [0, 0, 0, 11];
            assert!(said.windows(17).any(is_goaway), "{} bytes", said.len());
        }
        // The kernel may take the last words back, because more has come than was read.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    let answer = Http2::open(address).await.get("http://a/hold/").await;
    assert_eq!(answer.0, 200);
}
