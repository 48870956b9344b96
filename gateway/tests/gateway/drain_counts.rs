//! What the catalog hears about requests that are with draining instances.

use std::sync::Arc;

use catalog_api::DrainCount;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use crate::harness::{Backend, Behaviour, Message, Rig, eventually, get, service, with};

/// A backend that holds what it gets, and a service of it with another one.
async fn held() -> (Rig, Backend, Arc<Semaphore>, Value) {
    let rig = Rig::start().await;
    let permits = Arc::new(Semaphore::new(0));
    let backend = Backend::behaving("a", Behaviour::Held(Arc::clone(&permits))).await;
    let service = service("hold", &[&backend]);
    rig.put(service.clone()).await;
    (rig, backend, permits, service)
}

async fn requests(rig: &Rig, backend: &Backend, count: usize) -> Vec<JoinHandle<Message>> {
    let address = rig.address();
    let send = |_| tokio::spawn(async move { get(address, "/hold/").await });
    let requests = (0..count).map(send).collect();
    eventually("the requests are held", async || backend.hits() == count).await;
    requests
}

fn draining(service: Value) -> Value {
    with(service, "instances/0/status", json!("draining"))
}

/// Waits for a receipt that says so much of the first instance.
async fn counted(rig: &Rig, in_flight: u64, finished: u64) {
    eventually(
        &format!("{in_flight} are left, {finished} ended"),
        async || {
            let receipts = rig.catalog.receipts();
            let newest = receipts
                .last()
                .and_then(|receipt| receipt.draining.as_slice().first());
            newest.is_some_and(|count: &DrainCount| {
                (count.in_flight, count.finished) == (in_flight, finished)
            })
        },
    )
    .await;
}

#[tokio::test]
async fn requests_of_a_draining_instance_are_counted_until_there_are_none() {
    let (rig, backend, permits, service) = held().await;
    let requests = requests(&rig, &backend, 3).await;
    let said = |rig: &Rig| rig.catalog.receipts().pop().unwrap().draining;
    assert!(said(&rig).is_empty());
    rig.apply(draining(service.clone())).await;
    counted(&rig, 3, 0).await;
    permits.add_permits(1);
    counted(&rig, 2, 1).await;
    // Another question is another endpoint, which would know of none of them.
    let health = json!({"path": "/health?other", "interval": "100ms", "timeout": "100ms"});
    let asked = with(draining(service.clone()), "policy/health", health);
    rig.apply(asked.clone()).await;
    counted(&rig, 2, 1).await;
    permits.add_permits(2);
    counted(&rig, 0, 3).await;
    for request in requests {
        assert_eq!(request.await.unwrap().status(), 200);
    }
    // It comes back, and what ended before does not count when it drains again.
    rig.apply(service.clone()).await;
    eventually("nothing is said of it", async || said(&rig).is_empty()).await;
    rig.apply(draining(service)).await;
    counted(&rig, 0, 0).await;
}

#[tokio::test]
async fn a_stop_says_last_that_nothing_is_left() {
    let (rig, backend, permits, service) = held().await;
    let requests = requests(&rig, &backend, 1).await;
    rig.apply(draining(service)).await;
    counted(&rig, 1, 0).await;
    rig.stop.trigger();
    permits.add_permits(1);
    for request in requests {
        assert_eq!(request.await.unwrap().status(), 200);
    }
    assert_eq!(rig.gateway.finished().await.cut, 0);
    let last = rig.catalog.receipts().pop().unwrap();
    let count = &last.draining.as_slice()[0];
    assert_eq!((count.in_flight, count.finished), (0, 1));
}

#[tokio::test]
async fn a_catalog_of_an_older_release_gets_no_counts() {
    let (rig, _backend, _permits, service) = held().await;
    rig.catalog.take_no_counts();
    rig.catalog.hang_up();
    eventually("it came back", async || rig.catalog.receivers().len() == 2).await;
    let revision = rig.catalog.put(draining(service));
    eventually("the revision is acknowledged", async || {
        let newest = rig.catalog.receipts().pop();
        newest.is_some_and(|receipt| receipt.revision.0 == revision)
    })
    .await;
    assert!(
        rig.catalog
            .receipts()
            .iter()
            .all(|receipt| receipt.draining.is_empty())
    );
}
