//! Several catalogs on one PostgreSQL database.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    process::{Command, Stdio},
    time::Duration,
};

use catalog::StartError;
use http::StatusCode;
use serde_json::{Value, json};
use service_kit::secret::Secret;
use tempfile::TempDir;

use crate::{
    harness::{Harness, eventually},
    servers::{Durability, PostgresServer},
};

const SERVICE: &str = "service-api";

/// A catalog on a shared database.
pub(crate) async fn start(url: &str) -> Harness {
    Harness::start_with(|config| {
        config.database = Some(url.parse().unwrap());
        config.token = Some(Secret::new("shared".to_owned()));
    })
    .await
}

pub(crate) fn path(instance: &str) -> String {
    format!("/services/{SERVICE}/instances/{instance}")
}

/// An instance at which nobody answers.
pub(crate) fn dead(ttl: &str) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    json!({"address": listener.local_addr().unwrap().to_string(), "ttl": ttl})
}

/// Makes probes TCP connections, and waits until every catalog knows.
pub(crate) async fn probed_by_tcp(catalogs: &[&Harness]) {
    let health = json!({"kind": "tcp", "interval": "100ms"});
    let spec = json!({"name": SERVICE, "policy": {"health": health}});
    let put = catalogs[0].put("/services/1", spec).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    for catalog in catalogs {
        eventually("it is known how to probe", async || {
            let service = catalog.get("/services/1").await.json();
            (service["policy"]["health"]["kind"] == "tcp").then_some(())
        })
        .await;
    }
}

