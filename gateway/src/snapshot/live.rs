//! The snapshot that requests see now, and what the catalog said besides that was refused.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::{Refusal, Snapshot};

/// One pointer, swapped whole. A request loads it once and keeps what it needs by `Arc`, so no request sees two snapshots.
#[derive(Debug, Default)]
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    /// For operators only.
    refused: ArcSwap<Vec<Refusal>>,
}

// === impl Live ===

impl Live {
    /// The current snapshot, without touching a reference count. Not to be held across an await.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// The current snapshot, to be kept.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }

    /// Entries of the catalog that are refused now, in the order of their ids. The last good state of each goes on.
    pub fn refused(&self) -> Arc<Vec<Refusal>> {
        self.refused.load_full()
    }

    pub(super) fn refuse(&self, refused: Vec<Refusal>) {
        self.refused.store(Arc::new(refused));
    }
}
