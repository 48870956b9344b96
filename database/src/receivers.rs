//! What catalogs tell each other about the readers of their watch streams when they share a store.
//!
//! A receipt goes to one catalog, and a write that waits for it may be at another one. These notes let the others find out. Like those
//! about leases they make no revision and have a short life: a reader that is not noted again is gone.

use std::time::Duration;

use async_trait::async_trait;
use catalog_api::{DrainCounts, OpaqueId, Receiver, Refused, Revision};

use crate::store::StoreError;

/// Most notes in one call, and most that are read.
pub const RECEIVERS_MAX: usize = 10_000;

/// A reader that sends receipts, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverNote {
    /// The stream that it reads.
    pub stream: OpaqueId,
    /// Who reads it.
    pub receiver: Receiver,
    /// Everything up to this revision is in effect there; none = it has not said anything yet.
    pub revision: Option<Revision>,
    /// Services of which this is not true.
    pub refused: Refused,
    /// Requests that are with draining instances.
    pub draining: DrainCounts,
    /// How long ago somebody heard of it. An age, so that the clocks of catalogs need not agree.
    pub age: Duration,
}

/// The notes of one store.
#[async_trait]
pub trait Receivers: Send + Sync + 'static {
    /// Makes known how far some are, and which streams have ended. More than [`RECEIVERS_MAX`] of either are cut. What is older than
    /// `age_max` may be thrown away.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn record(
        &self,
        notes: &[ReceiverNote],
        ended: &[OpaqueId],
        age_max: Duration,
    ) -> Result<(), StoreError>;

    /// Everyone of whom somebody heard within `age_max`, at most [`RECEIVERS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn all(&self, age_max: Duration) -> Result<Vec<ReceiverNote>, StoreError>;
}