pub(crate) async fn becomes(catalog: &Harness, instance: &str, status: Option<&str>) {
    eventually(&format!("{instance} is {status:?}"), async || {
        (catalog.status_of(SERVICE, instance).await.as_deref() == status).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_written_at_one_is_read_at_the_other() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let (one, other) = tokio::join!(start(&url), start(&url));
    let mut watch = other.watch("?service=alpha").await;
    watch.next().await;
    let created = one.put_service("alpha").await;
    assert_eq!(created.status, StatusCode::CREATED);
    let (kind, revision, data) = watch.next().await;
    assert_eq!((kind.as_str(), &data), ("service", &created.json()));
    assert_eq!(created.header("x-catalog-revision"), revision.to_string());
    assert_eq!(other.get("/services/alpha").await.text, created.text);

    // And back, under the condition that it is what was read here.
    let spec = json!({"name": "alpha", "description": "x"});
    let put = |tag: &str| {
        let call = other.write(http::Method::PUT, "/services/alpha");
        call.header("if-match", tag).json(&spec).send()
    };
    assert_eq!(put(created.header("etag")).await.status, StatusCode::OK);
    put(created.header("etag")).await.problem(412);
    eventually("the first one reads it", async || {
        (one.get("/services/alpha").await.json()["description"] == "x").then_some(())
    })
    .await;

    // Both are there, in one catalog that was begun once.
    for catalog in [&one, &other] {
        eventually("both have registered", async || {
            let own = catalog.get("/services/2").await.json();
            let named = own["name"] == "service-catalog";
            (named && own["instances"].as_array()?.len() == 2).then_some(())
        })
        .await;
        let connections = catalog
            .metric("service_catalog_store_pool_connections")
            .await;
        assert!(connections.unwrap() >= 1.0);
    }
    let (drained, _) = one.stop().await;
    assert!(drained.finished);
    eventually("it has taken itself out", async || {
        let own = other.get("/services/2").await.json();
        (own["instances"].as_array()?.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_renewal_at_one_counts_at_the_other() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let catalogs = [start(&url).await, start(&url).await];
    let [one, other] = &catalogs;
    probed_by_tcp(&[one, other]).await;
    // Nobody answers, so whoever takes a lease for expired evicts the instance at once.
    let ttl = Duration::from_millis(1_500);
    let specs = [("sticks", dead("1500ms")), ("wanders", dead("1500ms"))];
    for (instance, spec) in &specs {
        let created = one.put(&path(instance), spec.clone()).await;
        assert_eq!(created.status, StatusCode::CREATED);
    }
    one.put(&path("witness"), dead("1500ms")).await;
    becomes(other, "wanders", Some("passing")).await;
    becomes(other, "witness", Some("passing")).await;

    let started = tokio::time::Instant::now();
    let mut before_eviction = None;
    for turn in 0_usize.. {
        for (instance, spec) in &specs {
            // One of them renews at one catalog only, the other at whichever it comes to.
            let at = if *instance == "sticks" { 0 } else { turn % 2 };
            let renewed = catalogs[at].put(&path(instance), spec.clone()).await;
            assert_eq!(renewed.status, StatusCode::OK, "{instance} was gone");
            assert_eq!(renewed.json()["status"], "passing", "{instance}");
        }
        if started.elapsed() < ttl / 2 {
            let revision = one.revision().await;
            assert_eq!(
                *before_eviction.get_or_insert(revision),
                revision,
                "a renewal is a revision"
            );
        }
        if started.elapsed() > ttl * 4 {
            break;
        }
    }
    // Leases do run out here: the one that never renewed is gone, and that was the only thing that happened.
    for catalog in &catalogs {
        becomes(catalog, "witness", None).await;
        assert_eq!(catalog.revision().await, before_eviction.unwrap() + 1);
    }
    for (instance, _) in &specs {
        for catalog in &catalogs {
            becomes(catalog, instance, None).await;
        }
    }
}

#[tokio::test]
async fn who_is_suspect_at_one_and_renews_at_the_other_passes_at_both() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let (one, other) = (start(&url).await, start(&url).await);
    probed_by_tcp(&[&one, &other]).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let spec = json!({"address": address, "ttl": "1s"});
    one.put(&path("a"), spec.clone()).await;
    for catalog in [&one, &other] {
        becomes(catalog, "a", Some("suspect")).await;
    }
    let renewed = other.put(&path("a"), spec.clone()).await;
    assert_eq!(renewed.json()["status"], "passing");
    drop(listener);
    // It answers nobody any more, but it renews.
    let started = tokio::time::Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let renewed = other.put(&path("a"), spec.clone()).await;
        assert_eq!(
            (renewed.status, &renewed.json()["status"]),
            (StatusCode::OK, &json!("passing"))
        );
    }
    becomes(&one, "a", None).await;
}

#[tokio::test]
async fn what_cannot_pass_on_its_own_is_said_at_the_start() {
    let server = PostgresServer::start(Durability::Fast);
    server.database();
    let url = server.url_as("postgres", "hunter2", "test_0");
    let folder = std::sync::Arc::new(TempDir::new().unwrap());
    let started = Harness::start_in(folder, |config| {
        config.database = Some(url.parse().unwrap())
    });
    let Err(StartError::Connect(error)) = started.await else {
        panic!("it started, or said something else");
    };
    assert!(
        error
            .to_string()
            .contains("refuses the user or the password"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn the_program_names_its_database_without_secrets_and_can_be_stopped_while_it_waits() {
    let mut server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let place = url.rsplit('@').next().unwrap().to_owned();
    let folder = TempDir::new().unwrap();
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_service-catalog"))
            .env_clear()
            .env("DATA_DIR", folder.path())
            .env("CATALOG_LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", &url)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let stop = |child: &std::process::Child| {
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    };
    let mut child = start();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(
        line.ends_with(&format!("(data in PostgreSQL at {place})\n")),
        "{line}"
    );
    stop(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();

    server.kill();
    let mut child = start();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    while !log.contains("waiting for the database") {
        assert_ne!(err.read_line(&mut log).unwrap(), 0, "it ended: {log}");
    }
    stop(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    err.read_to_string(&mut log).unwrap();
    for secret in ["p@ss", "p%40ss", "postgres://"] {
        assert!(!log.contains(secret), "{log}");
    }
}
