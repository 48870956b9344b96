//! Readers of streams who send no receipts and have not said that they only look on. They may send requests to what they read of, and
//! nobody hears of those.

use std::{collections::HashMap, sync::Arc};

use catalog_api::{Service, ServiceRef};
use parking_lot::Mutex;

use crate::receipts::Receipts;

/// How many there are.
pub(crate) struct Onlookers {
    /// By what they asked for; none = everything.
    counts: Mutex<HashMap<Option<String>, u64>>,
    receipts: Arc<Receipts>,
}

/// One of them. Dropped with the stream.
pub(crate) struct Onlooker {
    onlookers: Arc<Onlookers>,
    filter: Option<String>,
}

// === impl Onlookers ===

impl Onlookers {
    pub(crate) fn new(receipts: Arc<Receipts>) -> Self {
        Self {
            counts: Mutex::default(),
            receipts,
        }
    }

    pub(super) fn open(self: &Arc<Self>, filter: Option<&ServiceRef>) -> Onlooker {
        let filter = filter.map(ServiceRef::to_string);
        *self.counts.lock().entry(filter.clone()).or_default() += 1;
        self.receipts.ring();
        Onlooker {
            onlookers: Arc::clone(self),
            filter,
        }
    }

    /// How many hear of a service.
    pub(crate) fn of(&self, service: &Service) -> u64 {
        let counts = self.counts.lock();
        let filters = [
            None,
            Some(service.id.to_string()),
            Some(service.name.to_string()),
        ];
        filters.iter().filter_map(|filter| counts.get(filter)).sum()
    }
}

// === impl Onlooker ===

impl Drop for Onlooker {
    fn drop(&mut self) {
        let mut counts = self.onlookers.counts.lock();
        if let Some(count) = counts.get_mut(&self.filter) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.filter);
            }
        }
    }
}
