//! The memory of the cache: bounded in bytes over all its shards.
//!
//! Bytes are charged before they are written ([`Store::charge`]), so what is being fetched counts as well as what is kept, and the sum
//! never exceeds the capacity. Who wants to charge more evicts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use parking_lot::RwLock;

use super::{
    budget::{Budget, Charge},
    object::Object,
    purge::Selector,
    shard::{EntryId, Shard, UrlId},
};

/// Parts with a lock of their own.
const SHARDS: usize = 16;
/// Counters of purges. A URL has one of them, by its hash; two URLs that share one only make a fetch under way not be kept.
const EPOCHS: usize = 1024;
/// Largest part of the capacity that one object may take: one in so many. A larger one would empty the cache for itself.
const OBJECT_SHARE: usize = 4;

/// Objects in memory.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[RwLock<Shard>]>,
    budget: Arc<Budget>,
    epochs: Box<[AtomicU64]>,
    next_to_evict: AtomicUsize,
    evictions: AtomicU64,
}

// === impl Store ===

impl Store {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            budget: Budget::new(capacity_bytes),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            next_to_evict: AtomicUsize::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    /// Bytes held, also by fetches under way and by clients that read evicted objects.
    pub(super) fn bytes(&self) -> usize {
        self.budget.used()
    }

