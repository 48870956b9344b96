//! What one client may take: connections, time, bytes.

use std::time::Duration;

use gateway::Limits;

use crate::harness::{Backend, Connection, Rig, eventually, request, service};

async fn rig(change: impl FnOnce(&mut Limits)) -> Rig {
    Rig::configured(|config| change(&mut config.limits)).await
}

async fn open(rig: &Rig) -> Connection {
    Connection::open(rig.address()).await.unwrap()
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_at_its_deadline() {
    let rig = rig(|limits| limits.header_timeout = Duration::from_millis(300)).await;
    let mut client = open(&rig).await;
    client
        .send("GET /metrics HTTP/1.1\r\nHost: a\r\n")
        .await
        .unwrap();
    // Every drop comes in time for a timeout that is about the next bytes only; together they are late.
    let answer = loop {
        tokio::select! {
            answer = client.response() => break answer.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        // Refused while the last drop was on its way.
        let _gone = client.send("X-A: 1\r\n").await;
    };
    assert_eq!(answer.status(), 408);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(rig.rejected("header_timeout").await >= 1.0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let rig = rig(|limits| limits.idle_timeout = Duration::from_millis(300)).await;
    let mut silent = open(&rig).await;
    let mut client = open(&rig).await;
    client
        .send(request("GET", "/metrics", &[], ""))
        .await
        .unwrap();
    assert_eq!(client.response().await.unwrap().status(), 200);
    assert!(silent.is_closed_by_peer().await);
    assert!(client.is_closed_by_peer().await);
    assert_eq!(rig.rejected("header_timeout").await, 0.0);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_counted() {
    let rig = rig(|limits| limits.connections_max = 2).await;
    let (mut first, second) = (open(&rig).await, open(&rig).await);
    eventually("both are open", async || {
        rig.metric("gateway_client_connections").await == Some(2.0)
    })
    .await;
    let mut third = open(&rig).await;
    assert!(third.is_closed_by_peer().await);
    assert!(rig.rejected("connections").await >= 1.0);
    first
        .send(request("GET", "/metrics", &[], ""))
        .await
        .unwrap();
    assert_eq!(first.response().await.unwrap().status(), 200);
    drop(second);
    eventually("there is room again", async || {
        let mut client = open(&rig).await;
        let sent = client.send(request("GET", "/metrics", &[], "")).await;
        sent.is_ok()
            && client
                .response()
                .await
                .is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

#[tokio::test]
async fn heads_and_targets_have_a_longest_length() {
    let rig = rig(|limits| {
        limits.header_bytes_max = 4000;
        limits.target_bytes_max = 1000;
    })
    .await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let long = "x".repeat(950);
    let longer = "x".repeat(1100);
    let field = "x".repeat(4000);
    let fields: Vec<_> = (0..150).map(|index| format!("x-{index}")).collect();
    let many: Vec<_> = fields.iter().map(|name| (name.as_str(), "")).collect();
    let endless = format!("/hold/{}", "x".repeat(100_000));
    for (what, target, headers, status) in [
        ("a long target", format!("/hold/{long}"), &[][..], 200),
        ("a longer target", format!("/hold/{longer}"), &[], 414),
        ("a longer query", format!("/hold/?{longer}"), &[], 414),
        ("a target without an end", endless, &[], 414),
        (
            "a long field",
            "/hold/".into(),
            &[("x-a", long.as_str())],
            200,
        ),
        (
            "a longer field",
            "/hold/".into(),
            &[("x-a", field.as_str())],
            431,
        ),
        ("many fields", "/hold/".into(), &many, 431),
    ] {
        let mut client = open(&rig).await;
        // Refused before all of it was sent, perhaps.
        let _sent = client.send(request("GET", &target, headers, "")).await;
        let answer = client.response().await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
        if status != 200 {
            assert_eq!(answer.header("connection"), Some("close"), "{what}");
            assert!(
                answer.json()["detail"].as_str().unwrap().len() > 20,
                "{what}"
            );
        }
    }
    assert_eq!(rig.rejected("uri_too_long").await, 3.0);
    assert_eq!(rig.rejected("header_too_large").await, 2.0);
}
