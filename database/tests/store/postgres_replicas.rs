//! Several catalogs on one database.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use catalog_api::{DrainCount, DrainCounts, OpaqueId, Refused, Revision, ServiceId};
use database::{
    CallerCount, CallerNote, CatalogStore, Change, Changes, Departed, PostgresStore, ReceiverNote,
    Receivers, Renewal,
};

use crate::{
    fixture::*,
    postgres::{open, visitor},
    servers::{Durability, PostgresServer},
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
    let server = PostgresServer::start(Durability::Fast);
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
    let server = PostgresServer::start(Durability::Fast);
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
    let server = PostgresServer::start(Durability::Fast);
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
    let server = PostgresServer::start(Durability::Fast);
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

#[tokio::test]
async fn catalogs_tell_each_other_who_reads_their_streams() {
    const SOON: Duration = Duration::from_secs(60);
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let stores = [open(&url).await, open(&url).await];
    let [one, other] = stores.each_ref().map(|store| store.receivers().unwrap());
    let note = |stream: u128, revision: Option<u64>, refused: &[u64], age: u64| ReceiverNote {
        stream: OpaqueId::new(stream),
        receiver: format!("gw-{stream}/{stream:032x}").parse().unwrap(),
        revision: revision.map(Revision),
        refused: Refused::first_of(refused.iter().copied().map(ServiceId)),
        draining: DrainCounts::default(),
        age: Duration::from_secs(age),
    };
    let seen = async |of: &Arc<dyn Receivers>| {
        let mut all = of.all(SOON).await.unwrap();
        all.sort_by_key(|note| note.stream);
        all
    };
    assert!(seen(&one).await.is_empty());
    let notes = [note(1, None, &[], 0), note(2, Some(7), &[3, 4], 20)];
    one.record(&notes, &[], SOON).await.unwrap();
    let both = seen(&other).await;
    assert_eq!(both.len(), 2);
    for (found, noted) in both.iter().zip(&notes) {
        assert!(found.age >= noted.age && found.age < noted.age + PATIENCE);
        let age = noted.age;
        assert_eq!(
            &ReceiverNote {
                age,
                ..found.clone()
            },
            noted
        );
    }
    // A receipt that came to the other one goes forward, and what was overtaken does not go back.
    let notes = [note(1, Some(9), &[], 0), note(2, Some(6), &[], 30)];
    other.record(&notes, &[], SOON).await.unwrap();
    let both = seen(&one).await;
    assert_eq!(both[0].revision, Some(Revision(9)));
    assert_eq!(
        (both[1].revision, both[1].refused.as_slice().len()),
        (Some(Revision(7)), 2)
    );
    assert!(both[1].age < Duration::from_secs(30));
    // Who ended is gone, and so is who was not heard of.
    let ended = [OpaqueId::new(1)];
    one.record(&[note(3, Some(1), &[], 90)], &ended, SOON)
        .await
        .unwrap();
    let left = seen(&other).await;
    assert_eq!((left.len(), left[0].stream), (1, OpaqueId::new(2)));
}

fn count(instance: &str, in_flight: u64) -> DrainCount {
    DrainCount {
        service: ServiceId(7),
        instance: instance.parse().unwrap(),
        in_flight,
        finished: 1,
    }
}

#[tokio::test]
async fn counts_of_draining_instances_are_those_that_were_said_last() {
    const SOON: Duration = Duration::from_secs(60);
    let server = PostgresServer::start(Durability::Fast);
    let store = open(&server.database()).await;
    let receivers = store.receivers().unwrap();
    // The revision may be the same each time, and what comes late is older than what is known.
    for (in_flight, age, known) in [(3, 30, 3), (1, 10, 1), (2, 20, 1)] {
        let note = ReceiverNote {
            stream: OpaqueId::new(1),
            receiver: format!("gw/{:032x}", 9).parse().unwrap(),
            revision: Some(Revision(4)),
            refused: Refused::default(),
            draining: DrainCounts::first_of([count("a", in_flight)]),
            age: Duration::from_secs(age),
        };
        receivers.record(&[note], &[], SOON).await.unwrap();
        let seen = receivers.all(SOON).await.unwrap();
        assert_eq!(seen[0].draining.as_slice(), [count("a", known)]);
    }
}

#[tokio::test]
async fn catalogs_tell_each_other_of_their_own_calls() {
    const SOON: Duration = Duration::from_secs(60);
    let server = PostgresServer::start(Durability::Fast);
    let url = server.database();
    let stores = [open(&url).await, open(&url).await];
    let [one, other] = stores.each_ref().map(|store| store.callers().unwrap());
    let note = |catalog: u128, revision: u64, in_flight: u64, age: u64| CallerNote {
        catalog: OpaqueId::new(catalog),
        name: "catalog-1".parse().unwrap(),
        revision: Revision(revision),
        draining: vec![CallerCount {
            calls: count("a", in_flight),
            onlookers: 2,
            departed: vec![Departed {
                receiver: OpaqueId::new(8),
                finished: 6,
            }],
        }],
        age: Duration::from_secs(age),
    };
    assert!(other.all(SOON).await.unwrap().is_empty());
    for (revision, in_flight) in [(3, 5), (4, 0)] {
        let said = note(1, revision, in_flight, 0);
        one.record(&said, SOON).await.unwrap();
        let mut seen = other.all(SOON).await.unwrap();
        assert!(seen[0].age < PATIENCE);
        seen[0].age = Duration::ZERO;
        assert_eq!(seen, [said]);
    }
    // Whoever is too old is not seen, and thrown away when somebody else says something.
    one.record(&note(2, 1, 1, 90), SOON).await.unwrap();
    assert_eq!(other.all(SOON).await.unwrap().len(), 1);
    other.record(&note(3, 1, 1, 0), SOON).await.unwrap();
    assert_eq!(other.all(2 * SOON).await.unwrap().len(), 2);
    other.end(OpaqueId::new(1)).await.unwrap();
    let left = one.all(SOON).await.unwrap();
    assert_eq!((left.len(), left[0].catalog), (1, OpaqueId::new(3)));
}
