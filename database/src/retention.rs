//! How much of the past a store keeps, so that readers can catch up instead of starting over.

/// How many deletions are remembered for [`CatalogStore::changes_since`](crate::CatalogStore::changes_since).
pub const DELETIONS_KEPT: usize = 10_000;

/// What only tests change.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// See [`DELETIONS_KEPT`].
    pub deletions_kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deletions_kept: DELETIONS_KEPT,
        }
    }
}
