//! How long content may take on its way to a service, and whose fault it is when it takes longer.

use std::{sync::Arc, time::Duration};

use gateway::upstream::Health;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

use crate::harness::{Backend, Behaviour, Connection, Rig, steady_service, with};

const HEAD: &str = "POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n";
/// A service may be silent for less than its clients take for two pieces.
const SILENCE: &str = "300ms";
const PAUSE: Duration = Duration::from_millis(200);

/// The service `hold`, which is tried once.
fn hold(backend: &Backend, policy: Value) -> Value {
    let mut service = steady_service("hold", &[backend]);
    for (part, value) in policy.as_object().unwrap() {
        service = with(service, &format!("policy/{part}"), value.clone());
    }
    with(service, "policy/retry", json!({"attempts": 1}))
}

/// Opens the circuit after one failure.
fn breaker() -> Value {
    json!({"requests_min": 1, "open": "10m"})
}

#[tokio::test]
async fn a_service_that_does_not_take_the_content_is_given_up() {
    let rig = Rig::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let deaf = tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            streams.push(stream);
        }
    });
    let slow = json!({
        "name": "hold",
        "routes": [{"path_prefix": "/hold/"}],
        "policy": {"timeouts": {"write": "300ms", "read": "50s"}, "retry": {"attempts": 1}},
        "instances": [{"id": "a", "address": address.to_string()}],
    });
    rig.put(slow).await;
    // More than the buffers of two sockets hold.
    let length = 48 << 20;
    let stream = TcpStream::connect(rig.address()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("POST /hold/ HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        writing.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        // The gateway hangs up before it has everything.
        while writing.write_all(&piece).await.is_ok() {}
    });
    let mut answer = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    let _end = tokio::time::timeout(Duration::from_secs(20), reading).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    sending.abort();
    deaf.abort();
    assert_eq!(rig.rejected("upstream_timeout").await, 1.0);
}

#[tokio::test]
async fn a_client_may_take_longer_to_send_than_a_service_to_answer() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    rig.put(hold(&backend, json!({"timeouts": {"read": SILENCE}})))
        .await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client.send(HEAD).await.unwrap();
    for _ in 0..4 {
        sleep(PAUSE).await;
        client.send("ten bytes ").await.unwrap();
    }
    let answer = client.response().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.json()["body"], "ten bytes ".repeat(4));
    assert_eq!(rig.health("hold", &backend), Some(Health::Healthy));
}

#[tokio::test]
async fn silence_after_the_last_of_the_content_is_that_of_the_service() {
    let rig = Rig::start().await;
    let never = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("b", Behaviour::Held(never)).await;
    let policy = json!({"timeouts": {"read": SILENCE}, "breaker": breaker()});
    rig.put(hold(&backend, policy)).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client.send(HEAD).await.unwrap();
    for _ in 0..4 {
        sleep(PAUSE).await;
        client.send("ten bytes ").await.unwrap();
    }
    assert_eq!(client.response().await.unwrap().status(), 504);
    assert_eq!(rig.rejected("upstream_timeout").await, 1.0);
    assert_eq!(rig.get("/hold/").await.status(), 503, "its circuit is open");
}

#[tokio::test]
async fn a_service_is_not_to_blame_for_a_client_that_stops_sending() {
    let rig = Rig::start().await;
    let backend = Backend::behaving("b", Behaviour::Echo).await;
    let policy = json!({
        "timeouts": {"read": SILENCE, "total": "900ms"},
        "breaker": breaker(),
    });
    rig.put(hold(&backend, policy)).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client.send(HEAD).await.unwrap();
    client.send("ten bytes ").await.unwrap();
    assert_eq!(client.response().await.unwrap().status(), 504);
    assert_eq!(rig.rejected("deadline_exceeded").await, 1.0);
    assert_eq!(
        rig.get("/hold/").await.status(),
        200,
        "its circuit is closed"
    );
}
