//! A part of the cache: objects by URL, and which of them goes first when there is no room.
//!
//! S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023). A new object waits in a small queue; only one
//! that is asked for again there, or soon after it was evicted from there, enters the main queue. So the many objects that are asked for once
//! pass through a tenth of the room and push out nothing. A hit only raises a counter, under a shared lock; an LRU would have to move
//! the object under an exclusive one.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use ahash::{AHashMap, AHashSet};

use super::object::Object;

/// Variants (`Vary`, scheme, route) of one URL. One more replaces the oldest: a service that varies on something endless must not make the
/// look-up of its URL slow.
pub(super) const VARIANTS_MAX: usize = 64;
/// Hits that are counted of an object.
const HITS_MAX: u8 = 3;
/// Share of the bytes that new objects may have: one in so many.
const SMALL_SHARE: usize = 10;
/// Identities of evicted objects that are remembered even when the shard is nearly empty.
const GHOSTS_MIN: usize = 64;

/// Identity of an object: a keyed hash of everything that makes it that object.
pub(super) type EntryId = u128;
/// Its URL: a keyed hash of host, path and query.
pub(super) type UrlId = u64;

#[derive(Debug, Default)]
pub(super) struct Shard {
    by_url: AHashMap<UrlId, Vec<Slot>>,
    small: Queue,
    main: Queue,
    ghosts: VecDeque<EntryId>,
    ghost_set: AHashSet<EntryId>,
    last_ticket: u64,
    objects: usize,
}

#[derive(Debug)]
struct Slot {
    id: EntryId,
    object: Arc<Object>,
    hits: AtomicU8,
    /// Its place in a queue. A place whose ticket no slot has is left over from an object that is gone.
    ticket: u64,
    in_main: bool,
}

#[derive(Debug, Default)]
struct Queue {
    places: VecDeque<(UrlId, u64)>,
    bytes: usize,
}

// === impl Shard ===

impl Shard {
    /// An object, and counts the hit.
    pub(super) fn get(&self, url: UrlId, id: EntryId) -> Option<Arc<Object>> {
        let slot = self.slot(url, id)?;
        // A lost increment of two at once does not matter.
        let hits = slot.hits.load(Ordering::Relaxed);
        if hits < HITS_MAX {
            slot.hits.store(hits + 1, Ordering::Relaxed);
        }
        Some(Arc::clone(&slot.object))
    }

    /// Adds or replaces an object. Answers the ones that are out for it.
    #[must_use = "objects are freed outside of the lock"]
    pub(super) fn put(&mut self, url: UrlId, id: EntryId, object: Arc<Object>) -> Vec<Arc<Object>> {
        let bytes = object.bytes();
        if let Some(slot) = self.slot_mut(url, id) {
            let before = std::mem::replace(&mut slot.object, object);
            let in_main = slot.in_main;
            let queue = self.queue(in_main);
            queue.bytes = queue.bytes + bytes - before.bytes();
            return vec![before];
        }
        let mut out = Vec::new();
        let variants = self.by_url.get(&url).map_or(0, Vec::len);
        if variants >= VARIANTS_MAX
            && let Some(oldest) = self.by_url.get(&url).and_then(|slots| slots.first())
        {
            out.extend(self.remove(url, oldest.id));
        }
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        let in_main = self.ghost_set.remove(&id);
        self.by_url.entry(url).or_default().push(Slot {
            id,
            object,
            hits: AtomicU8::new(0),
            ticket,
            in_main,
        });
        self.objects += 1;
        let queue = self.queue(in_main);
        queue.places.push_back((url, ticket));
        queue.bytes += bytes;
        self.drop_left_over_places();
        out
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, url: UrlId, id: EntryId) -> Option<Arc<Object>> {
        let slots = self.by_url.get(&url)?;
        let at = slots.iter().position(|slot| slot.id == id)?;
        Some(self.take(url, at)?.object)
    }

    /// Removes every variant of a URL.
    pub(super) fn remove_url(&mut self, url: UrlId) -> Vec<Arc<Object>> {
        let slots = self.by_url.remove(&url).unwrap_or_default();
        self.objects -= slots.len();
        slots
            .into_iter()
            .map(|slot| {
                self.queue(slot.in_main).bytes -= slot.object.bytes();
                slot.object
            })
            .collect()
    }

