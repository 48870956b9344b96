//! Several replicas, some of them dead.

use crate::{
    config,
    recording_catalog::{Behaviour, RecordingCatalog, silent_port},
    start, until,
};

#[tokio::test]
async fn a_dead_replica_is_passed_over_and_the_living_one_is_kept() {
    let (_socket, dead) = silent_port();
    let living = RecordingCatalog::start().await;
    let registered = start(config(&[dead, living.address()]));
    until(&registered, str::is_empty).await;
    living.until(|requests| requests.len() >= 5).await;
    until(&registered, str::is_empty).await;
}

#[tokio::test]
async fn a_replica_that_fails_later_is_left_for_the_next_and_the_service_moves_along() {
    let (first, second) = (
        RecordingCatalog::start().await,
        RecordingCatalog::start().await,
    );
    let registered = start(config(&[first.address(), second.address()]));
    first.until(|requests| requests.len() >= 3).await;
    assert_eq!(second.log(), Vec::<String>::new());
    first.behave(Behaviour::Refuse(http::StatusCode::INTERNAL_SERVER_ERROR));
    second.until(|requests| requests.len() >= 4).await;
    let asked = first.requests().len();
    // The one that answered is asked first from now on.
    let more = second.requests().len() + 3;
    second.until(|requests| requests.len() >= more).await;
    assert_eq!(first.requests().len(), asked);
    until(&registered, str::is_empty).await;
}

#[tokio::test]
async fn a_replica_that_hangs_costs_one_deadline_and_no_lease() {
    let (hanging, living) = (
        RecordingCatalog::start().await,
        RecordingCatalog::start().await,
    );
    hanging.behave(Behaviour::Hold);
    let registered = start(config(&[hanging.address(), living.address()]));
    until(&registered, str::is_empty).await;
    assert_eq!(living.instances().len(), 1);
}
