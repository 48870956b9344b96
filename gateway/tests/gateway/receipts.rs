//! Receipts: what the catalog hears about what is in effect here.

use catalog_api::Receipt;
use serde_json::json;

use crate::harness::{Backend, Rig, eventually, service, stream_id};

/// Waits until the newest receipt is about a revision, and returns it.
async fn receipt(rig: &Rig, revision: u64) -> Receipt {
    eventually("the revision is acknowledged", async || {
        let newest = rig.catalog.receipts().pop();
        newest.is_some_and(|receipt| receipt.revision.0 == revision)
    })
    .await;
    rig.catalog.receipts().pop().unwrap()
}

#[tokio::test]
async fn what_is_in_effect_is_acknowledged() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let revision = rig.catalog.put(service("hold", &[&backend]));
    let receipt = receipt(&rig, revision).await;
    // Who reads the receipt finds the route.
    assert_eq!(rig.snapshot().revision().0, revision);
    assert!(rig.snapshot().pool(&"hold".parse().unwrap()).is_some());
    assert_eq!(receipt.stream.to_string(), stream_id(1));
    assert!(receipt.refused.as_slice().is_empty());
    let name = rig.catalog.receivers().pop().unwrap();
    let port = rig.address().port();
    assert!(name.contains(&format!("-{port}/")), "{name}");
}

#[tokio::test]
async fn a_burst_costs_few_receipts() {
    const CHANGES: usize = 300;
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let mut revision = 0;
    for _ in 0..CHANGES {
        revision = rig.catalog.put(service("hold", &[&backend]));
    }
    receipt(&rig, revision).await;
    let receipts = rig.catalog.receipts();
    assert!(receipts.len() < CHANGES, "{}", receipts.len());
    assert!(receipts.is_sorted_by_key(|receipt| receipt.revision));
}

#[tokio::test]
async fn a_refused_entry_is_not_acknowledged_as_applied() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.put(service("hold", &[&backend])).await;
    let mut broken = service("hold", &[&backend]);
    broken["policy"] = json!({"balance": "of-the-future"});
    let revision = rig.catalog.put(broken);
    let refusing = receipt(&rig, revision).await;
    assert_eq!(refusing.refused.as_slice().len(), 1);
    assert_eq!(rig.get("/hold/").await.text(), "b");
    let revision = rig.catalog.put(service("hold", &[&backend]));
    let healed = receipt(&rig, revision).await;
    assert!(healed.refused.as_slice().is_empty());
}

#[tokio::test]
async fn receipts_that_do_not_arrive_are_sent_again_and_disturb_nothing() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    rig.catalog.refuse_receipts(true);
    rig.put(service("hold", &[&backend])).await;
    let revision = rig.catalog.put(service("more", &[&backend]));
    receipt(&rig, revision).await;
    let before = rig.catalog.receipts().len();
    eventually("it is tried again", async || {
        rig.catalog.receipts().len() > before
    })
    .await;
    assert_eq!(rig.get("/hold/").await.text(), "b");
    // The stream was not opened again for that.
    assert_eq!(rig.catalog.receivers().len(), 1);
    rig.catalog.refuse_receipts(false);
    let revision = rig.catalog.put(service("after", &[&backend]));
    receipt(&rig, revision).await;
}

#[tokio::test]
async fn every_stream_has_its_own_and_a_catalog_of_an_older_release_none() {
    let rig = Rig::start().await;
    let backend = Backend::start("b").await;
    let revision = rig.catalog.put(service("hold", &[&backend]));
    receipt(&rig, revision).await;
    rig.catalog.hang_up();
    eventually("the new stream is acknowledged", async || {
        let newest = rig.catalog.receipts().pop().unwrap();
        newest.stream.to_string() == stream_id(2) && newest.revision.0 == revision
    })
    .await;
    let receivers = rig.catalog.receivers();
    assert_eq!(receivers[0], receivers[1]);

    rig.catalog.be_of_an_older_release();
    rig.catalog.hang_up();
    eventually("it came back", async || rig.catalog.receivers().len() == 3).await;
    let before = rig.catalog.receipts().len();
    rig.put(service("after", &[&backend])).await;
    assert_eq!(rig.get("/after/").await.text(), "b");
    assert_eq!(rig.catalog.receipts().len(), before);
}
