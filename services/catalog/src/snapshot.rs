//! The whole catalog at one revision, immutable, with the JSON that readers get. The next one shares with its predecessor
//! everything that did not change, so that one change costs one service's encoding and not ten thousand.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use catalog_api::{Revision, Service, ServiceId, ServiceName, ServiceRef};
use service_kit::sse;

use crate::{entity_tag::EntityTag, journal::Record};

/// One service and its encodings.
pub(crate) struct Entry {
    pub(crate) service: Service,
    /// The service as JSON.
    pub(crate) json: Bytes,
    /// The tag of that.
    pub(crate) tag: EntityTag,
    // Only made when somebody watches.
    event: OnceLock<Bytes>,
}

/// Every service at one revision.
pub(crate) struct Snapshot {
    /// The revision, and the tag of every list.
    tag: EntityTag,
    entries: BTreeMap<ServiceId, Arc<Entry>>,
    // Shared between snapshots until a service comes or goes.
    names: Arc<HashMap<ServiceName, ServiceId>>,
    // Made by the first reader of this revision.
    list: OnceLock<Bytes>,
}

// === impl Entry ===

impl Entry {
    pub(crate) fn new(service: Service) -> Self {
        // Structures, strings, numbers and maps with string keys can always be written.
        let json = serde_json::to_vec(&service).unwrap_or_default();
        Self {
            tag: EntityTag::new(service.revision),
            service,
            json: json.into(),
            event: OnceLock::new(),
        }
    }

    /// The service as an event of the watch stream.
    pub(crate) fn event(&self) -> Bytes {
        let encode = || {
            let event = sse::Event {
                event: Some(catalog_api::EventKind::Service.as_str().to_owned()),
                id: Some(self.service.revision.to_string()),
                data: String::from_utf8_lossy(&self.json).into_owned(),
            };
            event.encode()
        };
        self.event.get_or_init(encode).clone()
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// A snapshot from what the store has.
    pub(crate) fn new(stored: catalog_api::Snapshot) -> Self {
        let entries: BTreeMap<_, _> = stored
            .services
            .into_iter()
            .map(|service| (service.id, Arc::new(Entry::new(service))))
            .collect();
        let names = entries
            .values()
            .map(|entry| (entry.service.name.clone(), entry.service.id))
            .collect();
        Self {
            tag: EntityTag::new(stored.revision),
            entries,
            names: Arc::new(names),
            list: OnceLock::new(),
        }
    }

    /// The snapshot at `revision`, that differs from this one by `records`, given in the order of revisions.
    pub(crate) fn next(&self, records: &[Record], revision: Revision) -> Self {
        let mut entries = self.entries.clone();
        let mut names = Arc::clone(&self.names);
        for record in records {
            match record {
                Record::Service(entry) => {
                    let service = &entry.service;
                    if names.get(&service.name) != Some(&service.id) {
                        Arc::make_mut(&mut names).insert(service.name.clone(), service.id);
                    }
                    entries.insert(service.id, Arc::clone(entry));
                }
                Record::Deleted(deleted, _) => {
                    entries.remove(&deleted.id);
                    // The name may belong to a successor already.
                    if names.get(&deleted.name) == Some(&deleted.id) {
                        Arc::make_mut(&mut names).remove(&deleted.name);
                    }
                }
            }
        }
        Self {
            tag: EntityTag::new(revision),
            entries,
            names,
            list: OnceLock::new(),
        }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.tag.revision()
    }

    /// The tag of whatever is made of all services.
    pub(crate) fn tag(&self) -> &EntityTag {
        &self.tag
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, target: &ServiceRef) -> Option<&Arc<Entry>> {
        match target {
            ServiceRef::Id(id) => self.entries.get(id),
            ServiceRef::Name(name) => self.entries.get(self.names.get(name)?),
        }
    }

    /// Every entry, in the order of ids.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }

    /// Every entry with a greater id, in the order of ids.
    pub(crate) fn entries_after(
        &self,
        after: Option<ServiceId>,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.entries
            .range((start, Bound::Unbounded))
            .map(|(_, entry)| entry)
    }

    /// `{"services": […], "revision": N}` with every service.
    pub(crate) fn list(&self) -> Bytes {
        self.list
            .get_or_init(|| list(self.entries().map(AsRef::as_ref), self.revision(), None))
            .clone()
    }

    /// The same with some of the services, and with where to go on when there are more.
    pub(crate) fn page<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
        next_cursor: Option<&str>,
    ) -> Bytes {
        list(entries, self.revision(), next_cursor)
    }

