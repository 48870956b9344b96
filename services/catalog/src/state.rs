//! What is published: the snapshot that everyone reads, the journal that watchers read, and the bells that wake them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use catalog_api::{Revision, ServiceRef};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    journal::{Journal, RECORDS_MAX, Record, Step},
    snapshot::Snapshot,
};

/// The published state of one catalog. One writer, the follower; any number of readers.
pub(crate) struct Live {
    snapshot: ArcSwap<Snapshot>,
    // A lock because a journal of thousands of records is not copied for each change. It is held for one look-up.
    journal: RwLock<Journal>,
    published: watch::Sender<Revision>,
    // A bell per watched service, so that a change wakes those who asked for it and nobody else.
    bells: Mutex<HashMap<String, watch::Sender<Revision>>>,
}

/// A place in the row of those who are woken.
pub(crate) struct Subscription {
    live: Arc<Live>,
    filter: Option<ServiceRef>,
    bell: watch::Receiver<Revision>,
}

// === impl Live ===

impl Live {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let revision = snapshot.revision();
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            journal: RwLock::new(Journal::new(revision, RECORDS_MAX)),
            published: watch::Sender::new(revision),
            bells: Mutex::default(),
        }
    }

    /// The newest snapshot. Load it once per request, or one answer is made of two revisions.
    pub(crate) fn load(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Publishes what differs from the present snapshot by `records`.
    pub(crate) fn publish(&self, next: Snapshot, records: &[Record]) {
        let revision = next.revision();
        // The journal first: whoever reads revision N from the snapshot must be able to resume from N.
        self.journal.write().extend(records, revision);
        self.snapshot.store(Arc::new(next));
        self.published.send_replace(revision);
        let bells = self.bells.lock();
        for reference in records.iter().flat_map(Record::references) {
            if let Some(bell) = bells.get(&reference.to_string()) {
                bell.send_replace(revision);
            }
        }
    }

    /// Publishes a snapshot of which it is not known how it differs.
    pub(crate) fn replace(&self, next: Snapshot) {
        let revision = next.revision();
        self.journal.write().restart(revision);
        self.snapshot.store(Arc::new(next));
        self.published.send_replace(revision);
        for bell in self.bells.lock().values() {
            bell.send_replace(revision);
        }
    }

    /// Waits until the published snapshot has a revision. False when it takes longer than `time_max`.
    pub(crate) async fn reaches(&self, revision: Revision, time_max: Duration) -> bool {
        let mut published = self.published.subscribe();
        let reached = published.wait_for(|published| *published >= revision);
        matches!(tokio::time::timeout(time_max, reached).await, Ok(Ok(_)))
    }

    /// How many services have a bell of their own.
    #[cfg(test)]
    pub(crate) fn bells(&self) -> usize {
        self.bells.lock().len()
    }

    /// Takes part in the news about everything or about one service, which need not exist yet.
    pub(crate) fn subscribe(self: &Arc<Self>, filter: Option<ServiceRef>) -> Subscription {
        let bell = match &filter {
            None => self.published.subscribe(),
            Some(target) => self
                .bells
                .lock()
                .entry(target.to_string())
                .or_insert_with(|| watch::Sender::new(Revision::default()))
                .subscribe(),
        };
        Subscription {
            live: Arc::clone(self),
            filter,
            bell,
        }
    }
}

// === impl Subscription ===

impl Subscription {
    pub(crate) fn filter(&self) -> Option<&ServiceRef> {
        self.filter.as_ref()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.live.load()
    }

    /// What comes after a position. Whatever is published from now on rings.
    pub(crate) fn after(&mut self, position: Revision) -> Step {
        self.bell.mark_unchanged();
        self.live
            .journal
            .read()
            .after(position, self.filter.as_ref())
    }

    /// Waits for news. Cancel-safe.
    pub(crate) async fn rings(&mut self) {
        // The sender lives as long as the subscription, so there is no end to wait for.
        if self.bell.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(target) = &self.filter {
            let mut bells = self.live.bells.lock();
            let key = target.to_string();
            // The one receiver that is left is this one.
            if bells
                .get(&key)
                .is_some_and(|bell| bell.receiver_count() <= 1)
            {
                bells.remove(&key);
            }
        }
    }
}
