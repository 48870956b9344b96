//! The newest changes, for watchers: each service once, as it was left by its last change. So a watcher needs only a position in
//! it, never a queue of its own, and one that was slow gets newest states instead of a backlog.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;
use catalog_api::{Deleted, EventKind, Revision, ServiceId, ServiceRef};
use database::Change;
use service_kit::sse;

use crate::snapshot::Entry;

/// Most changes that are kept; a watcher that is further behind gets a snapshot.
pub(crate) const RECORDS_MAX: usize = 4_096;

/// One change, with what is sent about it.
#[derive(Clone)]
pub(crate) enum Record {
    /// The service is new or changed.
    Service(Arc<Entry>),
    /// The service is gone; the event that says so.
    Deleted(Deleted, Bytes),
}

/// The newest changes in the order of revisions.
pub(crate) struct Journal {
    records: BTreeMap<Revision, Record>,
    newest: HashMap<ServiceId, Revision>,
    /// From this revision on, nothing is missing.
    floor: Revision,
    head: Revision,
    records_max: usize,
}

/// What a watcher at some position has to do.
pub(crate) enum Step {
    /// Send this, and be at its revision.
    Event(Record),
    /// Nothing; be at this revision.
    UpToDate(Revision),
    /// Start again from a snapshot.
    Gap,
}

// === impl Record ===

impl Record {
    pub(crate) fn deleted(deleted: Deleted) -> Self {
        let event = sse::Event {
            event: Some(EventKind::Deleted.as_str().to_owned()),
            id: Some(deleted.revision.to_string()),
            // A structure of strings and numbers can always be written.
            data: serde_json::to_string(&deleted).unwrap_or_default(),
        };
        let bytes = event.encode();
        Self::Deleted(deleted, bytes)
    }

    pub(crate) fn revision(&self) -> Revision {
        match self {
            Self::Service(entry) => entry.service.revision,
            Self::Deleted(deleted, _) => deleted.revision,
        }
    }

    pub(crate) fn id(&self) -> ServiceId {
        match self {
            Self::Service(entry) => entry.service.id,
            Self::Deleted(deleted, _) => deleted.id,
        }
    }

    /// The two ways to refer to its service.
    pub(crate) fn references(&self) -> [ServiceRef; 2] {
        let name = match self {
            Self::Service(entry) => &entry.service.name,
            Self::Deleted(deleted, _) => &deleted.name,
        };
        [ServiceRef::Id(self.id()), ServiceRef::Name(name.clone())]
    }

    fn concerns(&self, target: &ServiceRef) -> bool {
        match (target, self) {
            (ServiceRef::Id(id), _) => *id == self.id(),
            (ServiceRef::Name(name), Self::Service(entry)) => *name == entry.service.name,
            (ServiceRef::Name(name), Self::Deleted(deleted, _)) => *name == deleted.name,
        }
    }

    pub(crate) fn event(&self) -> Bytes {
        match self {
            Self::Service(entry) => entry.event(),
            Self::Deleted(_, bytes) => bytes.clone(),
        }
    }
}

impl From<Change> for Record {
    fn from(change: Change) -> Self {
        match change {
            Change::Service(service) => Self::Service(Arc::new(Entry::new(*service))),
            Change::Deleted(deleted) => Self::deleted(deleted),
        }
    }
}

// === impl Journal ===

impl Journal {
    /// An empty journal that starts at a revision.
    pub(crate) fn new(start: Revision, records_max: usize) -> Self {
        Self {
            records: BTreeMap::new(),
            newest: HashMap::new(),
            floor: start,
            head: start,
            records_max,
        }
    }

    /// Forgets everything: what lies between is unknown.
    pub(crate) fn restart(&mut self, start: Revision) {
        *self = Self::new(start, self.records_max);
    }

    /// Adds changes, in the order of revisions; the journal is at `head` then.
    pub(crate) fn extend(&mut self, records: &[Record], head: Revision) {
        for record in records {
            let revision = record.revision();
            if let Some(overtaken) = self.newest.insert(record.id(), revision) {
                self.records.remove(&overtaken);
            }
            self.records.insert(revision, record.clone());
        }
        self.head = self.head.max(head);
        while self.records.len() > self.records_max
            && let Some((revision, record)) = self.records.pop_first()
        {
            self.floor = revision;
            self.newest.remove(&record.id());
        }
    }

