//! What the catalog hears from an instance.

use names::Config;
use registration::RegistrationSettings;
use service_kit::secret::Secret;

use crate::{
    instance::start,
    recording_catalog::{PATIENCE, RecordingCatalog, TOKEN, silent_port, urls},
};

fn settings(catalog: std::net::SocketAddr) -> RegistrationSettings {
    RegistrationSettings {
        catalog_urls: urls(&[catalog]),
        token: Some(Secret::new(TOKEN.to_owned())),
        advertise: None,
        lease: "300ms".parse().unwrap(),
    }
}

#[tokio::test]
async fn the_service_is_created_as_described_and_every_instance_renews() {
    let catalog = RecordingCatalog::start().await;
    let config = || Config {
        registration: Some(settings(catalog.address())),
        ..Config::default()
    };
    let instances = [start(config()), start(config())];
    let requests = catalog
        .until(|requests| {
            requests
                .iter()
                .filter(|request| request.line() == "PUT 200")
                .count()
                >= 4
        })
        .await;
    let created = requests
        .iter()
        .find(|request| request.line() == "POST 201")
        .unwrap();
    assert_eq!(created.body["name"], "service-api");
    assert_eq!(created.body["policy"]["health"]["path"], "/readyz");
    assert_eq!(catalog.instances().len(), 2);
    for instance in &instances {
        let path = format!(
            "/services/service-api/instances/{}",
            instance.running.instance
        );
        let own = requests
            .iter()
            .find(|request| request.path == path && request.status.is_success())
            .unwrap();
        assert_eq!(own.body["address"], instance.running.address.to_string());
        assert_eq!(own.body["ttl"], "300ms");
    }
}

#[tokio::test]
async fn without_its_catalog_an_instance_is_ready_and_says_what_is_missing() {
    let (_socket, dead) = silent_port();
    let instance = start(Config {
        registration: Some(settings(dead)),
        ..Config::default()
    });
    let asker = instance.asker();
    assert_eq!(asker.get("/readyz").await.status(), 200);
    let until_said = async {
        loop {
            let report = asker.json("/readyz?verbose").await;
            let reason = report["conditions"][0]["reason"]
                .as_str()
                .unwrap()
                .to_owned();
            if reason != "registering" {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    };
    let reason = tokio::time::timeout(PATIENCE, until_said).await.unwrap();
    assert!(
        reason.contains(&dead.to_string()) && reason.contains("does not answer"),
        "{reason}"
    );
    assert_eq!(asker.get("/name").await.status(), 200);
    instance.stop.trigger();
    tokio::time::timeout(PATIENCE, instance.running.finished())
        .await
        .unwrap()
        .unwrap();
}
