//! The embedded store: the conformance suite, and what only a file can do: be reopened, damaged, foreign, locked.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, path::PathBuf, sync::Arc};

use catalog_api::{Revision, ServiceId};
use database::{
    CatalogStore, Command, OpenError, Options, Outcome, SqliteStore, StoreError, WriteError,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{conformance, fixture::*, model};

struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("catalog.db")
    }

    fn open(&self) -> SqliteStore {
        let opened = SqliteStore::open(&self.path(), &[]).unwrap();
        assert_eq!(opened.set_aside, None);
        opened.store
    }

    fn refused(&self) -> OpenError {
        match SqliteStore::open(&self.path(), &[]) {
            Ok(opened) => panic!("opened; set aside: {:?}", opened.set_aside),
            Err(error) => error,
        }
    }
}

macro_rules! conformance {
    ($($check:ident),*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            conformance::$check(&Fixture::new().open()).await;
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
    conformance::only_one_of_many_rivals_wins(Arc::new(Fixture::new().open())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_one_order() {
    conformance::many_writers_one_order(Arc::new(Fixture::new().open())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgets_old_deletions() {
    let fixture = Fixture::new();
    let options = Options { deletions_kept: 2 };
    let opened = SqliteStore::open_with(&fixture.path(), &[], options).unwrap();
    conformance::forgets_old_deletions(&opened.store).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_the_model(steps in model::steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(model::agrees(&Fixture::new().open(), &steps));
    }
}

#[tokio::test]
async fn seeds_only_a_new_catalog() {
    let fixture = Fixture::new();
    let seeds = [service("service-api"), service("service-catalog")];
    let opened = SqliteStore::open(&fixture.path(), &seeds).unwrap();
    let snapshot = opened.store.snapshot().await.unwrap();
    let ids: Vec<_> = snapshot
        .services
        .iter()
        .map(|s| (s.id.0, s.name.as_str()))
        .collect();
    assert_eq!(ids, [(1, "service-api"), (2, "service-catalog")]);
    opened.store.write(delete("service-api")).await.unwrap();
    drop(opened);

    let opened = SqliteStore::open(&fixture.path(), &seeds).unwrap();
    let snapshot = opened.store.snapshot().await.unwrap();
    assert_eq!(
        (snapshot.revision, snapshot.services.len()),
        (Revision(3), 1)
    );
}

#[tokio::test]
async fn reopens_as_it_was() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store
        .write(put(described("alpha", "ünïcode \"quoted\"")))
        .await
        .unwrap();
    store.write(put_instance("alpha", "a", 7001)).await.unwrap();
    store.write(put(service("beta"))).await.unwrap();
    store.write(delete("beta")).await.unwrap();
    let before = (
        store.snapshot().await.unwrap(),
        store.changes_since(Revision(1), 9).await.unwrap(),
    );
    drop(store);

    let store = fixture.open();
    let after = (
        store.snapshot().await.unwrap(),
        store.changes_since(Revision(1), 9).await.unwrap(),
    );
    assert_eq!(after, before);
    assert_eq!(*store.head().borrow(), Revision(4));
    // The id of the deleted service is not given again after a restart either.
    let gamma = store.write(put(service("gamma"))).await.unwrap();
    assert_eq!(gamma.service.unwrap().id, ServiceId(3));
}

#[tokio::test]
async fn damaged_files_are_kept_under_another_name() {
    let fixture = Fixture::new();
    for expected in ["catalog.db.corrupt", "catalog.db.corrupt-1"] {
        fs::write(
            fixture.path(),
            b"this is not a database, however long it is. ".repeat(400),
        )
        .unwrap();
        fs::write(fixture.folder.path().join("catalog.db-wal"), b"leftover").unwrap();
        let opened = SqliteStore::open(&fixture.path(), &[service("seed")]).unwrap();
        let kept = opened.set_aside.unwrap().path;
        assert_eq!(kept, fixture.folder.path().join(expected));
        assert!(fs::read(&kept).unwrap().starts_with(b"this is not"));
        let log = fixture.folder.path().join(format!("{expected}-wal"));
        assert_eq!(fs::read(log).unwrap(), b"leftover");

        let snapshot = opened.store.snapshot().await.unwrap();
        assert_eq!(snapshot.services.len(), 1);
        // Above anything the lost catalog can have reached with less than a write per second.
        assert!(snapshot.revision > Revision(1_700_000_000));
    }
}

#[tokio::test]
async fn damage_inside_is_found() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for index in 0..50 {
        store
            .write(put(described(
                &format!("service-{index}"),
                &"x".repeat(900),
            )))
            .await
            .unwrap();
    }
    drop(store);
    let mut bytes = fs::read(fixture.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xA5);
    fs::write(fixture.path(), bytes).unwrap();
    let opened = SqliteStore::open(&fixture.path(), &[]).unwrap();
    assert!(opened.set_aside.is_some());
    assert!(opened.store.snapshot().await.unwrap().services.is_empty());
}

#[tokio::test]
async fn documents_that_are_no_services_are_damage() {
    let fixture = Fixture::new();
    fixture.open().write(put(service("alpha"))).await.unwrap();
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other
        .execute("UPDATE services SET document = '{}'", [])
        .unwrap();
    drop(other);
    let opened = SqliteStore::open(&fixture.path(), &[]).unwrap();
    assert!(opened.set_aside.unwrap().reason.contains("missing field"));
}

#[test]
fn a_second_opener_is_refused() {
    let fixture = Fixture::new();
    let store = fixture.open();
    assert!(matches!(fixture.refused(), OpenError::InUse { .. }));
    drop(store);
    drop(fixture.open());
}

#[test]
fn newer_and_foreign_databases_are_left_alone() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other.pragma_update(None, "user_version", 99).unwrap();
    drop(other);
    assert!(matches!(
        fixture.refused(),
        OpenError::Newer { found: 99, .. }
    ));

    fs::remove_file(fixture.path()).unwrap();
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other
        .execute_batch("CREATE TABLE bookmarks (url TEXT)")
        .unwrap();
    drop(other);
    let before = fs::read(fixture.path()).unwrap();
    assert!(matches!(fixture.refused(), OpenError::Foreign { .. }));
    assert_eq!(fs::read(fixture.path()).unwrap(), before);
}

#[test]
fn obstacles_are_not_damage() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path()).unwrap();
    assert!(matches!(fixture.refused(), OpenError::Open { .. }));
    assert!(fixture.path().is_dir());

    fs::remove_dir(fixture.path()).unwrap();
    let locker = rusqlite::Connection::open(fixture.path()).unwrap();
    locker
        .execute_batch("BEGIN EXCLUSIVE; CREATE TABLE held (x)")
        .unwrap();
    assert!(matches!(fixture.refused(), OpenError::Open { .. }));
}

