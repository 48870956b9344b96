//! What every store promises. The conformance suite (`tests/store/conformance.rs`) is this contract in executable form.

use std::sync::Arc;

use async_trait::async_trait;
use catalog_api::{Deleted, Revision, Service, Snapshot};
use tokio::sync::watch;

use crate::{
    callers::Callers,
    command::{Command, Refusal},
    decide::Outcome,
    receivers::Receivers,
    renewals::Renewals,
};

/// A durable catalog. Writes are atomic, ordered by revision, and on disk before they are answered.
#[async_trait]
pub trait CatalogStore: Send + Sync + 'static {
    /// Everything, as of one revision.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read now.
    async fn snapshot(&self) -> Result<Snapshot, StoreError>;

    /// Carries out one command. A command that was started may take effect even when its answer is not awaited.
    ///
    /// # Errors
    /// [`WriteError::Refused`] when the catalog says no, [`WriteError::Store`] when the store cannot write now.
    async fn write(&self, command: Command) -> Result<Committed, WriteError>;

    /// The newest committed revision. Never goes back, and may skip some.
    fn head(&self) -> watch::Receiver<Revision>;

    /// What is different from the state at revision `after`, at most `limit` changes.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read now.
    async fn changes_since(&self, after: Revision, limit: usize) -> Result<Changes, StoreError>;

    /// Whether the store can be asked, as far as it knows without being asked. A store that can go away sends a value each time it
    /// looks, also when nothing changed.
    fn availability(&self) -> watch::Receiver<Availability>;

    /// Notes about leases, for a store that several catalogs may share; none when this process has it alone.
    fn renewals(&self) -> Option<Arc<dyn Renewals>> {
        None
    }

    /// Notes about readers of watch streams, for a store that several catalogs may share.
    fn receivers(&self) -> Option<Arc<dyn Receivers>> {
        None
    }

    /// Notes about the calls of catalogs, for a store that several of them may share.
    fn callers(&self) -> Option<Arc<dyn Callers>> {
        None
    }
}

/// Whether a store can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It answers.
    Available,
    /// It does not, and why. It is being looked for.
    Unavailable(String),
}

/// Answer of [`CatalogStore::changes_since`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// The whole difference. A service that changed several times appears once, as it is at `revision`.
    List {
        /// In the order of revisions.
        changes: Vec<Change>,
        /// The state that the changes lead to.
        revision: Revision,
    },
    /// The difference is unknown: `after` is too long ago, lies in the future, or there are more than `limit` changes.
    /// Read a snapshot.
    Compacted,
}

/// One difference. The service is boxed because deletions are small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The service is new or changed.
    Service(Box<Service>),
    /// The service is gone.
    Deleted(Deleted),
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// A state of the catalog in which the command is fulfilled: that of the write, or the newest when nothing had to be done.
    pub revision: Revision,
    /// What was done.
    pub outcome: Outcome,
    /// The service as it is after the command; none when it is gone.
    pub service: Option<Service>,
}

/// Why a store cannot do its work at the moment.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// More is asked of it than it can do; trying again soon makes sense.
    #[error("the store is busy")]
    Busy,
    /// It has been shut down.
    #[error("the store is closed")]
    Closed,
    /// It does not answer at the moment; nothing was changed. Trying again makes sense.
    #[error("the store cannot be asked now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It went away in the middle of a commit: whether the write took effect is unknown. Repeating an idempotent write is safe.
    #[error("the store went away during a commit")]
    OutcomeUnknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The medium refuses: disk full, file locked, content that is none.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The catalog says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store cannot write now. Whether it took effect is unknown after [`StoreError::OutcomeUnknown`], and when the store was
    /// closed meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

// === impl Change ===

impl Change {
    /// Its place in the order.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Service(service) => service.revision,
            Self::Deleted(deleted) => deleted.revision,
        }
    }
}
