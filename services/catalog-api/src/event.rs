//! What `GET /services/watch` sends. The event id is always the revision, as decimal text.

use serde::{Deserialize, Serialize};

use crate::{Revision, Service, ServiceId, ServiceName};

/// Names the history that event ids count in: a header of every stream, sent back beside `Last-Event-ID`. A catalog that is started
/// again counts in a new one, because its database may be a restored backup, in which a revision means something else. A client
/// that sends a history which is not the catalog's own gets a snapshot; one that sends none is trusted.
pub const HISTORY_HEADER: &str = "x-catalog-history";

/// The `event:` field of a watch event; what its `data:` holds follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// `data` is a [`Snapshot`]: forget everything else. Sent on connect and after a gap.
    Snapshot,
    /// `data` is a [`Service`], whole, as it is now.
    Service,
    /// `data` is a [`Deleted`].
    Deleted,
}

/// The whole catalog at one revision. Also the answer of `GET /services`.
///
/// `S` is [`Service`], or raw JSON for a reader that must survive a single entry it does not understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot<S = Service> {
    /// Revision of the newest write that is part of it.
    pub revision: Revision,
    /// Every service, in the order of ids.
    pub services: Vec<S>,
}

/// A service is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Its id, never given again.
    pub id: ServiceId,
    /// Its name, free again.
    pub name: ServiceName,
    /// Revision of the deletion.
    pub revision: Revision,
}

// === impl EventKind ===

impl EventKind {
    /// The word in the `event:` field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Service => "service",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the `event:` field; none for events of newer catalogs, which are to be passed over.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Snapshot, Self::Service, Self::Deleted]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}
