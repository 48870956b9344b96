//! Answers that go on: the total time does not end them, as it ends any other (`failures.rs`).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Backend, Behaviour, Connection, Rig, request, service, with};

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
