//! What [`CatalogStore`] promises, as checks that every store must pass. Each takes an empty store (no seeds).

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod discovery;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use catalog_api::{Revision, ServiceId, ServiceRef, Status};
use database::{
    CatalogStore, Change, Changes, Command, Expect, LeaseTerms, Outcome, Refusal, StoreError,
    WriteError,
};

pub(crate) use self::discovery::*;
use crate::fixture::*;

/// Longest wait for something that happens on its own.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn creates_reads_and_deletes(store: &dyn CatalogStore) {
    let empty = store.snapshot().await.unwrap();
    assert_eq!((empty.revision, empty.services.len()), (Revision(0), 0));

    let created = store
        .write(Command::Create(service("alpha")))
        .await
        .unwrap();
    assert_eq!(created.outcome, Outcome::Created);
    assert_eq!(created.revision, Revision(1));
    let alpha = created.service.unwrap();
    assert_eq!(alpha.id, ServiceId(1));
    assert_eq!(
        store.snapshot().await.unwrap().services,
        std::slice::from_ref(&alpha)
    );

    let taken = refusal(store.write(Command::Create(service("alpha"))).await);
    assert_eq!(
        taken,
        Refusal::NameTaken {
            name: name("alpha"),
            id: alpha.id
        }
    );

    let deleted = store.write(delete("alpha")).await.unwrap();
    assert_eq!(
        (deleted.outcome, deleted.revision),
        (Outcome::Deleted, Revision(2))
    );
    let gone = refusal(store.write(delete("alpha")).await);
    assert_eq!(gone, Refusal::UnknownService(by_name("alpha")));
    assert_eq!(store.snapshot().await.unwrap().revision, Revision(2));
}

pub(crate) async fn compares_and_sets(store: &dyn CatalogStore) {
    let at_five = Expect::OneOf(vec![Revision(5)]);
    let absent = refusal(store.write(put_if(service("alpha"), at_five.clone())).await);
    assert_eq!(absent, Refusal::RevisionMismatch { current: None });
    let absent = refusal(store.write(put_if(service("alpha"), Expect::Exists)).await);
    assert_eq!(absent, Refusal::RevisionMismatch { current: None });

    let created = store
        .write(put_if(service("alpha"), Expect::Absent))
        .await
        .unwrap();
    assert_eq!(created.outcome, Outcome::Created);
    let present = refusal(store.write(put_if(service("alpha"), Expect::Absent)).await);
    assert_eq!(
        present,
        Refusal::RevisionMismatch {
            current: Some(Revision(1))
        }
    );
    let stale = refusal(
        store
            .write(put_if(described("alpha", "new"), at_five))
            .await,
    );
    assert_eq!(
        stale,
        Refusal::RevisionMismatch {
            current: Some(Revision(1))
        }
    );
    assert_eq!(store.snapshot().await.unwrap().revision, Revision(1));

    let listed = Expect::OneOf(vec![Revision(9), Revision(1)]);
    let updated = store
        .write(put_if(described("alpha", "new"), listed))
        .await
        .unwrap();
    assert_eq!(
        (updated.outcome, updated.revision),
        (Outcome::Updated, Revision(2))
    );

    let unknown_instance = Command::DeleteInstance {
        service: by_name("alpha"),
        id: instance_id("a"),
        expect: Expect::OneOf(vec![Revision(1)]),
    };
    assert!(matches!(
        refusal(store.write(unknown_instance).await),
        Refusal::UnknownInstance { .. }
    ));
}

pub(crate) async fn only_one_of_many_rivals_wins(store: Arc<dyn CatalogStore>) {
    store.write(put(service("alpha"))).await.unwrap();
    let rivals = (0..20).map(|rival| {
        let store = Arc::clone(&store);
        let expect = Expect::OneOf(vec![Revision(1)]);
        let command = put_if(described("alpha", &format!("rival {rival}")), expect);
        tokio::spawn(async move { store.write(command).await })
    });
    let mut winners = 0;
    for answer in futures_util::future::join_all(rivals).await {
        match answer.unwrap() {
            Ok(_) => winners += 1,
            lost => assert_eq!(
                refusal(lost),
                Refusal::RevisionMismatch {
                    current: Some(Revision(2))
                }
            ),
        }
    }
    assert_eq!(winners, 1);
}

