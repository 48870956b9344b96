//! Answers that go on: the total time does not end them, as it ends any other (`failures.rs`), and tunnels.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    harness::{Backend, Behaviour, Connection, Rig, request, service, steady_service, with},
    upgrade::{echoes, tunnel},
};

const TOTAL: Duration = Duration::from_secs(1);

async fn rig(behaviour: Behaviour) -> (Rig, Backend) {
    let rig = Rig::without_file_routes().await;
    let backend = Backend::behaving("b", behaviour).await;
    let times = json!({"total": "1s", "read": "1s", "connect": "1s"});
    rig.put(with(service("hold", &[&backend]), "policy/timeouts", times))
        .await;
    (rig, backend)
}

async fn begin(rig: &Rig) -> Connection {
    let mut client = Connection::open(rig.address()).await.unwrap();
    client
        .send(request("GET", "/hold/", &[], ""))
        .await
        .unwrap();
    assert_eq!(client.response_head().await.unwrap().status(), 200);
    client
}

#[tokio::test]
async fn the_total_time_does_not_end_a_stream_of_events() {
    let (rig, _backend) = rig(Behaviour::Events).await;
    let begun = Instant::now();
    let mut client = begin(&rig).await;
    while begun.elapsed() < TOTAL * 2 {
        client.exactly(9).await.unwrap();
    }
}

/// However quick the service is: its 101 may be there before the end of the request has gone out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tunnel_of_many_at_once_carries_what_is_sent() {
    let rig = Rig::start().await;
    let echo = Backend::behaving("e", Behaviour::Tunnel).await;
    let patient = json!({"connect": "10s"});
    let socket = steady_service("socket", &[&echo]);
    rig.put(with(socket, "policy/timeouts", patient)).await;
    let address = rig.address();
    for _ in 0..10 {
        let tunnels = (0..30).map(|_| {
            tokio::spawn(async move {
                let mut tunnel = tunnel(address).await;
                echoes(&mut tunnel).await;
            })
        });
        for tunnel in tunnels.collect::<Vec<_>>() {
            tunnel.await.unwrap();
        }
    }
}