#[tokio::test]
async fn a_failing_write_leaves_the_writer_alive() {
    let fixture = Fixture::new();
    let store = fixture.open();
    store.write(put(service("alpha"))).await.unwrap();
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON services WHEN NEW.name = 'beta'
             BEGIN SELECT RAISE(ABORT, 'no space left'); END",
        )
        .unwrap();
    let failed = store.write(put(service("beta"))).await;
    assert!(matches!(
        failed,
        Err(WriteError::Store(StoreError::Failed(_)))
    ));
    assert_eq!(*store.head().borrow(), Revision(1));
    assert_eq!(
        store.write(put(service("gamma"))).await.unwrap().revision,
        Revision(2)
    );
    other.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(
        store.write(put(service("beta"))).await.unwrap().revision,
        Revision(3)
    );
}

#[tokio::test]
async fn a_full_queue_refuses_instead_of_growing() {
    let fixture = Fixture::new();
    let store = Arc::new(fixture.open());
    // Someone else holds the file: the writer waits, the queue fills.
    let locker = rusqlite::Connection::open(fixture.path()).unwrap();
    locker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writes = (0..3_000).map(|index| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.write(put(service(&format!("s-{index}")))).await })
    });
    let writes: Vec<_> = writes.collect();
    // One thread: when this task runs again, each of the writes has been queued or refused.
    tokio::task::yield_now().await;
    locker.execute_batch("COMMIT").unwrap();
    let mut busy = 0;
    let mut done = 0;
    for write in writes {
        match write.await.unwrap() {
            Err(WriteError::Store(StoreError::Busy)) => busy += 1,
            other => {
                assert_eq!(other.unwrap().outcome, Outcome::Created);
                done += 1;
            }
        }
    }
    assert!(busy > 0, "all of {done} were queued");
    assert_eq!(store.snapshot().await.unwrap().services.len(), done);
}

#[tokio::test]
async fn a_refusal_in_a_batch_hurts_nobody_else() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let commands = [
        Command::Create(service("alpha")),
        Command::Create(service("alpha")),
        delete("nobody"),
        Command::Create(service("beta")),
    ];
    let answers = futures_util::future::join_all(commands.map(|c| store.write(c))).await;
    let accepted: Vec<_> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, false, true]);
    assert_eq!(*store.head().borrow(), Revision(2));
}