pub(crate) async fn same_content_makes_no_revision(store: &dyn CatalogStore) {
    store.write(put(described("alpha", "x"))).await.unwrap();
    store.write(put_instance("alpha", "a", 7001)).await.unwrap();
    for command in [
        put(described("alpha", "x")),
        put_instance("alpha", "a", 7001),
    ] {
        let again = store.write(command).await.unwrap();
        assert_eq!(
            (again.outcome, again.revision),
            (Outcome::Unchanged, Revision(2))
        );
        assert_eq!(again.service.unwrap().revision, Revision(2));
    }
    assert_eq!(*store.head().borrow(), Revision(2));
}

pub(crate) async fn names_ids_and_renames(store: &dyn CatalogStore) {
    store.write(put(service("alpha"))).await.unwrap();
    let by_id = |id, text| Command::Put {
        target: ServiceRef::Id(ServiceId(id)),
        spec: described(text, "by id"),
        expect: Expect::Anything,
    };
    assert_eq!(
        store.write(by_id(1, "alpha")).await.unwrap().outcome,
        Outcome::Updated
    );
    for id in [2, u64::MAX] {
        let unknown = refusal(store.write(by_id(id, "alpha")).await);
        assert_eq!(
            unknown,
            Refusal::UnknownService(ServiceRef::Id(ServiceId(id)))
        );
    }
    let renamed = refusal(store.write(by_id(1, "beta")).await);
    assert!(matches!(renamed, Refusal::RenameRefused { .. }));
    let mismatch = Command::Put {
        target: by_name("gamma"),
        spec: service("delta"),
        expect: Expect::Anything,
    };
    assert!(matches!(
        refusal(store.write(mismatch).await),
        Refusal::RenameRefused { .. }
    ));

    // Ids are never given again, not even that of the newest service.
    store.write(delete("alpha")).await.unwrap();
    let reborn = store.write(put(service("alpha"))).await.unwrap();
    assert_eq!(reborn.service.unwrap().id, ServiceId(2));
}

pub(crate) async fn instances_live_and_die(store: &dyn CatalogStore) {
    assert!(matches!(
        refusal(store.write(put_instance("alpha", "a", 1)).await),
        Refusal::UnknownService(_)
    ));
    store.write(put(service("alpha"))).await.unwrap();
    for id in ["b", "a", "c"] {
        let put = store.write(put_instance("alpha", id, 7001)).await.unwrap();
        assert_eq!(put.outcome, Outcome::Created);
    }
    let moved = store.write(put_instance("alpha", "b", 7002)).await.unwrap();
    assert_eq!(moved.outcome, Outcome::Updated);
    let ids: Vec<_> = moved
        .service
        .unwrap()
        .instances
        .into_iter()
        .map(|i| i.id)
        .collect();
    assert_eq!(ids, ["a", "b", "c"].map(instance_id));

    // A new declaration of the service keeps its instances.
    let described = store.write(put(described("alpha", "x"))).await.unwrap();
    assert_eq!(described.service.unwrap().instances.len(), 3);

    let deleted = store.write(delete_instance("alpha", "b")).await.unwrap();
    assert_eq!(deleted.outcome, Outcome::Deleted);
    assert_eq!(deleted.service.unwrap().instances.len(), 2);
    let missing = refusal(store.write(delete_instance("alpha", "b")).await);
    assert_eq!(
        missing,
        Refusal::UnknownInstance {
            service: name("alpha"),
            id: instance_id("b")
        }
    );
}

pub(crate) async fn leases_end_only_as_they_were(store: &dyn CatalogStore) {
    store.write(put(service("alpha"))).await.unwrap();
    store.write(put_instance("alpha", "a", 7001)).await.unwrap();
    let suspect = |only_if| Command::SetStatus {
        service: ServiceId(1),
        id: instance_id("a"),
        status: Status::Suspect,
        only_if,
    };
    let evict = |port| Command::Evict {
        service: ServiceId(1),
        id: instance_id("a"),
        only_if: LeaseTerms::registered(&instance(port)),
    };
    let outcome = async |command| store.write(command).await.unwrap().outcome;

    assert_eq!(outcome(suspect(Status::Critical)).await, Outcome::Unchanged);
    assert_eq!(outcome(suspect(Status::Passing)).await, Outcome::Updated);
    assert_eq!(outcome(suspect(Status::Passing)).await, Outcome::Unchanged);
    // The same content again is a sign of life.
    let renewed = store.write(put_instance("alpha", "a", 7001)).await.unwrap();
    assert_eq!(renewed.outcome, Outcome::Updated);
    assert_eq!(
        renewed.service.unwrap().instances[0].status,
        Status::Passing
    );

    assert_eq!(outcome(evict(7999)).await, Outcome::Unchanged);
    assert_eq!(outcome(evict(7001)).await, Outcome::Deleted);
    assert_eq!(outcome(evict(7001)).await, Outcome::Unchanged);
    assert_eq!(outcome(suspect(Status::Passing)).await, Outcome::Unchanged);
    store.write(delete("alpha")).await.unwrap();
    assert_eq!(outcome(evict(7001)).await, Outcome::Unchanged);
}

