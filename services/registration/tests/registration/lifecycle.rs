//! The good days: register, renew, and come back after the catalog forgot.

use std::net::SocketAddr;

use serde_json::json;
use service_kit::readiness::Readiness;

use crate::{
    config,
    recording_catalog::{Behaviour, RecordingCatalog, silent_port},
    start, until,
};

#[tokio::test]
async fn registers_with_everything_it_knows_and_renews_within_the_lease() {
    let catalog = RecordingCatalog::start().await;
    catalog.know("hold");
    let mut config = config(&[catalog.address()]);
    config.weight = 7_u64.try_into().unwrap();
    config.zone = Some("a".to_owned().try_into().unwrap());
    let registered = start(config);
    let requests = catalog.until(|requests| requests.len() >= 4).await;
    until(&registered, str::is_empty).await;
    let lines: Vec<String> = requests.iter().map(|request| request.line()).collect();
    assert_eq!(lines[..4], ["PUT 201", "PUT 200", "PUT 200", "PUT 200"]);
    for request in &requests {
        assert_eq!(request.path, "/services/hold/instances/a");
        assert_eq!(
            request.body,
            json!({"address": "127.0.0.1:7001", "ttl": "300ms", "weight": 7, "zone": "a", "metadata": {}})
        );
    }
}

#[tokio::test]
async fn creates_the_service_when_the_catalog_does_not_know_it() {
    let catalog = RecordingCatalog::start().await;
    let mut config = config(&[catalog.address()]);
    config.service.description = "holds".to_owned().try_into().unwrap();
    let registered = start(config);
    let requests = catalog.until(|requests| requests.len() >= 3).await;
    until(&registered, str::is_empty).await;
    let lines: Vec<String> = requests
        .iter()
        .take(3)
        .map(|request| request.line())
        .collect();
    assert_eq!(lines, ["PUT 404", "POST 201", "PUT 201"]);
    assert_eq!(requests[1].path, "/services");
    assert_eq!(requests[1].body["name"], "hold");
    assert_eq!(requests[1].body["description"], "holds");
}

#[tokio::test]
async fn comes_back_after_an_eviction_and_after_the_catalog_lost_everything() {
    let catalog = RecordingCatalog::start().await;
    let registered = start(config(&[catalog.address()]));
    until(&registered, str::is_empty).await;
    let created = |count: usize| {
        move |requests: &Vec<crate::recording_catalog::Recorded>| {
            requests
                .iter()
                .filter(|request| request.line() == "PUT 201")
                .count()
                >= count
        }
    };
    catalog.evict_everyone();
    catalog.until(created(2)).await;
    catalog.forget_everything();
    let requests = catalog.until(created(3)).await;
    let posts = requests
        .iter()
        .filter(|request| request.line() == "POST 201")
        .count();
    assert_eq!(posts, 2);
    until(&registered, str::is_empty).await;
}

#[tokio::test]
async fn a_catalog_that_comes_up_later_is_found() {
    let (socket, address) = silent_port();
    let registered = start(config(&[address]));
    let reason = until(&registered, |reason| reason.contains("does not answer")).await;
    assert!(reason.contains(&address.to_string()), "{reason}");
    let catalog = RecordingCatalog::start_on(socket).await;
    until(&registered, str::is_empty).await;
    assert_eq!(catalog.instances().len(), 1);
}

#[tokio::test]
async fn the_state_is_a_detail_that_follows_and_never_gates() {
    let catalog = RecordingCatalog::start().await;
    let readiness = Readiness::new();
    let detail = readiness.detail("registration");
    let registered = registration::Registration::start(config(&[catalog.address()]), detail);
    until(&registered, str::is_empty).await;
    assert!(readiness.report().conditions[0].ok);
    catalog.behave(Behaviour::Refuse(http::StatusCode::SERVICE_UNAVAILABLE));
    let reason = until(&registered, |reason| reason.contains("503")).await;
    assert!(reason.contains("the test wants it so"), "{reason}");
    let report = readiness.report();
    assert!(
        !report.conditions[0].ok && readiness.is_ready(),
        "{report:?}"
    );
    catalog.behave(Behaviour::Normal);
    until(&registered, str::is_empty).await;
    assert!(readiness.report().conditions[0].ok);
}

#[tokio::test]
async fn an_unspecified_address_becomes_the_one_that_leads_to_the_catalog() {
    for (listening, advertise, expected) in [
        ("0.0.0.0:7002", None, "127.0.0.1:7002"),
        ("[::]:7003", None, "127.0.0.1:7003"),
        ("127.0.0.5:7004", None, "127.0.0.5:7004"),
        ("0.0.0.0:7005", Some("names.example:80"), "names.example:80"),
    ] {
        let catalog = RecordingCatalog::start().await;
        let mut config = config(&[catalog.address()]);
        config.listening = listening.parse::<SocketAddr>().unwrap();
        config.settings.advertise = advertise.map(|address| address.parse().unwrap());
        let _registered = start(config);
        let requests = catalog.until(|requests| !requests.is_empty()).await;
        assert_eq!(requests[0].body["address"], expected);
    }
}
