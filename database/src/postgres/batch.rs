//! Several commands over what one transaction has read: each sees what those before it did, and what is to be stored at the end is
//! known before anything is sent.

use std::collections::{BTreeMap, BTreeSet};

use catalog_api::{Deleted, Revision, Service, ServiceId, ServiceRef, Timestamp};

use crate::{
    command::{Command, Refusal},
    decide::{Decision, Outcome, Position, decide},
    store::Committed,
};

/// The row of `meta`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) revision: Revision,
    pub(super) next_id: ServiceId,
    pub(super) compacted: Revision,
}

/// The work of one transaction.
pub(super) struct Batch {
    pub(super) meta: Meta,
    before: Meta,
    /// How many services there are.
    count: usize,
    /// Those the commands are about, as far as they exist.
    services: BTreeMap<ServiceId, Service>,
    changed: BTreeSet<ServiceId>,
    pub(super) deleted: Vec<Deleted>,
}

// === impl Batch ===

impl Batch {
    /// `floor` is a revision that this process has seen committed. A database that is behind it was put back to an older state;
    /// its next revision goes above everything anybody can remember, and nobody can catch up across the gap.
    pub(super) fn new(meta: Meta, floor: Revision, count: usize, services: Vec<Service>) -> Self {
        let before = meta;
        let mut meta = meta;
        if meta.revision < floor {
            meta.revision = floor.next();
            meta.compacted = meta.revision;
        }
        Self {
            meta,
            before,
            count,
            services: services
                .into_iter()
                .map(|service| (service.id, service))
                .collect(),
            changed: BTreeSet::new(),
            deleted: Vec::new(),
        }
    }

    pub(super) fn carry_out(&mut self, command: &Command) -> Result<Committed, Refusal> {
        let current = self.find(&command.target());
        let position = Position {
            revision: self.meta.revision.next(),
            next_id: self.meta.next_id,
            services: self.count,
            now: Timestamp::now(),
        };
        match decide(current, command, &position)? {
            Decision::Unchanged => Ok(Committed {
                revision: self.meta.revision,
                outcome: Outcome::Unchanged,
                service: current.cloned(),
            }),
            Decision::Put(service, outcome) => {
                if current.is_none() {
                    self.meta.next_id = ServiceId(service.id.0 + 1);
                    self.count += 1;
                }
                self.meta.revision = service.revision;
                self.changed.insert(service.id);
                self.services.insert(service.id, (*service).clone());
                Ok(Committed {
                    revision: service.revision,
                    outcome,
                    service: Some(*service),
                })
            }
            Decision::Delete(deleted) => {
                self.count -= 1;
                self.meta.revision = deleted.revision;
                self.changed.remove(&deleted.id);
                self.services.remove(&deleted.id);
                let revision = deleted.revision;
                self.deleted.push(deleted);
                Ok(Committed {
                    revision,
                    outcome: Outcome::Deleted,
                    service: None,
                })
            }
        }
    }

    /// Whether there is anything to store.
    pub(super) fn is_changed(&self) -> bool {
        self.meta != self.before
    }

    /// Whether the database turned out to be behind what was committed before.
    pub(super) fn went_back(&self) -> bool {
        self.meta.compacted != self.before.compacted
    }

    /// Services that are to be stored, as they are at the end.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Service> {
        self.changed.iter().filter_map(|id| self.services.get(id))
    }

    // Linear: a batch is about a few hundred services at most.
    fn find(&self, target: &ServiceRef) -> Option<&Service> {
        match target {
            ServiceRef::Id(id) => self.services.get(id),
            ServiceRef::Name(name) => self.services.values().find(|service| service.name == *name),
        }
    }
}