pub(crate) async fn resumes_from_every_revision(store: &dyn CatalogStore) {
    store.write(put(service("alpha"))).await.unwrap(); // 1
    store.write(put(service("beta"))).await.unwrap(); // 2
    store.write(put(described("alpha", "x"))).await.unwrap(); // 3
    store.write(delete("beta")).await.unwrap(); // 4
    store.write(put(service("beta"))).await.unwrap(); // 5

    let since = async |after| match store.changes_since(Revision(after), 100).await.unwrap() {
        Changes::List { changes, revision } => {
            assert_eq!(revision, Revision(5));
            changes
                .iter()
                .map(|change| change.revision().0)
                .collect::<Vec<_>>()
        }
        Changes::Compacted => panic!("compacted at {after}"),
    };
    // What was overtaken (1, 2) is not told again.
    assert_eq!(since(0).await, [3, 4, 5]);
    assert_eq!(since(3).await, [4, 5]);
    assert_eq!(since(4).await, [5]);
    assert!(since(5).await.is_empty());
    assert_eq!(
        store.changes_since(Revision(6), 100).await.unwrap(),
        Changes::Compacted
    );
    assert_eq!(
        store.changes_since(Revision(0), 2).await.unwrap(),
        Changes::Compacted
    );

    let Changes::List { changes, .. } = store.changes_since(Revision(3), 2).await.unwrap() else {
        panic!("compacted");
    };
    let Change::Deleted(deleted) = &changes[0] else {
        panic!("not a deletion: {changes:?}");
    };
    assert_eq!((deleted.id, &deleted.name), (ServiceId(2), &name("beta")));
}

/// The store must have been opened to keep two deletions.
pub(crate) async fn forgets_old_deletions(store: &dyn CatalogStore) {
    for text in ["alpha", "beta", "gamma"] {
        store.write(put(service(text))).await.unwrap(); // 1, 2, 3
    }
    for text in ["alpha", "beta", "gamma"] {
        store.write(delete(text)).await.unwrap(); // 4, 5, 6
    }
    assert_eq!(
        store.changes_since(Revision(3), 100).await.unwrap(),
        Changes::Compacted
    );
    let Changes::List { changes, .. } = store.changes_since(Revision(4), 100).await.unwrap() else {
        panic!("compacted although both later deletions are kept");
    };
    assert_eq!(changes.len(), 2);
}

pub(crate) async fn many_writers_one_order(store: Arc<dyn CatalogStore>) {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 25;
    let last = Revision(WRITERS * WRITES);
    let follower = tokio::spawn(follow(Arc::clone(&store), last));
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for write in 0..WRITES {
                let spec = described(&format!("service-{writer}"), &format!("write {write}"));
                let committed = loop {
                    match store.write(put(spec.clone())).await {
                        Err(WriteError::Store(StoreError::Busy)) => tokio::task::yield_now().await,
                        other => break other.unwrap(),
                    }
                };
                assert!(*store.head().borrow() >= committed.revision);
                revisions.push(committed.revision);
            }
            assert!(revisions.is_sorted());
            revisions
        })
    });
    let mut all = Vec::new();
    for revisions in futures_util::future::join_all(writers).await {
        all.extend(revisions.unwrap());
    }
    let distinct: BTreeSet<_> = all.iter().map(|revision| revision.0).collect();
    assert_eq!(all.len(), distinct.len());
    assert!(
        distinct.into_iter().eq(1..=last.0),
        "revisions are not dense"
    );

    let followed = tokio::time::timeout(PATIENCE, follower)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(followed, store.snapshot().await.unwrap().services);
}

/// What someone knows who only ever reads the head and the changes.
async fn follow(store: Arc<dyn CatalogStore>, last: Revision) -> Vec<catalog_api::Service> {
    let mut head = store.head();
    let mut known = std::collections::BTreeMap::new();
    let mut at = Revision(0);
    while at < last {
        head.wait_for(|head| *head > at).await.unwrap();
        let Changes::List { changes, revision } = store.changes_since(at, 1_000).await.unwrap()
        else {
            panic!("compacted at {at}");
        };
        for change in changes {
            assert!(change.revision() > at, "out of order");
            at = change.revision();
            match change {
                Change::Service(service) => known.insert(service.id, *service),
                Change::Deleted(deleted) => known.remove(&deleted.id),
            };
        }
        at = revision;
    }
    known.into_values().collect()
}
