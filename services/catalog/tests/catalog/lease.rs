//! What becomes of instances that stop renewing.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{Harness, PATIENCE, eventually};

const SHORT: &str = "150ms";
const SERVICE: &str = "service-api";
const EVICTED: &str = r#"service_catalog_lease_expirations_total{outcome="evicted"}"#;
const SUSPECT: &str = r#"service_catalog_lease_expirations_total{outcome="suspect"}"#;

/// A port that was free a moment ago, so that nobody answers there.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn leased(port: u16, ttl: &str) -> Value {
    json!({"address": format!("127.0.0.1:{port}"), "ttl": ttl})
}

fn path(instance: &str) -> String {
    format!("/services/{SERVICE}/instances/{instance}")
}

/// Makes probes of the service TCP connections, quickly repeated.
async fn probed_by_tcp(catalog: &Harness) {
    let health = json!({"kind": "tcp", "interval": "100ms"});
    let spec = json!({"name": SERVICE, "policy": {"health": health}});
    assert_eq!(
        catalog.put("/services/1", spec).await.status,
        StatusCode::OK
    );
}

async fn becomes(catalog: &Harness, instance: &str, status: Option<&str>) {
    eventually(&format!("{instance} is {status:?}"), async || {
        (catalog.status_of(SERVICE, instance).await.as_deref() == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_dead_are_evicted() {
    let catalog = Harness::start().await;
    probed_by_tcp(&catalog).await;
    let mut watch = catalog.watch(&format!("?service={SERVICE}")).await;
    watch.next().await;
    let registered = catalog.put(&path("a"), leased(dead_port(), SHORT)).await;
    assert_eq!(registered.status, StatusCode::CREATED);
    assert_eq!(watch.next().await.2["instances"][0]["id"], "a");
    // Watchers hear of it like of any other change.
    assert_eq!(watch.next().await.2["instances"], json!([]));
    eventually("it is counted", async || {
        (catalog.metric(EVICTED).await == Some(1.0)).then_some(())
    })
    .await;
    // Whoever comes back is registered anew.
    let again = catalog.put(&path("a"), leased(dead_port(), "60s")).await;
    assert_eq!(again.status, StatusCode::CREATED);
}

#[tokio::test]
async fn without_a_lease_nothing_expires() {
    let catalog = Harness::start().await;
    probed_by_tcp(&catalog).await;
    let dead = dead_port();
    catalog
        .put(
            &path("forever"),
            json!({"address": format!("127.0.0.1:{dead}")}),
        )
        .await;
    catalog.put(&path("leased"), leased(dead, SHORT)).await;
    becomes(&catalog, "leased", None).await;
    becomes(&catalog, "forever", Some("passing")).await;
}

#[tokio::test]
async fn the_living_are_suspect_until_they_renew_or_die() {
    let catalog = Harness::start().await;
    probed_by_tcp(&catalog).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    catalog.put(&path("a"), leased(port, SHORT)).await;
    becomes(&catalog, "a", Some("suspect")).await;
    assert_eq!(catalog.metric(SUSPECT).await, Some(1.0));

    let renewed = catalog.put(&path("a"), leased(port, SHORT)).await;
    assert_eq!(
        (renewed.status, &renewed.json()["status"]),
        (StatusCode::OK, &json!("passing"))
    );
    becomes(&catalog, "a", Some("suspect")).await;
    // It is asked again and again, without a revision each time.
    drop(listener);
    becomes(&catalog, "a", None).await;
    assert_eq!(catalog.metric(EVICTED).await, Some(1.0));
}

#[tokio::test]
async fn a_renewal_makes_no_revision_and_keeps_the_instance() {
    let catalog = Harness::start().await;
    probed_by_tcp(&catalog).await;
    let (dead, ttl) = (dead_port(), Duration::from_millis(1_500));
    let spec = leased(dead, "1500ms");
    let created = catalog.put(&path("a"), spec.clone()).await;
    // Another one beside it shows that leases do run out here.
    catalog.put(&path("witness"), leased(dead, "1500ms")).await;
    let (revision, writes) = (catalog.revision().await, store_writes(&catalog).await);
    let started = tokio::time::Instant::now();
    while started.elapsed() < ttl / 2 {
        let renewed = catalog.put(&path("a"), spec.clone()).await;
        assert_eq!(renewed.status, StatusCode::OK);
        assert_eq!(renewed.header("x-catalog-revision"), revision.to_string());
    }
    assert_eq!(
        store_writes(&catalog).await,
        writes,
        "renewals reached the store"
    );
    assert_ne!(created.header("etag"), "");
    while catalog.status_of(SERVICE, "witness").await.is_some() {
        catalog.put(&path("a"), spec.clone()).await;
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(
        catalog.status_of(SERVICE, "a").await.as_deref(),
        Some("passing")
    );
}

async fn store_writes(catalog: &Harness) -> Option<f64> {
    catalog
        .metric(r#"service_catalog_store_operation_seconds_count{operation="write"}"#)
        .await
}

#[tokio::test]
async fn a_restart_gives_everyone_a_full_lease() {
    let catalog = Harness::start().await;
    probed_by_tcp(&catalog).await;
    let dead = dead_port();
    catalog.put(&path("long"), leased(dead, "60s")).await;
    catalog.put(&path("short"), leased(dead, "1s")).await;
    let catalog = catalog.restart().await;
    becomes(&catalog, "long", Some("passing")).await;
    // The lease runs again: without a renewal it ends.
    becomes(&catalog, "short", None).await;
    becomes(&catalog, "long", Some("passing")).await;
}

/// Answers probes: the first `failures` of them with 503, then with 200. Counts them.
async fn probed_server(failures: usize, hang: bool) -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let before = counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                if hang {
                    // Until the other side gives up.
                    let _ = stream.read(&mut request).await;
                    return;
                }
                let status = if before < failures {
                    "503 no"
                } else {
                    "200 yes"
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn one_failed_probe_is_enough_for_one_instance() {
    let catalog = Harness::start().await;
    let (port, asked) = probed_server(1, false).await;
    catalog.put(&path("a"), leased(port, SHORT)).await;
    becomes(&catalog, "a", None).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn in_a_mass_expiry_silence_is_confirmed() {
    let catalog = Harness::start().await;
    let (port, asked) = probed_server(1, false).await;
    let dead = dead_port();
    for instance in ["a", "b", "c", "d", "e"] {
        catalog.put(&path(instance), leased(dead, "1s")).await;
    }
    catalog.put(&path("flaky"), leased(port, "1s")).await;
    becomes(&catalog, "flaky", Some("suspect")).await;
    assert!(asked.load(Ordering::SeqCst) >= 2);
    for instance in ["a", "b", "c", "d", "e"] {
        becomes(&catalog, instance, None).await;
    }
}

#[tokio::test]
async fn a_catalog_that_hears_nobody_drops_nobody() {
    let catalog = Harness::start().await;
    let instances = ["a", "b", "c", "d", "e"];
    let (port, asked) = probed_server(usize::MAX, false).await;
    for instance in instances {
        catalog.put(&path(instance), leased(port, "1s")).await;
    }
    eventually("everybody was asked again after that", async || {
        (asked.load(Ordering::SeqCst) >= 3 * instances.len()).then_some(())
    })
    .await;
    for instance in instances {
        becomes(&catalog, instance, Some("suspect")).await;
    }
    assert_eq!(catalog.metric(EVICTED).await, Some(0.0));
    // One sign of life from anybody, and the others are dead indeed.
    catalog.put(&path("alive"), leased(port, "60s")).await;
    for instance in instances {
        becomes(&catalog, instance, None).await;
    }
    becomes(&catalog, "alive", Some("passing")).await;
}

#[tokio::test]
async fn what_changed_during_a_probe_is_newer_than_its_answer() {
    let catalog = Harness::start().await;
    let (port, asked) = probed_server(0, true).await;
    let (other, other_asked) = probed_server(0, true).await;
    catalog.put(&path("changed"), leased(port, SHORT)).await;
    catalog.put(&path("deleted"), leased(other, SHORT)).await;
    eventually("both are being asked", async || {
        let both = asked.load(Ordering::SeqCst) > 0 && other_asked.load(Ordering::SeqCst) > 0;
        both.then_some(())
    })
    .await;
    catalog.put(&path("changed"), leased(port, "60s")).await;
    catalog.delete(&path("deleted")).await;
    let revision = catalog.revision().await;
    // A third one, evicted after both answers are in, says when to look.
    let (third, _) = probed_server(0, true).await;
    catalog.put(&path("third"), leased(third, SHORT)).await;
    becomes(&catalog, "third", None).await;
    becomes(&catalog, "changed", Some("passing")).await;
    assert_eq!(catalog.revision().await, revision + 2);
}
