//! Leaving: the instance is taken out, nothing brings it back, and a catalog that hangs holds nobody up.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    config,
    recording_catalog::{Behaviour, PATIENCE, RecordingCatalog, silent_port},
    start, until,
};

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn leaving_removes_the_instance_and_nothing_follows() {
    let catalog = RecordingCatalog::start().await;
    let registered = start(config(&[catalog.address()]));
    until(&registered, str::is_empty).await;
    registered.deregister(DEADLINE).await.unwrap();
    assert!(catalog.instances().is_empty());
    let last = catalog.requests().pop().unwrap();
    assert_eq!(last.line(), "DELETE 204");
    assert_eq!(last.path, "/services/hold/instances/a");
}

#[tokio::test]
async fn the_renewal_under_way_is_finished_before_the_removal() {
    let catalog = RecordingCatalog::start().await;
    let mut config = config(&[catalog.address()]);
    config.settings.lease = "1m".parse().unwrap();
    catalog.know("hold");
    catalog.behave(Behaviour::Hold);
    let registered = start(config);
    catalog.until_arrived(1).await;
    let leaving = tokio::spawn(registered.deregister(DEADLINE));
    catalog.behave(Behaviour::Normal);
    leaving.await.unwrap().unwrap();
    assert_eq!(catalog.log(), ["PUT 201", "DELETE 204"]);
    assert!(catalog.instances().is_empty());
}

#[tokio::test]
async fn a_hanging_catalog_does_not_hold_up_the_leaving() {
    let catalog = RecordingCatalog::start().await;
    let registered = start(config(&[catalog.address()]));
    until(&registered, str::is_empty).await;
    catalog.behave(Behaviour::Hold);
    let left = timeout(PATIENCE, registered.deregister(Duration::from_millis(300))).await;
    left.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_dead_replica_is_passed_over_when_leaving() {
    let (_socket, dead) = silent_port();
    let living = RecordingCatalog::start().await;
    let mut config = config(&[living.address(), dead]);
    let registered = start(config.clone());
    until(&registered, str::is_empty).await;
    registered.deregister(DEADLINE).await.unwrap();
    assert!(living.instances().is_empty());

    config.settings.catalog_urls = crate::urls(&[dead]);
    let registered = start(config);
    until(&registered, |reason| reason.contains("does not answer")).await;
    registered.deregister(DEADLINE).await.unwrap_err();
}

#[tokio::test]
async fn a_dropped_handle_ends_the_renewals() {
    let catalog = RecordingCatalog::start().await;
    let registered = start(config(&[catalog.address()]));
    until(&registered, str::is_empty).await;
    let mut state = registered.state();
    drop(registered);
    // The loop owns the sending end.
    let ended = timeout(PATIENCE, async { while state.changed().await.is_ok() {} }).await;
    ended.unwrap();
}
