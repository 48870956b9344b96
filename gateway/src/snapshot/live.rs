//! The snapshot that requests see now.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Snapshot;

/// One pointer, swapped whole. A request loads it once and keeps what it needs by `Arc`, so no request sees two snapshots.
#[derive(Debug, Default)]
pub struct Live(ArcSwap<Snapshot>);

// === impl Live ===

impl Live {
    /// The current snapshot, without touching a reference count. Not to be held across an await.
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// The current snapshot, to be kept.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.0.store(snapshot);
    }
}
