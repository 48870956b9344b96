//! Several catalogs on one database.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use catalog_api::{Revision, ServiceId};
use database::{CatalogStore, Change, Changes, PostgresStore, Renewal};

use crate::{
    fixture::*,
    postgres::{open, visitor},
    server::{Durability, Server},
};

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that somebody hears of who follows a store, until a revision.
async fn hear(store: Arc<PostgresStore>, last: Revision) -> Vec<Change> {
    let mut head = store.head();
    let (mut heard, mut at) = (Vec::new(), Revision(0));
    while at < last {
        head.wait_for(|head| *head > at).await.unwrap();
        match store.changes_since(at, 10_000).await.unwrap() {
            Changes::List { changes, revision } => {
                heard.extend(changes);
                at = revision;
            }
            Changes::Compacted => panic!("compacted at {at}"),
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hears_of_every_write_of_both_once_and_in_order() {
    const WRITERS: u64 = 4;
    const WRITES: u64 = 40;
    let server = Server::start(Durability::Fast);
    let url = server.database();
    let stores = [Arc::new(open(&url).await), Arc::new(open(&url).await)];
    let last = Revision(2 * WRITERS * WRITES);
    let listeners = stores
        .each_ref()
        .map(|store| tokio::spawn(hear(Arc::clone(store), last)));
    let mut writers = Vec::new();
    for (replica, store) in stores.iter().enumerate() {
        for writer in 0..WRITERS {
            let store = Arc::clone(store);
            writers.push(tokio::spawn(async move {
                let mut written = BTreeMap::new();
                for write in 0..WRITES {
                    // A name each, so that no change covers up another one.
                    let name = format!("s-{replica}-{writer}-{write}");
                    let committed = store.write(put(service(&name))).await.unwrap();
                    assert!(*store.head().borrow() >= committed.revision);
                    written.insert(committed.revision, name);
                }
                written
            }));
        }
    }
    let mut written = BTreeMap::new();
    for writer in writers {
        written.append(&mut writer.await.unwrap());
    }
    // Unique, because there are as many as writes, and dense.
    assert!(written.keys().map(|revision| revision.0).eq(1..=last.0));
    for listener in listeners {
        let heard = tokio::time::timeout(PATIENCE, listener)
            .await
            .unwrap()
            .unwrap();
        let heard: Vec<_> = heard
            .into_iter()
            .map(|change| match change {
                Change::Service(service) => (service.revision, service.name.to_string()),
                Change::Deleted(deleted) => panic!("{deleted:?}"),
            })
            .collect();
        assert_eq!(heard, written.clone().into_iter().collect::<Vec<_>>());
    }
    let ids = stores[0].snapshot().await.unwrap().services;
    assert!(ids.iter().map(|service| service.id.0).eq(1..=last.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_compares_with_what_the_other_set() {
    let server = Server::start(Durability::Fast);
    let url = server.database();
    let (one, other) = (open(&url).await, open(&url).await);
    one.write(put(service("alpha"))).await.unwrap();
    let at_one = database::Expect::OneOf(vec![Revision(1)]);
    let command = |text| put_if(described("alpha", text), at_one.clone());
    other.write(command("other")).await.unwrap();
    let lost = refusal(one.write(command("one")).await);
    let current = Some(Revision(2));
    assert_eq!(lost, database::Refusal::RevisionMismatch { current });
}

#[tokio::test]
async fn notes_reach_the_others_and_make_no_revision() {
    let server = Server::start(Durability::Fast);
    let url = server.database();
    let (one, other) = (open(&url).await, open(&url).await);
    let note = |instance: &str, seconds| Renewal {
        service: ServiceId(1),
        instance: instance_id(instance),
        age: Duration::from_secs(seconds),
    };
    let (mine, theirs) = (one.renewals().unwrap(), other.renewals().unwrap());
    mine.record(&[note("a", 500), note("b", 900), note("a", 200)])
        .await
        .unwrap();
    // An older note does not make a younger one undone.
    theirs.record(&[note("a", 300)]).await.unwrap();
    let asked = ["b", "nobody", "a"].map(|id| (ServiceId(1), instance_id(id)));
    let ages = theirs.ages(&asked).await.unwrap();
    let [Some(b), None, Some(a)] = ages[..] else {
        panic!("{ages:?}");
    };
    // As old as said, plus what the test took.
    let about = |age: Duration, seconds| (seconds..seconds + 60).contains(&age.as_secs());
    assert!(about(a, 200) && about(b, 900), "{ages:?}");
    assert_eq!(one.snapshot().await.unwrap().revision, Revision(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_everyone_starts_from_a_snapshot() {
    let server = Server::start(Durability::Fast);
    let url = server.database();
    let store = open(&url).await;
    for index in 0..10 {
        store
            .write(put(service(&format!("s-{index}"))))
            .await
            .unwrap();
    }
    let mut head = store.head();
    head.mark_unchanged();
    visitor(&url)
        .await
        .batch_execute(
            "DELETE FROM catalog.services WHERE revision > 4; UPDATE catalog.meta SET revision = 4",
        )
        .await
        .unwrap();
    // Nobody has to write for it to be found.
    let risen = head.wait_for(|head| *head > Revision(10));
    let revision = *tokio::time::timeout(PATIENCE, risen)
        .await
        .unwrap()
        .unwrap();
    for known in [4, 7, 10] {
        let changes = store.changes_since(Revision(known), 100).await.unwrap();
        assert_eq!(changes, Changes::Compacted, "since {known}");
    }
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.revision, snapshot.services.len()), (revision, 4));
    let next = store.write(put(service("next"))).await.unwrap();
    assert_eq!(next.revision, revision.next());
}
