//! How a drain ended, as whoever asked for it is told.

use catalog_api::{InstanceId, Revision};
use serde::Serialize;

/// Most of those that an answer names of whom nothing is known.
pub(crate) const NAMED_MAX: usize = 100;

/// The end of a drain.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DrainReport {
    pub(crate) instance: InstanceId,
    pub(crate) outcome: Outcome,
    /// Requests that ended while it drained, however they ended.
    pub(crate) finished: u64,
    /// Requests that are with it still, and are cut when it stops now.
    pub(crate) cut: u64,
    /// How many gateways and catalogs there are of whom it is not known, of whom the first are named.
    pub(crate) unknown_count: usize,
    pub(crate) unknown: Vec<Unknown>,
    /// Readers of the watch stream that send no receipts.
    pub(crate) onlookers: u64,
    /// How long it drained.
    pub(crate) seconds: f64,
    /// Of the service, afterwards; none when the service is gone or the drain goes on.
    pub(crate) revision: Option<Revision>,
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nobody has a request with it any more; it is taken out.
    Finished,
    /// Its time is over; it is taken out.
    TimeOver,
    /// Somebody took it out, or its service.
    Deleted,
    /// Somebody registered it otherwise than before; it gets requests again.
    Kept,
    /// The catalog stops; it goes on draining.
    Interrupted,
}

/// Somebody who may have requests with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unknown {
    pub(crate) name: String,
    /// How many it had when it was heard of last; none = it has not said.
    pub(crate) in_flight: Option<u64>,
}

// === impl Outcome ===

impl Outcome {
    /// For logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::TimeOver => "time over",
            Self::Deleted => "deleted",
            Self::Kept => "kept",
            Self::Interrupted => "interrupted",
        }
    }
}