    /// Removes every object of which this is true.
    pub(super) fn remove_where(&mut self, is_out: impl Fn(&Object) -> bool) -> Vec<Arc<Object>> {
        let found: Vec<(UrlId, EntryId)> = self
            .by_url
            .iter()
            .flat_map(|(url, slots)| {
                slots
                    .iter()
                    .filter(|slot| is_out(&slot.object))
                    .map(|slot| (*url, slot.id))
            })
            .collect();
        found
            .into_iter()
            .filter_map(|(url, id)| self.remove(url, id))
            .collect()
    }

    /// Removes the object whose turn it is.
    pub(super) fn evict(&mut self) -> Option<Arc<Object>> {
        while self.objects > 0 {
            let share = (self.small.bytes + self.main.bytes) / SMALL_SHARE;
            let from_main = self.small.bytes <= share && self.main.bytes > 0;
            let Some((url, ticket)) = self.queue(from_main).places.pop_front() else {
                // Only the other queue has objects.
                let (url, ticket) = self.queue(!from_main).places.pop_front()?;
                if let Some(object) = self.pass(url, ticket, !from_main) {
                    return Some(object);
                }
                continue;
            };
            if let Some(object) = self.pass(url, ticket, from_main) {
                return Some(object);
            }
        }
        None
    }

    /// Objects kept.
    pub(super) fn len(&self) -> usize {
        self.objects
    }

    /// An object at the head of its queue goes on to the main queue, or out.
    fn pass(&mut self, url: UrlId, ticket: u64, from_main: bool) -> Option<Arc<Object>> {
        let slots = self.by_url.get_mut(&url)?;
        let at = slots.iter().position(|slot| slot.ticket == ticket)?;
        let slot = &mut slots[at];
        let hits = *slot.hits.get_mut();
        if hits == 0 {
            let slot = self.take(url, at)?;
            if !from_main {
                self.remember(slot.id);
            }
            return Some(slot.object);
        }
        *slot.hits.get_mut() = if from_main { hits - 1 } else { 0 };
        slot.in_main = true;
        let bytes = slot.object.bytes();
        self.queue(from_main).bytes -= bytes;
        self.main.bytes += bytes;
        self.main.places.push_back((url, ticket));
        None
    }

    fn remember(&mut self, id: EntryId) {
        if self.ghost_set.insert(id) {
            self.ghosts.push_back(id);
        }
        while self.ghosts.len() > self.objects.max(GHOSTS_MIN) {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.ghost_set.remove(&oldest);
            }
        }
    }

    fn take(&mut self, url: UrlId, at: usize) -> Option<Slot> {
        let slots = self.by_url.get_mut(&url)?;
        let slot = slots.remove(at);
        if slots.is_empty() {
            self.by_url.remove(&url);
        }
        self.objects -= 1;
        self.queue(slot.in_main).bytes -= slot.object.bytes();
        Some(slot)
    }

    /// Purges leave places behind; they must not grow without bound while nothing is evicted.
    fn drop_left_over_places(&mut self) {
        let Self {
            by_url,
            small,
            main,
            objects,
            ..
        } = self;
        if small.places.len() + main.places.len() <= 2 * *objects + GHOSTS_MIN {
            return;
        }
        for queue in [small, main] {
            queue.places.retain(|(url, ticket)| {
                by_url
                    .get(url)
                    .is_some_and(|slots| slots.iter().any(|slot| slot.ticket == *ticket))
            });
        }
    }

    fn queue(&mut self, main: bool) -> &mut Queue {
        if main {
            &mut self.main
        } else {
            &mut self.small
        }
    }

    fn slot(&self, url: UrlId, id: EntryId) -> Option<&Slot> {
        self.by_url.get(&url)?.iter().find(|slot| slot.id == id)
    }

    fn slot_mut(&mut self, url: UrlId, id: EntryId) -> Option<&mut Slot> {
        self.by_url
            .get_mut(&url)?
            .iter_mut()
            .find(|slot| slot.id == id)
    }
}
