//! From the store to the published state: waits for a new head, reads what changed, publishes the next snapshot.
//!
//! Everything that depends on the content (leases, metrics) is brought up to date here and nowhere else, so that it makes no
//! difference whether a change came through this process or, with a shared store, through another one.

use std::{sync::Arc, time::Duration};

use catalog_api::{Revision, ServiceRef};
use database::{Change, Changes, StoreError};
use service_kit::{backoff::Backoff, shutdown::Shutdown};

use crate::{
    calls::Flights,
    drain::Drains,
    journal::{RECORDS_MAX, Record},
    lease::Leases,
    metrics::CatalogMetrics,
    snapshot::Snapshot,
    state::Live,
    store::ObservedStore,
};

/// Shortest and longest pause after the store could not be read.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Keeps the published state equal to the store.
pub(crate) struct Follower {
    pub(crate) store: Arc<ObservedStore>,
    pub(crate) live: Arc<Live>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) drains: Arc<Drains>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) metrics: Arc<CatalogMetrics>,
}

// === impl Follower ===

impl Follower {
    /// Takes over what is published at the start.
    pub(crate) fn begin(&self) {
        let snapshot = self.live.load();
        for entry in snapshot.entries() {
            self.leases.follow(&entry.service);
            self.flights.follow(&entry.service);
            self.drains.follow(&entry.service);
            self.metrics.service(&entry.service);
        }
        self.metrics.published(&snapshot);
    }

    /// Follows until the stop is asked for. While the store cannot be read, what is published stays.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut head = self.store.head();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let target = *head.borrow_and_update();
            let pause = match self.catch_up(target).await {
                Ok(()) => {
                    backoff.reset();
                    None
                }
                Err(error) => {
                    let pause = backoff.next_delay();
                    tracing::warn!(
                        error = %chain(&error),
                        retry_ms = pause.as_millis(),
                        "cannot read the store; what was published before stays"
                    );
                    Some(pause)
                }
            };
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                changed = head.changed(), if pause.is_none() => {
                    if changed.is_err() {
                        // The store is closed; nothing will change any more.
                        return;
                    }
                }
            }
        }
    }

    async fn catch_up(&self, target: Revision) -> Result<(), StoreError> {
        let known = self.live.load().revision();
        if known >= target {
            return Ok(());
        }
        match self.store.changes_since(known, RECORDS_MAX).await? {
            Changes::List { changes, revision } => self.apply(changes, revision),
            Changes::Compacted => self.replace(self.store.snapshot().await?),
        }
        Ok(())
    }

    fn apply(&self, changes: Vec<Change>, revision: Revision) {
        let records: Vec<Record> = changes.into_iter().map(Record::from).collect();
        let next = self.live.load().next(&records, revision);
        self.metrics.published(&next);
        self.live.publish(next, &records);
        for record in &records {
            match record {
                Record::Service(entry) => {
                    self.leases.follow(&entry.service);
                    self.flights.follow(&entry.service);
                    self.drains.follow(&entry.service);
                    self.metrics.service(&entry.service);
                }
                Record::Deleted(deleted, _) => {
                    self.leases.forget(deleted.id);
                    self.flights.forget(deleted.id);
                    self.drains.forget(deleted.id);
                    self.metrics.service_removed(&deleted.name);
                }
            }
        }
    }

    fn replace(&self, stored: catalog_api::Snapshot) {
        tracing::info!(revision = stored.revision.0, "read the whole catalog again");
        let previous = self.live.load();
        self.live.replace(Snapshot::new(stored));
        let next = self.live.load();
        for entry in previous.entries() {
            if next.get(&ServiceRef::Id(entry.service.id)).is_none() {
                self.leases.forget(entry.service.id);
                self.flights.forget(entry.service.id);
                self.drains.forget(entry.service.id);
                self.metrics.service_removed(&entry.service.name);
            }
        }
        self.begin();
    }
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
