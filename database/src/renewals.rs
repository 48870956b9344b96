//! What catalogs tell each other about leases when they share a store.
//!
//! A renewed lease is no write and makes no revision, so nobody but the catalog that was asked knows of it. These notes let the
//! others find out before they call an instance dead. They are hints with a short life: losing them costs a look, never a service.

use std::time::Duration;

use async_trait::async_trait;
use catalog_api::{InstanceId, ServiceId};

use crate::store::StoreError;

/// Most notes in one call.
pub const NOTES_MAX: usize = 10_000;

/// Somebody heard of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Whose instance.
    pub service: ServiceId,
    /// Which instance.
    pub instance: InstanceId,
    /// How long ago, when it is recorded. An age, so that the clocks of catalogs need not agree.
    pub age: Duration,
}

/// The notes of one store.
#[async_trait]
pub trait Renewals: Send + Sync + 'static {
    /// Makes renewals known to the others. Of several notes about one instance the youngest counts; more than [`NOTES_MAX`] are cut.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn record(&self, renewals: &[Renewal]) -> Result<(), StoreError>;

    /// How long ago anybody heard of each of these, in their order; none = there is no note.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn ages(
        &self,
        instances: &[(ServiceId, InstanceId)],
    ) -> Result<Vec<Option<Duration>>, StoreError>;
}
