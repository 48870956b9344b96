//! What becomes of the shared store when its server dies, its network goes silent, its connections are cut, its locks are held.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use catalog_api::Revision;
use database::{
    Availability, CatalogStore, Command, Committed, PostgresStore, StoreError, WriteError,
};
use tokio::time::timeout;

use crate::{
    fault_proxy::FaultProxy,
    fixture::*,
    postgres::{open, visitor},
    servers::{Durability, PostgresServer},
};

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than any operation may take: a batch that is under way, and one's own.
const OPERATION_MAX: Duration = Duration::from_secs(20);

async fn write(store: &PostgresStore, command: Command) -> Result<Committed, WriteError> {
    let answer = timeout(OPERATION_MAX, store.write(command)).await;
    answer.expect("a write takes longer than its limits")
}

fn is_outage(error: &WriteError) -> bool {
    matches!(
        error,
        WriteError::Store(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
    )
}

async fn until_written(store: &PostgresStore, name: &str) -> Committed {
    let trying = async {
        loop {
            match write(store, put(service(name))).await {
                Ok(committed) => return committed,
                Err(error) => assert!(is_outage(&error), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("it never recovers")
}

async fn until_availability(store: &PostgresStore, wanted: bool) {
    let mut availability = store.availability();
    let waiting = availability.wait_for(|now| (*now == Availability::Available) == wanted);
    drop(timeout(PATIENCE, waiting).await.unwrap().unwrap());
}

/// Writes new services until told to stop. What was acknowledged, by name.
async fn load(
    store: Arc<PostgresStore>,
    writer: usize,
    mut stop: tokio::sync::watch::Receiver<bool>,
    acknowledged: tokio::sync::mpsc::UnboundedSender<()>,
) -> BTreeMap<String, Revision> {
    let mut written = BTreeMap::new();
    for number in 0.. {
        if *stop.borrow_and_update() {
            break;
        }
        let name = format!("s-{writer}-{number}");
        match write(&store, Command::Create(service(&name))).await {
            Ok(committed) => {
                written.insert(name, committed.revision);
                let _ = acknowledged.send(());
            }
            Err(error) => assert!(is_outage(&error), "{error:?}"),
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9_of_the_server() {
    let mut server = PostgresServer::start(Durability::Durable);
    let url = server.database();
    let stores = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (sender, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let store = Arc::clone(&stores[writer % 2]);
            tokio::spawn(load(store, writer, stopped.clone(), sender.clone()))
        })
        .collect();
    for _ in 0..2 {
        // In the middle of the load, and again after the recovery.
        for _ in 0..100 {
            timeout(PATIENCE, acknowledged.recv())
                .await
                .unwrap()
                .unwrap();
        }
        server.kill();
        for store in &stores {
            until_availability(store, false).await;
            let error = write(store, put(service("down"))).await.unwrap_err();
            assert!(is_outage(&error), "{error:?}");
            let read = timeout(OPERATION_MAX, store.snapshot()).await.unwrap();
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        }
        server.restart();
        for store in &stores {
            until_availability(store, true).await;
        }
    }
    timeout(PATIENCE, acknowledged.recv())
        .await
        .unwrap()
        .unwrap();
    stop.send_replace(true);
    let mut written = BTreeMap::new();
    for writer in writers {
        written.append(&mut writer.await.unwrap());
    }
    let stored = stores[0].snapshot().await.unwrap();
    let found: BTreeMap<_, _> = stored
        .services
        .iter()
        .map(|service| (service.name.as_str(), service.revision))
        .collect();
    for (name, revision) in &written {
        assert_eq!(found.get(name.as_str()), Some(revision), "{name}");
    }
    assert_eq!(stores[1].snapshot().await.unwrap(), stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_network_ends_in_time_and_is_forgotten_when_it_is_back() {
    let server = PostgresServer::start(Durability::Fast);
    let direct = server.database();
    let (rest, _) = direct.rsplit_once('/').unwrap();
    let (_, port) = rest.rsplit_once(':').unwrap();
    let proxy = FaultProxy::start(port.parse().unwrap()).await;
    let url = direct.replace(&format!(":{port}/"), &format!(":{}/", proxy.port()));
    let (store, other) = (open(&url).await, open(&direct).await);
    until_written(&store, "before").await;

    proxy.cut();
    let error = write(&store, put(service("during"))).await.unwrap_err();
    assert!(is_outage(&error), "{error:?}");
    let read = timeout(OPERATION_MAX, store.snapshot()).await.unwrap();
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    until_availability(&store, false).await;
    // The lock of a transaction that was cut off is not held against the others for long.
    let meanwhile = until_written(&other, "meanwhile").await;

    proxy.heal();
    until_availability(&store, true).await;
    let mut head = store.head();
    let caught_up = head.wait_for(|head| *head >= meanwhile.revision);
    drop(timeout(PATIENCE, caught_up).await.unwrap().unwrap());
    until_written(&store, "after").await;
    // And when everything is closed at once, there is nothing to wait for.
    proxy.sever();
    until_written(&store, "severed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_closed_are_not_used_again() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let store = open(&url).await;
    let visitor = visitor(&url).await;
    for round in 0..5 {
        until_written(&store, &format!("s-{round}")).await;
        visitor
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = 'service-catalog' AND datname = current_database()",
            )
            .await
            .unwrap();
    }
    until_written(&store, "last").await;
    until_availability(&store, true).await;
    assert_eq!(store.snapshot().await.unwrap().services.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_was_given_up_spoils_no_connection() {
    let server = PostgresServer::start(Durability::Fast);
    let store = Arc::new(open(&server.database()).await);
    until_written(&store, "alpha").await;
    for round in 0..40_u64 {
        // From "not even sent" to "just finished".
        let pause = Duration::from_micros(round * 50);
        let (reader, writer) = (Arc::clone(&store), Arc::clone(&store));
        let reading = tokio::spawn(async move { reader.snapshot().await });
        let name = format!("s-{round}");
        let writing = tokio::spawn(async move { writer.write(put(service(&name))).await });
        tokio::time::sleep(pause).await;
        reading.abort();
        writing.abort();
        let answer = store
            .write(put(described("alpha", &format!("{round}"))))
            .await;
        assert_eq!(
            answer.unwrap().service.unwrap().description.to_string(),
            format!("{round}")
        );
        let snapshot = store.snapshot().await.unwrap();
        assert_eq!(
            snapshot.services[0].description.to_string(),
            format!("{round}")
        );
    }
    // Every write got a revision of its own, whether somebody waited for its answer or not.
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.revision.0, 40 + snapshot.services.len() as u64);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_fails_the_write_and_nothing_else() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let store = open(&url).await;
    until_written(&store, "alpha").await;
    let visitor = visitor(&url).await;
    let lock = "BEGIN; SELECT * FROM catalog.meta FOR UPDATE";
    visitor.batch_execute(lock).await.unwrap();
    let error = write(&store, put(service("beta"))).await.unwrap_err();
    assert!(
        matches!(error, WriteError::Store(StoreError::Unavailable(_))),
        "{error:?}"
    );
    // Readers do not wait for writers.
    assert_eq!(store.snapshot().await.unwrap().services.len(), 1);
    visitor.batch_execute("COMMIT").await.unwrap();
    assert_eq!(until_written(&store, "beta").await.revision, Revision(2));
}

#[tokio::test]
async fn a_full_queue_refuses_instead_of_growing() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let store = Arc::new(open(&url).await);
    let visitor = visitor(&url).await;
    let lock = "BEGIN; SELECT * FROM catalog.meta FOR UPDATE";
    visitor.batch_execute(lock).await.unwrap();
    let writes: Vec<_> = (0..3_000)
        .map(|index| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.write(put(service(&format!("s-{index}")))).await })
        })
        .collect();
    // One thread: when this task runs again, each of the writes has been queued or refused.
    tokio::task::yield_now().await;
    visitor.batch_execute("COMMIT").await.unwrap();
    let (mut busy, mut done) = (0, 0);
    for write in writes {
        match write.await.unwrap() {
            Err(WriteError::Store(StoreError::Busy)) => busy += 1,
            other => {
                other.unwrap();
                done += 1;
            }
        }
    }
    assert!(busy > 0, "all of {done} were queued");
    assert_eq!(store.snapshot().await.unwrap().services.len(), done);
}

#[tokio::test]
async fn what_the_database_refuses_fails_only_its_own_write() {
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let store = open(&url).await;
    let visitor = visitor(&url).await;
    visitor
        .batch_execute(
            "ALTER TABLE catalog.services ADD CONSTRAINT full_disk CHECK (name <> 'beta')",
        )
        .await
        .unwrap();
    let failed = store.write(put(service("beta"))).await;
    assert!(
        matches!(failed, Err(WriteError::Store(StoreError::Failed(_)))),
        "{failed:?}"
    );
    assert_eq!(
        store.write(put(service("gamma"))).await.unwrap().revision,
        Revision(1)
    );
}
