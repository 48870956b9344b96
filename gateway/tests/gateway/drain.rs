//! Stopping: what is under way is finished, what is idle is closed, and there is a deadline.

use std::{sync::Arc, time::Duration};

use gateway::Drained;
use tokio::sync::Semaphore;

use crate::{
    harness::{Backend, Behaviour, Connection, Rig, eventually, request, service},
    upgrade::{echoes, tunnel},
};

async fn held(rig: &Rig) -> (Backend, Arc<Semaphore>, Connection) {
    let permits = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("b", Behaviour::Held(Arc::clone(&permits))).await;
    rig.put(service("hold", &[&backend])).await;
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    eventually("the request is held", async || backend.hits() == 1).await;
    (backend, permits, client)
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_nothing_else_begins() {
    let rig = Rig::start().await;
    let mut idle = Connection::open(rig.address()).await.unwrap();
    idle.send(request("GET", "/metrics", &[], ""))
        .await
        .unwrap();
    idle.response().await.unwrap();
    let (_backend, permits, mut client) = held(&rig).await;
    rig.stop.trigger();
    assert!(idle.is_closed_by_peer().await);
    eventually("new connections are refused", async || {
        Connection::open(rig.address()).await.is_err()
    })
    .await;
    let ready = rig.admin("/readyz?verbose").await;
    assert_eq!(ready.status(), 503);
    assert!(ready.text().contains("stopping"), "{}", ready.text());
    permits.add_permits(1);
    let answer = client.response().await.unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (200, "b"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed_by_peer().await);
    assert_eq!(rig.gateway.finished().await, Drained { cut: 0 });
}

#[tokio::test]
async fn an_idle_gateway_stops_at_once() {
    let rig = Rig::configured(|config| config.drain_timeout = Duration::from_secs(3600)).await;
    rig.stop.trigger();
    assert_eq!(rig.gateway.finished().await, Drained { cut: 0 });
}

#[tokio::test]
async fn the_deadline_ends_the_wait() {
    let rig = Rig::configured(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let (_backend, _permits, _client) = held(&rig).await;
    rig.stop.trigger();
    assert_eq!(rig.gateway.finished().await, Drained { cut: 1 });
}

async fn accepts_nothing_new(rig: &Rig) {
    eventually("new connections are refused", async || {
        Connection::open(rig.address()).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_tunnel_goes_on_until_its_client_has_had_enough() {
    let rig = Rig::start().await;
    let echo = Backend::behaving("e", Behaviour::Tunnel).await;
    rig.put(service("socket", &[&echo])).await;
    let mut tunnel = tunnel(rig.address()).await;
    rig.stop.trigger();
    accepts_nothing_new(&rig).await;
    echoes(&mut tunnel).await;
    drop(tunnel);
    assert_eq!(rig.gateway.finished().await, Drained { cut: 0 });
}

#[tokio::test]
async fn tunnels_and_streams_that_do_not_end_are_cut_and_counted() {
    let rig = Rig::configured(|config| config.drain_timeout = Duration::from_millis(200)).await;
    let echo = Backend::behaving("e", Behaviour::Tunnel).await;
    let events = Backend::behaving("v", Behaviour::Events).await;
    rig.put(service("socket", &[&echo])).await;
    rig.put(service("feed", &[&events])).await;
    let mut tunnel = tunnel(rig.address()).await;
    let mut stream = Connection::open(rig.address()).await.unwrap();
    stream
        .send(request("GET", "/feed/", &[], ""))
        .await
        .unwrap();
    assert_eq!(stream.response_head().await.unwrap().status(), 200);
    rig.stop.trigger();
    accepts_nothing_new(&rig).await;
    echoes(&mut tunnel).await;
    assert_eq!(rig.gateway.finished().await, Drained { cut: 2 });
}
