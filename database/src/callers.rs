//! What catalogs tell each other about their own calls to draining instances when they share a store.
//!
//! A drain is over when nobody has a request with the instance, and catalogs pass calls on as gateways do. Like the notes about readers
//! of streams these make no revision and have a short life: a catalog that is not noted again is gone.

use std::time::Duration;

use async_trait::async_trait;
use catalog_api::{DrainCount, InstanceId, OpaqueId, Revision};
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// Most catalogs that are read.
pub const CALLERS_MAX: usize = 1_000;

/// A catalog, and what it says about draining instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerNote {
    /// Lives as long as its process.
    pub catalog: OpaqueId,
    /// The id of its own entry in the catalog.
    pub name: InstanceId,
    /// Up to where its calls know of changes.
    pub revision: Revision,
    /// What drains as of then. An instance that is not there is unknown.
    pub draining: Vec<CallerCount>,
    /// How long ago somebody heard of it. An age, so that the clocks of catalogs need not agree.
    pub age: Duration,
}

/// What a catalog says about one draining instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerCount {
    /// Its own calls.
    pub calls: DrainCount,
    /// Readers of its streams that have seen the instance and send no receipts, so that nothing is known of their requests.
    pub onlookers: u64,
    /// Readers of its streams that have just left with nothing of the instance.
    pub departed: Vec<Departed>,
}

/// A reader that has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departed {
    /// Who.
    pub receiver: OpaqueId,
    /// Requests of the instance that had ended there.
    pub finished: u64,
}

/// The notes of one store.
#[async_trait]
pub trait Callers: Send + Sync + 'static {
    /// Makes known what a catalog says. What is older than `age_max` may be thrown away.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn record(&self, note: &CallerNote, age_max: Duration) -> Result<(), StoreError>;

    /// A catalog stops.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn end(&self, catalog: OpaqueId) -> Result<(), StoreError>;

    /// Every catalog of which somebody heard within `age_max`, at most [`CALLERS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked now.
    async fn all(&self, age_max: Duration) -> Result<Vec<CallerNote>, StoreError>;
}