    /// Objects kept.
    pub(super) fn objects(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Objects that had to go for others since the start.
    pub(super) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    /// An object.
    pub(super) fn get(&self, url: UrlId, id: EntryId) -> Option<Arc<Object>> {
        self.shard(url).read().get(url, id)
    }

    /// Keeps an object, unless its URL was purged after `epoch`: it may be what the purge was meant for. Answers whether it is kept.
    pub(super) fn put(&self, url: UrlId, id: EntryId, epoch: u64, object: Object) -> bool {
        let mut shard = self.shard(url).write();
        // Within the lock that a purge takes after it has counted itself.
        if self.epoch(url) != epoch {
            return false;
        }
        let out = shard.put(url, id, Arc::new(object));
        drop(shard);
        drop(out);
        true
    }

    /// Puts a new state of an object in the place of the one that is kept. Answers whether it was there.
    pub(super) fn replace(
        &self,
        url: UrlId,
        id: EntryId,
        next: impl FnOnce(&Object) -> Option<Object>,
    ) -> bool {
        let Some(before) = self.get(url, id) else {
            return false;
        };
        let Some(after) = next(&before) else {
            return false;
        };
        let mut shard = self.shard(url).write();
        let is_unchanged = |now: Arc<Object>| Arc::ptr_eq(&now, &before);
        if !shard.get(url, id).is_some_and(is_unchanged) {
            return false;
        }
        let out = shard.put(url, id, Arc::new(after));
        drop(shard);
        drop(out);
        true
    }

    /// How often a URL was purged, with a few others.
    pub(super) fn epoch(&self, url: UrlId) -> u64 {
        self.epochs[url as usize % EPOCHS].load(Ordering::Acquire)
    }

    /// Takes bytes for something that is to be kept; evicts others when there is no room. None when it would be too large a part of the
    /// whole, or when what could be evicted is still being read.
    pub(super) fn charge(&self, bytes: usize, of_object: usize) -> Option<Charge> {
        if of_object.saturating_add(bytes) > self.budget.capacity() / OBJECT_SHARE {
            return None;
        }
        let mut freed = 0;
        loop {
            if let Some(charge) = self.budget.try_charge(bytes) {
                return Some(charge);
            }
            if freed > 2 * self.budget.capacity() / OBJECT_SHARE {
                return None;
            }
            freed += self.evict_one()?;
        }
    }

    /// Removes what is selected, and keeps nothing of it that is being fetched. Answers how many objects there were.
    pub(super) fn purge(&self, selector: &Selector) -> usize {
        if let Selector::Url { id, .. } = selector {
            self.epochs[*id as usize % EPOCHS].fetch_add(1, Ordering::AcqRel);
            let out = self.shard(*id).write().remove_url(*id);
            return out.len();
        }
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.shards
            .iter()
            .map(|shard| {
                let out = shard.write().remove_where(|object| selector.takes(object));
                out.len()
            })
            .sum()
    }

    fn evict_one(&self) -> Option<usize> {
        for _ in 0..SHARDS {
            let next = self.next_to_evict.fetch_add(1, Ordering::Relaxed) % SHARDS;
            let evicted = self.shards[next].write().evict();
            if let Some(object) = evicted {
                self.evictions.fetch_add(1, Ordering::Relaxed);
                return Some(object.bytes());
            }
        }
        None
    }

    fn shard(&self, url: UrlId) -> &RwLock<Shard> {
        // Other bits than those that choose the epoch.
        &self.shards[(url >> 32) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use catalog_api::ServiceId;
    use pingora_cache::CacheMeta;
    use pingora_http::ResponseHeader;
    use proptest::prelude::*;

    use super::super::object::{Body, OVERHEAD_BYTES, StoredUrl, header_bytes};
    use super::*;

    const CAPACITY: usize = 1 << 20;

    fn id(url: UrlId, variant: u8) -> EntryId {
        EntryId::from(url) << 64 | EntryId::from(variant)
    }

    /// An object of a URL with so long a body; none when there is no room.
    fn object(store: &Store, url: UrlId, length: usize) -> Option<Object> {
        let stored = Arc::new(StoredUrl {
            service: ServiceId(url % 3),
            authority: "a.test".into(),
            path_and_query: format!("/{url}").into(),
        });
        let header = ResponseHeader::build(200, None).unwrap();
        let now = SystemTime::now();
        let meta = CacheMeta::new(now + Duration::from_secs(1), now, 0, 0, header.clone());
        let headers = header_bytes(&header.headers, &stored);
        let body = Body {
            bytes: Bytes::from(vec![0; length]),
            charge: store.charge(length, headers)?,
        };
        let charge = store.charge(headers, length)?;
        Some(Object::new(stored, &meta, header, Arc::new(body), charge))
    }

    fn put(store: &Store, url: UrlId, variant: u8, length: usize) -> bool {
        let epoch = store.epoch(url);
        object(store, url, length)
            .is_some_and(|object| store.put(url, id(url, variant), epoch, object))
    }

    fn spread(number: u64) -> UrlId {
        // As a hash does, over shards and epochs.
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u64, u8, usize),
        Get(u64, u8),
        Hold(u64, u8),
        PurgeUrl(u64),
        PurgeService(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let (url, variant) = (0..40u64, 0..3u8);
        prop_oneof![
            6 => (url.clone(), variant.clone(), 0..100_000usize).prop_map(|(u, v, l)| Step::Put(u, v, l)),
            6 => (url.clone(), variant.clone()).prop_map(|(u, v)| Step::Get(u, v)),
            1 => (url.clone(), variant).prop_map(|(u, v)| Step::Hold(u, v)),
            1 => url.prop_map(Step::PurgeUrl),
            1 => (0..3u64).prop_map(Step::PurgeService),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_of_steps_exceeds_the_capacity_or_loses_count(steps in proptest::collection::vec(step(), 1..200)) {
            let store = Store::new(CAPACITY);
            let mut held = Vec::new();
            for step in steps {
                match step {
                    Step::Put(url, variant, length) => {
                        let url = spread(url);
                        if put(&store, url, variant, length) {
                            let kept = store.get(url, id(url, variant)).unwrap();
                            prop_assert_eq!(kept.body.bytes.len(), length);
                        }
                    }
                    Step::Get(url, variant) => drop(store.get(spread(url), id(spread(url), variant))),
                    Step::Hold(url, variant) => held.extend(store.get(spread(url), id(spread(url), variant))),
                    Step::PurgeUrl(url) => {
                        let url = spread(url);
                        store.purge(&Selector::Url { id: url });
                        prop_assert!((0..3).all(|variant| store.get(url, id(url, variant)).is_none()));
                    }
                    Step::PurgeService(service) => {
                        store.purge(&Selector::Service(ServiceId(service)));
                    }
                }
                prop_assert!(store.bytes() <= CAPACITY);
                prop_assert!(store.bytes() >= store.objects() * OVERHEAD_BYTES);
            }
            let left = store.objects();
            prop_assert_eq!(store.purge(&Selector::All), left);
            let still_read: usize = held
                .iter()
                .map(Arc::as_ptr)
                .collect::<std::collections::BTreeSet<_>>()
                .len();
            prop_assert!(still_read > 0 || store.bytes() == 0);
            drop(held);
            prop_assert_eq!((store.objects(), store.bytes()), (0, 0));
        }
    }

    #[test]
    fn what_is_asked_for_again_outlives_what_is_asked_for_once() {
        let store = Store::new(CAPACITY);
        let popular: Vec<UrlId> = (0..100).map(spread).collect();
        for url in &popular {
            assert!(put(&store, *url, 0, 1000));
            assert!(store.get(*url, id(*url, 0)).is_some());
        }
        // Ten times what fits, each once.
        for number in 1000..6000 {
            assert!(put(&store, spread(number), 0, 1000));
            if number % 50 == 0 {
                for url in &popular {
                    drop(store.get(*url, id(*url, 0)));
                }
            }
        }
        let alive = |url: &&UrlId| store.get(**url, id(**url, 0)).is_some();
        let left = popular.iter().filter(alive).count();
        assert!(left >= 95, "{left} of {} are left", popular.len());
        assert!(store.evictions() > 4000);
    }

    #[test]
    fn the_variants_of_a_url_are_bounded() {
        let store = Store::new(CAPACITY);
        let url = spread(7);
        for variant in 0..200 {
            assert!(put(&store, url, variant, 10));
        }
        assert_eq!(store.objects(), super::super::shard::VARIANTS_MAX);
        assert!(store.get(url, id(url, 199)).is_some());
        assert_eq!(
            store.purge(&Selector::Url { id: url }),
            store.purge(&Selector::All) + 64
        );
    }

    #[test]
    fn what_was_fetched_before_a_purge_is_not_kept() {
        let store = Store::new(CAPACITY);
        for selector in [
            Selector::Url { id: spread(1) },
            Selector::Tag("t".into()),
            Selector::All,
        ] {
            let epoch = store.epoch(spread(1));
            store.purge(&selector);
            let object = object(&store, spread(1), 10).unwrap();
            assert!(
                !store.put(spread(1), id(spread(1), 0), epoch, object),
                "{selector:?}"
            );
        }
        assert_eq!(store.bytes(), 0);
    }
}
