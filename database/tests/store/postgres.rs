//! The shared store: the conformance suite over a real PostgreSQL, and what a database can be found to be when it is opened.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use catalog_api::{Revision, ServiceId};
use database::{CatalogStore, Options, PostgresConfig, PostgresError, PostgresStore};
use proptest::prelude::*;
use tokio_postgres::NoTls;

use crate::{
    conformance,
    fixture::*,
    model,
    servers::{Durability, PostgresServer},
};

pub(crate) async fn open(url: &str) -> PostgresStore {
    try_open(url).await.unwrap()
}

async fn try_open(url: &str) -> Result<PostgresStore, PostgresError> {
    PostgresStore::open(&url.parse().unwrap(), &[]).await
}

async fn refused(url: &str) -> PostgresError {
    match try_open(url).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

/// Somebody else in the database.
pub(crate) async fn visitor(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

macro_rules! conformance {
    ($($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            let server = PostgresServer::start(Durability::Fast);
            conformance::$check(&open(&server.database()).await).await;
        }
    )*};
}

conformance!(
    creates_reads_and_deletes,
    compares_and_sets,
    same_content_makes_no_revision,
    names_ids_and_renames,
    instances_live_and_die,
    leases_end_only_as_they_were,
    discovery_gives_way,
    discovered_services_are_their_owners,
    resumes_from_every_revision
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_many_rivals_wins() {
    let server = PostgresServer::start(Durability::Fast);
    let store = Arc::new(open(&server.database()).await);
    conformance::only_one_of_many_rivals_wins(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_one_order() {
    let server = PostgresServer::start(Durability::Fast);
    let store = Arc::new(open(&server.database()).await);
    conformance::many_writers_one_order(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgets_old_deletions() {
    let server = PostgresServer::start(Durability::Fast);
    let config: PostgresConfig = server.database().parse().unwrap();
    let options = Options { deletions_kept: 2 };
    let store = PostgresStore::open_with(&config, &[], options)
        .await
        .unwrap();
    conformance::forgets_old_deletions(&store).await;
}

#[test]
fn agrees_with_the_model() {
    let server = PostgresServer::start(Durability::Fast);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(steps in model::steps())| {
        let url = server.database();
        runtime.block_on(async { model::agrees(&open(&url).await, &steps).await });
    });
}

#[tokio::test]
async fn reopens_as_it_was() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let store = open(&url).await;
    let text = "ünïcode \"quoted\" \\u0000 {}";
    store.write(put(described("alpha", text))).await.unwrap();
    store.write(put_instance("alpha", "a", 7001)).await.unwrap();
    store.write(put(service("beta"))).await.unwrap();
    store.write(delete("beta")).await.unwrap();
    let before = (
        store.snapshot().await.unwrap(),
        store.changes_since(Revision(1), 9).await.unwrap(),
    );
    drop(store);

    let store = open(&url).await;
    let after = (
        store.snapshot().await.unwrap(),
        store.changes_since(Revision(1), 9).await.unwrap(),
    );
    assert_eq!(after, before);
    assert_eq!(*store.head().borrow(), Revision(4));
    // The id of the deleted service is not given again after a restart either.
    let gamma = store.write(put(service("gamma"))).await.unwrap();
    assert_eq!(gamma.service.unwrap().id, ServiceId(3));
    let pool = store.pool_state();
    assert!(
        pool.connections >= 1 && pool.idle <= pool.connections,
        "{pool:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_start_on_an_empty_database_at_once() {
    let server = PostgresServer::start(Durability::Fast);
    let config: PostgresConfig = server.database().parse().unwrap();
    let opening = (0..6).map(|_| {
        let config = config.clone();
        tokio::spawn(async move {
            let seeds = [service("service-api"), service("service-catalog")];
            PostgresStore::open(&config, &seeds).await
        })
    });
    for store in futures_util::future::join_all(opening).await {
        let store = store.unwrap().unwrap();
        let snapshot = store.snapshot().await.unwrap();
        assert_eq!(snapshot.revision, Revision(2));
        let ids = snapshot.services.iter().map(|s| (s.id.0, s.name.as_str()));
        assert!(ids.eq([(1, "service-api"), (2, "service-catalog")]));
    }
    // What was deleted is not seeded again.
    let store = open(&server.database()).await;
    assert_eq!(store.snapshot().await.unwrap().services, []);
}

#[tokio::test]
async fn newer_and_foreign_schemas_are_left_alone() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    drop(open(&url).await);
    let newer = "INSERT INTO catalog.schema_version (version) VALUES (99)";
    visitor(&url).await.batch_execute(newer).await.unwrap();
    let error = refused(&url).await;
    assert!(
        matches!(error, PostgresError::Newer { found: 99, .. }),
        "{error}"
    );

    let url = server.database();
    let theirs = "CREATE SCHEMA catalog; CREATE TABLE catalog.services (books text)";
    let visitor = visitor(&url).await;
    visitor.batch_execute(theirs).await.unwrap();
    let error = refused(&url).await;
    assert!(matches!(error, PostgresError::Foreign { .. }), "{error}");
    // Nothing of ours was left behind.
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'catalog'";
    let tables = visitor.query_one(tables, &[]).await.unwrap();
    assert_eq!(tables.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn what_is_wrong_with_the_url_is_said_without_its_secrets() {
    let server = PostgresServer::start(Durability::Fast);
    let good = server.database();
    let database = good.rsplit('/').next().unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead.local_addr().unwrap().port();
    drop(dead);
    visitor(&good)
        .await
        .batch_execute("CREATE ROLE someuser LOGIN PASSWORD 'somesecret'")
        .await
        .unwrap();
    // Too long for a label of the DNS, so nobody is asked for it.
    let unknown = "h".repeat(64);
    for (url, temporary, says) in [
        (
            server.url_as("postgres", "somesecret", database),
            false,
            "refuses the user or the password",
        ),
        (
            server.url_as("someuser2", "somesecret", database),
            false,
            "refuses the user or the password",
        ),
        (
            server.url_as("postgres", "p%40ss%2Fw0rd", "nowhere"),
            false,
            "no database",
        ),
        (
            server.url_as("someuser", "somesecret", database),
            false,
            "grant CREATE",
        ),
        (
            format!("postgres://someuser:somesecret@127.0.0.1:{port}/x"),
            true,
            "cannot reach",
        ),
        (
            format!("postgres://someuser:somesecret@{unknown}/x"),
            true,
            "cannot reach",
        ),
    ] {
        let error = refused(&url).await;
        assert!(error.to_string().contains(says), "{url}: {error:?}");
        assert_eq!(error.is_temporary(), temporary, "{url}: {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("somesecret") && !shown.contains("someuser"),
            "{shown}"
        );
    }
}
