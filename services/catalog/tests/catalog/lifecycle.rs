//! Start, damage, rivals, stop.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use catalog::StartError;
use http::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Harness;

fn folder() -> Arc<TempDir> {
    Arc::new(TempDir::new().unwrap())
}

async fn refused(folder: &Arc<TempDir>) -> StartError {
    match Harness::start_in(Arc::clone(folder), |_| {}).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn everything_is_there_after_a_restart_but_the_own_entry_is_new() {
    let catalog = Harness::start().await;
    let token = catalog.token.clone();
    let created = catalog.put_service("alpha").await.text;
    let old = format!("catalog-127.0.0.1-{}", catalog.running.address.port());
    let catalog = catalog.restart().await;
    assert_eq!(catalog.token, token);
    assert_eq!(catalog.get("/services/alpha").await.text, created);
    let instances = catalog.get("/services/2").await.json()["instances"].clone();
    assert_eq!(instances.as_array().unwrap().len(), 1);
    // It left when it stopped; the new one has another port, or at least came later.
    let port = catalog.running.address.port();
    assert_eq!(
        instances[0]["id"],
        format!("catalog-127.0.0.1-{port}"),
        "{old}"
    );
}

#[tokio::test]
async fn the_token_is_made_once_and_only_for_its_owner() {
    let catalog = Harness::start().await;
    let file = catalog.running.token_file.clone().unwrap();
    assert_eq!(file, catalog.folder.path().join("catalog-token"));
    let token = fs::read_to_string(&file).unwrap();
    assert_eq!((token.len(), &token), (64, &catalog.token));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // A file that others could read is tightened.
    let (_, folder) = catalog.stop().await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let catalog = Harness::start_in(folder, |_| {}).await.unwrap();
    assert_eq!(catalog.token, token);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn a_configured_token_makes_no_file() {
    let catalog = Harness::start_with(|config| {
        config.token = Some(service_kit::secret::Secret::new("s3cret".to_owned()));
    })
    .await;
    assert_eq!(catalog.running.token_file, None);
    assert!(!catalog.folder.path().join("catalog-token").exists());
    assert_eq!(
        catalog.put_service("alpha").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_token_file_without_a_token_is_an_error() {
    for content in ["", "\n", "two words", "ünïcode"] {
        let folder = folder();
        fs::write(folder.path().join("catalog-token"), content).unwrap();
        let error = refused(&folder).await;
        assert!(matches!(error, StartError::Token(_)), "{error:?}");
        assert!(error.to_string().contains("set CATALOG_TOKEN"), "{error}");
    }
}

#[tokio::test]
async fn a_second_catalog_in_one_folder_is_refused() {
    let catalog = Harness::start().await;
    let error = refused(&catalog.folder).await;
    let StartError::Open(open) = &error else {
        panic!("{error:?}");
    };
    assert!(
        open.to_string().contains("in use by another process"),
        "{open}"
    );
    // The first one does not notice.
    assert_eq!(
        catalog.put_service("alpha").await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_damaged_database_is_kept_and_replaced() {
    let catalog = Harness::start().await;
    catalog.put_service("alpha").await;
    let before = catalog.revision().await;
    let (_, folder) = catalog.stop().await;
    let database = folder.path().join("catalog.db");
    fs::write(&database, "this was a database once".repeat(1_000)).unwrap();

    let catalog = Harness::start_in(Arc::clone(&folder), |_| {})
        .await
        .unwrap();
    let kept = fs::read_to_string(folder.path().join("catalog.db.corrupt")).unwrap();
    assert!(kept.starts_with("this was"));
    catalog.get("/services/alpha").await.problem(404);
    assert_eq!(
        catalog.get("/services/1").await.json()["name"],
        "service-api"
    );
    // Whoever remembers a revision of the lost catalog gets a snapshot.
    assert!(catalog.revision().await > before);
    let (kind, _, _) = catalog
        .watch(&format!("?since={before}"))
        .await
        .next()
        .await;
    assert_eq!(kind, "snapshot");
}

#[tokio::test]
async fn writes_fail_and_reads_go_on_while_the_store_is_down() {
    let catalog = Harness::start().await;
    let other = rusqlite::Connection::open(catalog.folder.path().join("catalog.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON services BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        .unwrap();
    let failed = catalog.put_service("alpha").await;
    let detail = failed.problem(503);
    assert!(
        !detail.contains("disk full"),
        "internal text was sent: {detail}"
    );
    assert_eq!(failed.header("retry-after"), "5");
    assert_eq!(catalog.metric("service_catalog_store_up").await, Some(0.0));
    let ready = catalog.get("/readyz?verbose").await;
    assert_eq!(
        (ready.status, &ready.json()["conditions"][1]["ok"]),
        (StatusCode::OK, &json!(false))
    );
    assert_eq!(catalog.get("/services/1").await.status, StatusCode::OK);

    other.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(
        catalog.put_service("alpha").await.status,
        StatusCode::CREATED
    );
    assert_eq!(catalog.metric("service_catalog_store_up").await, Some(1.0));
}

#[tokio::test]
async fn it_advertises_what_it_is_told() {
    let catalog = Harness::start_with(|config| {
        config.advertise = Some("catalog.internal:5001".parse().unwrap());
    })
    .await;
    let own = catalog.get("/services/2").await.json()["instances"][0].clone();
    assert_eq!(own["address"], "catalog.internal:5001");
    assert_eq!(own["id"], "catalog-catalog.internal-5001");
}