    /// What comes after a position, for everything or for one service.
    pub(crate) fn after(&self, position: Revision, filter: Option<&ServiceRef>) -> Step {
        // Above the head: the position is from before a backup was restored.
        if position < self.floor || position > self.head {
            return Step::Gap;
        }
        self.records
            .range((Bound::Excluded(position), Bound::Unbounded))
            .map(|(_, record)| record)
            .find(|record| filter.is_none_or(|target| record.concerns(target)))
            .map_or(Step::UpToDate(self.head), |record| {
                Step::Event(record.clone())
            })
    }
}

#[cfg(test)]
mod tests {
    use catalog_api::{Service, ServiceSpec, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn record(id: u64, revision: u64, gone: bool) -> Record {
        let name: catalog_api::ServiceName = format!("s-{id}").parse().unwrap();
        let (id, revision) = (ServiceId(id), Revision(revision));
        if gone {
            return Record::deleted(Deleted { id, name, revision });
        }
        let service = Service::new(id, ServiceSpec::named(name), revision, Timestamp::now());
        Record::Service(Arc::new(Entry::new(service)))
    }

    /// Revisions that a watcher gets from a position on, or none for a gap.
    fn read(journal: &Journal, from: u64, filter: Option<&ServiceRef>) -> Option<Vec<u64>> {
        let mut position = Revision(from);
        let mut seen = Vec::new();
        loop {
            match journal.after(position, filter) {
                Step::Gap => return None,
                Step::UpToDate(head) => {
                    assert_eq!(head, journal.head);
                    return Some(seen);
                }
                Step::Event(record) => {
                    position = record.revision();
                    seen.push(position.0);
                }
            }
        }
    }

    #[test]
    fn overtaken_changes_are_left_out_and_old_ones_are_a_gap() {
        let mut journal = Journal::new(Revision(10), 2);
        journal.extend(
            &[
                record(1, 11, false),
                record(2, 12, false),
                record(1, 13, false),
            ],
            Revision(13),
        );
        assert_eq!(read(&journal, 10, None).unwrap(), [12, 13]);
        assert_eq!(read(&journal, 12, None).unwrap(), [13]);
        assert_eq!(read(&journal, 13, None).unwrap(), [0; 0]);
        assert!(read(&journal, 9, None).is_none());
        assert!(read(&journal, 14, None).is_none());
        let two = ServiceRef::Id(ServiceId(2));
        assert_eq!(read(&journal, 10, Some(&two)).unwrap(), [12]);

        journal.extend(&[record(3, 14, true)], Revision(14));
        assert!(read(&journal, 11, None).is_none());
        assert_eq!(read(&journal, 12, None).unwrap(), [13, 14]);
    }

    proptest! {
        #[test]
        fn whoever_starts_anywhere_ends_with_the_newest_of_each(
            changes in proptest::collection::vec((1..8u64, any::<bool>()), 1..60),
            from in 0..60u64,
            records_max in 1..10usize,
        ) {
            let mut journal = Journal::new(Revision(0), records_max);
            for (index, (id, gone)) in changes.iter().enumerate() {
                let revision = index as u64 + 1;
                journal.extend(&[record(*id, revision, *gone)], Revision(revision));
            }
            let head = changes.len() as u64;
            let mut newest = BTreeMap::new();
            for (index, (id, _)) in changes.iter().enumerate() {
                newest.insert(*id, index as u64 + 1);
            }
            let mut expected: Vec<u64> = newest.into_values().filter(|r| *r > from).collect();
            expected.sort_unstable();
            match read(&journal, from, None) {
                Some(seen) => prop_assert_eq!(seen, expected),
                None => prop_assert!(from > head || expected.len() > records_max
                    || Revision(from) < journal.floor),
            }
            prop_assert!(journal.records.len() <= records_max);
            prop_assert_eq!(journal.records.len(), journal.newest.len());
        }
    }
}
