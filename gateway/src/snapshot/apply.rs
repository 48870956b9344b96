//! The one task that builds and publishes snapshots.
//!
//! Everything that can change the gateway's view comes through one bounded queue, so there is one writer and no lock. Whatever
//! waits in the queue when the task wakes is applied as one step.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use catalog_api::{InstanceId, Refused, Revision, ServiceId};
use service_kit::readiness::Condition;
use tokio::sync::{mpsc, watch};

use crate::upstream::Load;

use super::{Change, FileRoute, Live, Materials, Outside, Resolver, Snapshot, resolver::names};

/// Most updates in the queue, and most in one step. A watch stream that is faster waits, and its bytes wait in its socket.
pub const UPDATES_MAX: usize = 1024;

/// Something that changes the view.
#[derive(Debug)]
pub enum Update {
    /// The watch stream said something, part of which may have been refused.
    Catalog {
        /// Where the stream is after it; none when it comes from the copy on disk.
        heard: Option<Heard>,
        /// What was understood.
        change: Option<Change>,
        /// What was not.
        refusals: Vec<Refusal>,
    },
    /// A host name has these addresses.
    Resolved {
        /// The name.
        name: String,
        /// Its addresses, sorted.
        addresses: Vec<IpAddr>,
    },
    /// `gateway.toml` was reloaded.
    FileRoutes(Vec<FileRoute>),
}

/// How far a stream has been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// In which history of a catalog, counted by the watcher.
    pub history: u64,
    /// Up to where.
    pub revision: Revision,
}

/// What of the stream is in effect: requests see it.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Everything up to here; none = nothing of a stream yet.
    pub heard: Option<Heard>,
    /// But not the newest state of these services.
    pub refused: Refused,
    /// What gets nothing new, because it drains.
    pub draining: Arc<[Drains]>,
}

/// The requests of a draining instance at one of its addresses.
#[derive(Clone, Debug)]
pub struct Drains {
    /// Its service.
    pub service: ServiceId,
    /// The instance.
    pub instance: InstanceId,
    /// The requests.
    pub load: Arc<Load>,
}

/// A catalog entry that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its id, if at least that was legible.
    pub id: Option<ServiceId>,
    /// Its name or what stands for it.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Builds, publishes and reports.
pub struct Applier {
    live: Arc<Live>,
    materials: Materials,
    resolver: Resolver,
    copies: watch::Sender<Arc<Snapshot>>,
    applied: watch::Sender<Applied>,
    has_snapshot: Condition,
    entries: Condition,
    refused: BTreeMap<ServiceId, Refusal>,
    wanted_hosts: BTreeSet<String>,
}

// === impl Applier ===

impl Applier {
    /// `has_snapshot` passes with the first view of a catalog; `entries` tells about refused ones; `copies` gets every snapshot, and
    /// `applied` hears what of the stream is in it.
    pub fn new(
        live: Arc<Live>,
        materials: Materials,
        resolver: Resolver,
        copies: watch::Sender<Arc<Snapshot>>,
        applied: watch::Sender<Applied>,
        has_snapshot: Condition,
        entries: Condition,
    ) -> Self {
        entries.pass();
        Self {
            live,
            materials,
            resolver,
            copies,
            applied,
            has_snapshot,
            entries,
            refused: BTreeMap::new(),
            wanted_hosts: BTreeSet::new(),
        }
    }

    /// Applies updates until every sender is gone.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>) {
        let mut step = Vec::new();
        while updates.recv_many(&mut step, UPDATES_MAX).await > 0 {
            self.apply(std::mem::take(&mut step)).await;
        }
    }

    /// One step: one new snapshot for everything given.
    pub async fn apply(&mut self, updates: Vec<Update>) {
        let started = Instant::now();
        let mut changes = Vec::new();
        let mut outside = Outside::default();
        let mut catalog_spoke = false;
        let mut newest = None;
        for update in updates {
            match update {
                Update::Catalog {
                    heard,
                    change,
                    refusals,
                } => {
                    catalog_spoke = true;
                    newest = heard.or(newest);
                    self.account(change.as_ref(), refusals);
                    changes.extend(change);
                }
                Update::Resolved { name, addresses } => {
                    if self.wanted_hosts.contains(&name)
                        && self.materials.hosts.learn(name.clone(), addresses)
                    {
                        outside.hosts.insert(name);
                    }
                }
                Update::FileRoutes(routes) => {
                    // One of several reloads in a step is enough.
                    outside.file_routes |= routes != self.materials.file_routes
                        || self.live.load().routes().all().is_empty();
                    self.materials.file_routes = routes;
                }
            }
        }
        let is_news = !changes.is_empty() || !outside.hosts.is_empty() || outside.file_routes;
        if is_news {
            self.publish(changes, &outside, started).await;
        }
        if catalog_spoke {
            self.has_snapshot.pass();
        }
        if is_news || newest.is_some() {
            let draining = self.live.load().draining().into();
            self.applied.send_modify(|applied| {
                applied.heard = newest.or(applied.heard);
                applied.refused = Refused::first_of(self.refused.keys().copied());
                applied.draining = draining;
            });
        }
    }

    async fn publish(&mut self, changes: Vec<Change>, outside: &Outside, started: Instant) {
        let next = Arc::new(self.live.load().next(changes, outside, &mut self.materials));
        self.live.publish(Arc::clone(&next));
        self.materials.metrics.config_applied(started.elapsed());
        tracing::debug!(
            revision = next.revision().0,
            services = next.services().len(),
            "snapshot published"
        );
        self.want_hosts_of(&next).await;
        // Nobody may be listening when no copy is kept.
        let _ = self.copies.send(next);
    }

    fn account(&mut self, change: Option<&Change>, refusals: Vec<Refusal>) {
        match change {
            Some(Change::Replace { .. }) => self.refused.clear(),
            Some(Change::Put(service)) => drop(self.refused.remove(&service.id)),
            Some(Change::Delete(deleted)) => drop(self.refused.remove(&deleted.id)),
            None => {}
        }
        for refusal in refusals {
            self.materials.metrics.config_rejected();
            tracing::warn!(
                service = refusal.name,
                reason = refusal.reason,
                "catalog entry refused, its last good state goes on"
            );
            if let Some(id) = refusal.id {
                self.refused.insert(id, refusal);
            }
        }
        self.live.refuse(self.refused.values().cloned().collect());
        match self.refused.values().next() {
            None => self.entries.pass(),
            Some(Refusal { name, reason, .. }) => {
                let others = self.refused.len() - 1;
                self.entries.fail(format!(
                    "service {name} refused: {reason} (and {others} more)"
                ));
            }
        }
    }

    async fn want_hosts_of(&mut self, snapshot: &Snapshot) {
        let wanted = names(snapshot.services().map(Arc::as_ref));
        if wanted != self.wanted_hosts {
            self.materials.hosts.retain(&wanted);
            self.wanted_hosts = wanted.clone();
            self.resolver.want(wanted).await;
        }
    }
}
