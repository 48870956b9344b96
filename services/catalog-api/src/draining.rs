//! How many requests are with draining instances, as somebody says who sends requests to instances.
//!
//! Who does not list an instance says nothing about it, so that a reader of an older release, one that refused the service, and one
//! with a longer list than goes into a receipt are all the same: unknown.

use serde::{Deserialize, Serialize};

use crate::{InstanceId, Invalid, ServiceId};

/// Field of a stream whose catalog takes counts in receipts; one of an older release refuses a receipt that has some.
pub const DRAINING_HEADER: &str = "x-catalog-draining";

/// Most instances in one list. With ids of full length a receipt still fits into a request to the catalog.
pub const DRAINING_MAX: usize = 200;

/// Requests of one draining instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainCount {
    /// Its service.
    pub service: ServiceId,
    /// The instance.
    pub instance: InstanceId,
    /// Requests that are with it now.
    pub in_flight: u64,
    /// Requests that have ended since it was first seen draining, however they ended.
    pub finished: u64,
}

/// At most [`DRAINING_MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<DrainCount>", into = "Vec<DrainCount>")]
pub struct DrainCounts(Vec<DrainCount>);

// === impl DrainCounts ===

impl DrainCounts {
    /// The first [`DRAINING_MAX`] of some.
    pub fn first_of(counts: impl IntoIterator<Item = DrainCount>) -> Self {
        Self(counts.into_iter().take(DRAINING_MAX).collect())
    }

    /// Whether nothing is said about anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is said about an instance.
    pub fn of(&self, service: ServiceId, instance: &InstanceId) -> Option<&DrainCount> {
        let mut counts = self.0.iter();
        counts.find(|count| count.service == service && count.instance == *instance)
    }

    /// All of them.
    pub fn as_slice(&self) -> &[DrainCount] {
        &self.0
    }
}

impl TryFrom<Vec<DrainCount>> for DrainCounts {
    type Error = Invalid;

    fn try_from(counts: Vec<DrainCount>) -> Result<Self, Invalid> {
        if counts.len() > DRAINING_MAX {
            return Err(Invalid::new(
                "list of draining instances",
                format_args!(
                    "must have at most {DRAINING_MAX} entries, not {}",
                    counts.len()
                ),
            ));
        }
        Ok(Self(counts))
    }
}

impl From<DrainCounts> for Vec<DrainCount> {
    fn from(counts: DrainCounts) -> Self {
        counts.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::INSTANCE_ID_BYTES_MAX;

    fn count(instance: &str) -> DrainCount {
        DrainCount {
            service: ServiceId(u64::MAX),
            instance: instance.parse().unwrap(),
            in_flight: u64::MAX,
            finished: u64::MAX,
        }
    }

    #[test]
    fn counts_are_found_by_service_and_instance() {
        let counts = DrainCounts::first_of([count("a"), count("b")]);
        let b = "b".parse().unwrap();
        assert_eq!(counts.of(ServiceId(u64::MAX), &b), Some(&count("b")));
        assert_eq!(counts.of(ServiceId(1), &b), None);
        assert_eq!(counts.of(ServiceId(u64::MAX), &"c".parse().unwrap()), None);
    }

    #[test]
    fn a_full_list_fits_into_a_request_and_a_longer_one_is_refused() {
        let full = vec![count(&"i".repeat(INSTANCE_ID_BYTES_MAX)); DRAINING_MAX];
        let counts = DrainCounts::try_from(full.clone()).unwrap();
        assert!(serde_json::to_vec(&counts).unwrap().len() < 60 * 1024);
        let more = [full, vec![count("x")]].concat();
        assert!(DrainCounts::try_from(more.clone()).is_err());
        assert_eq!(DrainCounts::first_of(more), counts);
    }
}
