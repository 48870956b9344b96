//! What discovery may write, and to whom it gives way.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use catalog_api::{ServiceId, Source, Status};
use database::{CatalogStore, Command, Committed, Found, LeaseTerms, Outcome, Refusal, WriteError};

use crate::fixture::*;

fn found(id: &str, port: u16, source: Source, status: Status) -> Command {
    Command::FoundInstance {
        service: ServiceId(1),
        id: instance_id(id),
        found: Found {
            spec: instance(port),
            source,
            status,
        },
    }
}

pub(crate) async fn discovery_gives_way(store: &dyn CatalogStore) {
    use Status::{Critical, Passing, Suspect};
    let outcome = async |command| store.write(command).await.unwrap().outcome;
    let dns = |id, port, status| found(id, port, Source::Dns, status);
    let evict = |id: &str, port, source| Command::Evict {
        service: ServiceId(1),
        id: instance_id(id),
        only_if: LeaseTerms {
            source,
            ..LeaseTerms::registered(&instance(port))
        },
    };
    let refused = store.write(dns("d", 1, Passing)).await;
    assert!(matches!(
        refused,
        Err(WriteError::Refused(Refusal::UnknownService(_)))
    ));
    store.write(put(service("alpha"))).await.unwrap();
    store
        .write(put_instance("alpha", "mine", 7001))
        .await
        .unwrap();

    // Neither the id nor the address of somebody who registered, nor the address of one from a file.
    assert_eq!(
        outcome(dns("mine", 7009, Passing)).await,
        Outcome::Unchanged
    );
    assert_eq!(outcome(dns("d1", 7001, Passing)).await, Outcome::Unchanged);
    assert_eq!(
        outcome(found("f2", 7002, Source::File, Passing)).await,
        Outcome::Created
    );
    assert_eq!(outcome(dns("d2", 7002, Passing)).await, Outcome::Unchanged);
    assert_eq!(outcome(dns("f2", 7002, Passing)).await, Outcome::Unchanged);

    // As it answered the first time; what is known since then stays, unless it is another one.
    assert_eq!(outcome(dns("d3", 7003, Critical)).await, Outcome::Created);
    assert_eq!(outcome(dns("d3", 7003, Passing)).await, Outcome::Unchanged);
    let moved = store.write(dns("d3", 7004, Passing)).await.unwrap();
    let status = |committed: &Committed, id: &str| {
        let service = committed.service.as_ref().unwrap();
        let there = service
            .instances
            .iter()
            .find(|there| there.id == instance_id(id));
        there.map(|there| (there.status, there.source))
    };
    assert_eq!(status(&moved, "d3"), Some((Passing, Some(Source::Dns))));
    // A sign of life, as with every other one.
    let suspect = Command::SetStatus {
        service: ServiceId(1),
        id: instance_id("d3"),
        status: Suspect,
        only_if: Passing,
    };
    assert_eq!(outcome(suspect).await, Outcome::Updated);
    assert_eq!(outcome(dns("d3", 7004, Passing)).await, Outcome::Updated);

    // A file may have what a name has; whoever registers it takes it over, and then it ends only by his terms.
    assert_eq!(
        outcome(found("f4", 7004, Source::File, Passing)).await,
        Outcome::Created
    );
    assert_eq!(outcome(evict("d3", 7004, None)).await, Outcome::Unchanged);
    let taken = store
        .write(put_instance("alpha", "d3", 7004))
        .await
        .unwrap();
    assert_eq!(
        (taken.outcome, status(&taken, "d3")),
        (Outcome::Updated, Some((Passing, None)))
    );
    assert_eq!(
        outcome(evict("d3", 7004, Some(Source::Dns))).await,
        Outcome::Unchanged
    );
    assert_eq!(
        outcome(evict("f4", 7004, Some(Source::File))).await,
        Outcome::Deleted
    );
}

pub(crate) async fn discovered_services_are_their_owners(store: &dyn CatalogStore) {
    let write = async |command| store.write(command).await.unwrap();
    let found = |description: &str, source| Command::FoundService {
        spec: described("alpha", description),
        source,
    };
    let created = write(found("a", Source::Dns)).await;
    assert_eq!(created.outcome, Outcome::Created);
    assert_eq!(created.service.unwrap().source, Some(Source::Dns));
    let from_a_file = write(found("b", Source::File)).await;
    assert_eq!(from_a_file.outcome, Outcome::Updated);
    assert_eq!(
        write(found("b", Source::File)).await.outcome,
        Outcome::Unchanged
    );
    assert_eq!(
        write(found("a", Source::Dns)).await.outcome,
        Outcome::Unchanged
    );
    // The same from its owner makes it his.
    let owned = write(put(described("alpha", "b"))).await;
    assert_eq!(
        (owned.outcome, owned.service.unwrap().source),
        (Outcome::Updated, None)
    );
    assert_eq!(
        write(found("c", Source::File)).await.outcome,
        Outcome::Unchanged
    );
}