    /// The same with one service, or with none when it is not there.
    pub(crate) fn list_one(&self, target: &ServiceRef) -> Bytes {
        let entry = self.get(target).map(AsRef::as_ref);
        list(entry.into_iter(), self.revision(), None)
    }
}

/// Put together from pieces that are JSON already; encoding everything anew would cost a hundred times as much. A cursor has
/// nothing in it that JSON would have to escape.
fn list<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    revision: Revision,
    next_cursor: Option<&str>,
) -> Bytes {
    let mut json = b"{\"services\":[".to_vec();
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&entry.json);
    }
    json.extend_from_slice(format!("],\"revision\":{revision}").as_bytes());
    if let Some(cursor) = next_cursor {
        json.extend_from_slice(format!(",\"next_cursor\":\"{cursor}\"").as_bytes());
    }
    json.push(b'}');
    json.into()
}

#[cfg(test)]
mod tests {
    use catalog_api::{ServiceSpec, Timestamp};

    use super::*;

    fn service(id: u64, name: &str, revision: u64) -> Service {
        let spec = ServiceSpec::named(name.parse().unwrap());
        Service::new(ServiceId(id), spec, Revision(revision), Timestamp::now())
    }

    fn changed(id: u64, name: &str, revision: u64) -> Record {
        Record::Service(Arc::new(Entry::new(service(id, name, revision))))
    }

    fn deleted(id: u64, name: &str, revision: u64) -> Record {
        Record::deleted(catalog_api::Deleted {
            id: ServiceId(id),
            name: name.parse().unwrap(),
            revision: Revision(revision),
        })
    }

    #[test]
    fn the_list_is_the_snapshot_of_the_wire() {
        let stored = catalog_api::Snapshot {
            revision: Revision(7),
            services: vec![service(1, "a", 3), service(2, "b", 7)],
        };
        let list = Snapshot::new(stored.clone()).list();
        let read: catalog_api::Snapshot = serde_json::from_slice(&list).unwrap();
        assert_eq!(read, stored);
        assert!(list.starts_with(b"{\"services\":[{") && list.ends_with(b"],\"revision\":7}"));
    }

    #[test]
    fn the_next_snapshot_shares_what_did_not_change() {
        let first = Snapshot::new(catalog_api::Snapshot {
            revision: Revision(2),
            services: vec![service(1, "a", 1), service(2, "b", 2)],
        });
        let second = first.next(&[changed(2, "b", 3)], Revision(3));
        let entry = |snapshot: &Snapshot, id| {
            Arc::clone(snapshot.get(&ServiceRef::Id(ServiceId(id))).unwrap())
        };
        assert!(Arc::ptr_eq(&entry(&first, 1), &entry(&second, 1)));
        assert!(!Arc::ptr_eq(&entry(&first, 2), &entry(&second, 2)));
        assert!(Arc::ptr_eq(&first.names, &second.names));
        assert_eq!(entry(&first, 2).service.revision, Revision(2));
    }

    #[test]
    fn a_name_can_pass_to_a_successor() {
        let first = Snapshot::new(catalog_api::Snapshot {
            revision: Revision(1),
            services: vec![service(1, "a", 1)],
        });
        let second = first.next(&[deleted(1, "a", 2), changed(2, "a", 3)], Revision(3));
        let by_name = second.get(&ServiceRef::Name("a".parse().unwrap())).unwrap();
        assert_eq!(by_name.service.id, ServiceId(2));
        assert_eq!(second.len(), 1);
        let third = second.next(&[deleted(2, "a", 4)], Revision(4));
        assert!(third.get(&ServiceRef::Name("a".parse().unwrap())).is_none());
    }
}
