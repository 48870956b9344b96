//! How much of a service its clients may take.

use serde::{Deserialize, Serialize};

use super::{range::within, rate::Rate};
use crate::Invalid;

/// Limits that the gateway keeps for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLimits", into = "RawLimits")]
pub struct Limits {
    /// Most requests that are with the service at once, 1 to 1,000,000. None = as many as come.
    pub concurrency: Option<u32>,
    /// Longest content of a request in bytes, 1 to 1 TiB. Not applied to upgraded connections.
    pub body_bytes: u64,
    /// How often one client may ask. None = as often as it likes.
    pub rate: Option<Rate>,
}

/// [`Limits::body_bytes`] of a service that says nothing: more than forms and API calls need, less than what fills a disk.
pub const BODY_BYTES_DEFAULT: u64 = 64 << 20;
/// Largest [`Limits::body_bytes`].
pub const BODY_BYTES_MAX: u64 = 1 << 40;
/// Largest [`Limits::concurrency`].
pub const CONCURRENCY_MAX: u32 = 1_000_000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<Rate>,
}

// === impl Limits ===

impl Limits {
    /// Whether nothing was said.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: None,
            body_bytes: BODY_BYTES_DEFAULT,
            rate: None,
        }
    }
}

impl TryFrom<RawLimits> for Limits {
    type Error = Invalid;

    fn try_from(raw: RawLimits) -> Result<Self, Invalid> {
        let concurrency = raw
            .concurrency
            .map(|most| within("limits.concurrency", Some(most), 1, 1, CONCURRENCY_MAX))
            .transpose()?;
        Ok(Self {
            concurrency,
            body_bytes: within(
                "limits.body_bytes",
                raw.body_bytes,
                BODY_BYTES_DEFAULT,
                1,
                BODY_BYTES_MAX,
            )?,
            rate: raw.rate,
        })
    }
}

impl From<Limits> for RawLimits {
    fn from(limits: Limits) -> Self {
        Self {
            concurrency: limits.concurrency.map(u64::from),
            body_bytes: (limits.body_bytes != BODY_BYTES_DEFAULT).then_some(limits.body_bytes),
            rate: limits.rate,
        }
    }
}
