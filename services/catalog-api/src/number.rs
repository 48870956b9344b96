//! Numbers with a range: ids, revisions, weights.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Stable integer id of a service. A new catalog gives 1 to `service-api` and 2 to `service-catalog`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub u64);

/// Position in the catalog's history: every write gets the next one, in commit order. 0 is the empty catalog.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// Share of traffic of an instance among its peers, 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Weight(u16);

/// How many passing instances a service must have before its health counts as breached, 0 to 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct MinInstances(u16);

/// Largest [`Weight`] and largest [`MinInstances`].
pub const COUNT_MAX: u16 = 1000;

// === impl ServiceId ===

impl FromStr for ServiceId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid::new(
                "service id",
                "must be a positive integer of at most 64 bits",
            )
        })
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Revision ===

impl Revision {
    /// The revision of the write after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl FromStr for Revision {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid::new(
                "revision",
                "must be an integer of at most 64 bits, not negative",
            )
        })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Weight ===

impl Weight {
    /// The weight as a number, 1 to 1000.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u64> for Weight {
    type Error = Invalid;

    fn try_from(number: u64) -> Result<Self, Invalid> {
        match u16::try_from(number) {
            Ok(weight @ 1..=COUNT_MAX) => Ok(Self(weight)),
            _ => Err(Invalid::new(
                "weight",
                format_args!("must be 1 to {COUNT_MAX}, not {number}"),
            )),
        }
    }
}

impl From<Weight> for u64 {
    fn from(weight: Weight) -> Self {
        weight.0.into()
    }
}

// === impl MinInstances ===

impl MinInstances {
    /// The least number of passing instances.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for MinInstances {
    type Error = Invalid;

    fn try_from(number: u64) -> Result<Self, Invalid> {
        match u16::try_from(number) {
            Ok(least @ 0..=COUNT_MAX) => Ok(Self(least)),
            _ => Err(Invalid::new(
                "min_instances",
                format_args!("must be 0 to {COUNT_MAX}, not {number}"),
            )),
        }
    }
}

impl From<MinInstances> for u64 {
    fn from(least: MinInstances) -> Self {
        least.0.into()
    }
}
