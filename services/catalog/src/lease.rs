//! Leases: until when an instance counts as alive without a word from it. In memory only: a restarted catalog gives everyone a
//! full lease again, because it cannot know who called while it was away. How several catalogs on one store go about it: [`sharing`].

mod expiry_window;
pub(crate) mod keeper;
pub(crate) mod sharing;
mod table;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use catalog_api::{InstanceId, Service, ServiceId};
use database::{LeaseTerms, StoreError};
use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as Gate, MutexGuard as Turn, Notify, watch},
    time::Instant,
};

use sharing::Sharing;
use table::Table;

/// Whose lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) service: ServiceId,
    pub(crate) instance: InstanceId,
}

/// A lease that needs a look.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) key: Key,
    /// Which registration: a renewal or change has another number.
    pub(crate) generation: u64,
    /// It ran out just now; otherwise the instance is suspect and looked at again.
    pub(crate) expired: bool,
}

/// All leases of one catalog.
pub(crate) struct Leases {
    table: Mutex<Table>,
    /// Rings when there is an earlier deadline than the keeper waits for.
    earlier: Notify,
    // Registration and eviction of one instance take turns. Striped, so that keys need no life-time of their own.
    gates: Vec<Gate<()>>,
    hasher: RandomState,
    /// The other catalogs of the store, if there can be any.
    sharing: Option<Arc<Sharing>>,
    /// Nothing expires while this is set.
    suspended: AtomicBool,
    /// When somebody else was heard of last: registered, renewed, or answered.
    heard: watch::Sender<Option<Instant>>,
}

/// Stripes of the gates. Two instances of one stripe wait for each other, which costs one write's time.
const GATES: usize = 256;

// === impl Key ===

impl Key {
    pub(crate) fn new(service: ServiceId, instance: InstanceId) -> Self {
        Self { service, instance }
    }
}

// === impl Leases ===

impl Leases {
    pub(crate) fn new(sharing: Option<Arc<Sharing>>) -> Self {
        Self {
            sharing,
            suspended: AtomicBool::new(false),
            heard: watch::Sender::new(None),
            table: Mutex::default(),
            earlier: Notify::new(),
            gates: (0..GATES).map(|_| Gate::new(())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits until nobody else registers or evicts this instance.
    pub(crate) async fn turn(&self, key: &Key) -> Turn<'_, ()> {
        let stripe = self.hasher.hash_one(key) as usize % self.gates.len();
        self.gates[stripe].lock().await
    }

    /// Brings the leases of a service in line with its instances: new ones get a full lease, gone ones none.
    pub(crate) fn follow(&self, service: &Service) {
        self.table.lock().follow(service, Instant::now());
        self.earlier.notify_one();
    }

    /// The service is gone.
    pub(crate) fn forget(&self, service: ServiceId) {
        self.table.lock().forget(service);
    }

    /// Renews a lease that runs on the same terms, or that has no end. False when it is not known.
    pub(crate) fn renew(&self, key: &Key, terms: &LeaseTerms) -> bool {
        // A later deadline: the keeper wakes up once for nothing, which is cheaper than telling it each time.
        if terms.ttl.is_none() {
            return true;
        }
        let known = self.table.lock().renew(key, terms, Instant::now());
        if known {
            self.tell(key, terms);
        }
        known
    }

    /// Gives a full lease, or none when the terms have no end.
    pub(crate) fn hold(&self, key: &Key, terms: LeaseTerms) {
        self.tell(key, &terms);
        self.table.lock().hold(key, terms, Instant::now());
        self.earlier.notify_one();
    }

    /// Somebody else is there. What this catalog registers itself does not count: it says nothing about the network.
    pub(crate) fn heard(&self) {
        self.heard.send_replace(Some(Instant::now()));
    }

    /// Waits until somebody is heard of after a moment.
    async fn hears_somebody(&self, since: Instant) {
        let mut heard = self.heard.subscribe();
        let heard = heard.wait_for(|at| at.is_some_and(|at| at > since));
        // The sender lives as long as these leases.
        drop(heard.await);
    }

    /// Whether no catalog has heard of an instance for the length of its lease. Without others, this one is to judge.
    pub(crate) async fn is_unheard(
        &self,
        key: &Key,
        terms: &LeaseTerms,
    ) -> Result<bool, StoreError> {
        let (Some(sharing), Some(ttl)) = (&self.sharing, terms.ttl) else {
            return Ok(true);
        };
        if self.is_suspended() {
            return Ok(false);
        }
        let ages = sharing.ages(std::slice::from_ref(key)).await?;
        let newest = ages.into_iter().flatten().min();
        Ok(newest.is_none_or(|age| age >= ttl.get()))
    }

    /// Nothing expires from now on.
    pub(crate) fn suspend(&self) {
        self.suspended.store(true, Ordering::Release);
    }

    /// After [`Self::suspend`]: every lease starts anew, then they expire again.
    pub(crate) fn resume(&self) {
        if self.suspended.load(Ordering::Acquire) {
            self.table.lock().start_over(Instant::now());
            self.suspended.store(false, Ordering::Release);
        }
    }

    fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    fn tell(&self, key: &Key, terms: &LeaseTerms) {
        if let Some(sharing) = &self.sharing {
            sharing.heard(key, terms.ttl);
        }
    }

    /// Gives a lease that was given out some more time, as one that did not run out.
    fn extend(&self, due: &Due, rest: Duration) {
        self.table.lock().extend(due, Instant::now() + rest);
        self.earlier.notify_one();
    }

    /// Leases that need a look now. Each is given out once, until it is [`Self::look_again`] or renewed.
    fn take_due(&self) -> Vec<Due> {
        self.table.lock().take_due(Instant::now())
    }

    /// Waits until a lease needs a look. Cancel-safe.
    async fn due(&self) {
        loop {
            let earlier = self.earlier.notified();
            let next = self.table.lock().next_due();
            match next {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => return,
                    () = earlier => {}
                },
                None => earlier.await,
            }
        }
    }

    /// How many there are.
    fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// The terms, if nothing happened to the lease since it was given out.
    fn terms(&self, due: &Due) -> Option<LeaseTerms> {
        self.table.lock().terms(due)
    }

    /// Has the lease given out again, as one of a suspect instance.
    fn look_again(&self, due: &Due, pause: Duration) {
        self.table.lock().look_again(due, Instant::now() + pause);
        self.earlier.notify_one();
    }

    /// Ends a lease whose instance is gone.
    fn end(&self, due: &Due) {
        self.table.lock().end(due);
    }
}
